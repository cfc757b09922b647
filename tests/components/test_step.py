"""The provider behind the steps: what counts as a change, what a refresh records, what reaches the step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi.dynamic import ConfigureRequest
from pulumi.dynamic.config import Config

from components.step import StepProvider
from environment import derive, unfinished
from environment.program import load
from processes.step import StepFailed
from tests.unit.stacks import ROOTS, config

OLDS = {
    "action": "converge", "name": "data", "stage": "data", "drift": [], "__provider": "pickled long ago",
    "manifest": {"identity": {"name": "dev", "kind": "dev", "provider": "docker"}, "hosts": [], "postgres": {"work_mem": 8.0}},
}  # fmt: skip
NEWS = {**OLDS, "__provider": "pickled now", "manifest": {**OLDS["manifest"], "postgres": {"work_mem": 8}}}  # type: ignore[dict-item]


class Steps:
    """In place of the step's process: remembers requests, answers with what a test says."""

    def __init__(self, progress: tuple[str, ...] = (), result: object = None, error: str = "") -> None:
        self.progress, self.result, self.error = progress, result, error
        self.requests: list[dict[str, Any]] = []

    def __call__(self, request: dict[str, Any], report: Callable[[str], None]) -> object:
        self.requests.append(json.loads(json.dumps(request)))
        for text in self.progress:
            report(text)
        if self.error:
            raise StepFailed(self.error)
        return self.result


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider has a process of its own, whose tracebacks it cuts and where messages go to the engine."""
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)
    monkeypatch.setattr(pulumi.log, "info", lambda *_, **__: None)


@pytest.fixture
def provider() -> StepProvider:
    """Configured as Pulumi does it for a stack without roots of its own."""
    made = StepProvider()
    made.configure(ConfigureRequest(Config({}, "keel")))
    return made


def answering(monkeypatch: pytest.MonkeyPatch, result: object = None, **how: Any) -> Steps:
    """Let the step answer so."""
    steps = Steps(result=result, **how)
    monkeypatch.setattr("components.step.run_step", steps)
    return steps


def test_unchanged_inputs_are_no_change(provider: StepProvider) -> None:
    """Design, principle 5: floats from the state equal integers, and the pickled provider does not count."""
    assert provider.diff("id", OLDS, NEWS).changes is False


def test_a_changed_setting_is_a_change(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, [])
    changed = {**NEWS, "manifest": {**OLDS["manifest"], "postgres": {"work_mem": 16}}}  # type: ignore[dict-item]
    assert provider.diff("id", OLDS, changed).changes is True


def test_drift_is_a_change_and_no_replacement(provider: StepProvider) -> None:
    """Design: a refresh records what is out of place, the next preview shows it."""
    answer = provider.diff("id", {**OLDS, "drift": ["db1: postgres: file /etc/patroni/config.yml"]}, NEWS)
    assert answer.changes is True
    assert answer.replaces == []


@pytest.mark.parametrize(
    "changed", [{}, {"stage": "edge"}, {"roles": {"postgres": "new"}}, {"drift": ["db1: a file"]}], ids=str
)
def test_a_diff_starts_no_process_where_no_setting_differs(
    provider: StepProvider, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    """Design: diff compares without touching a host, and a preview without changes pays nothing."""
    steps = answering(monkeypatch)
    provider.diff("id", OLDS, {**NEWS, **changed})
    assert steps.requests == []


SETTING = {**NEWS, "manifest": {**OLDS["manifest"], "postgres": {"work_mem": 16}}}  # type: ignore[dict-item]


def test_a_changed_setting_is_told_with_its_effect(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a process that knows the roles; it gets no secret."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda line, **_: lines.append(line))
    steps = answering(monkeypatch, ["PostgreSQL reloads on db1"])
    assert provider.diff("id", OLDS, SETTING).changes is True
    assert lines == ["postgres.work_mem: 8 => 16: PostgreSQL reloads on db1"]
    (request,) = steps.requests
    assert request["phase"] == "foresee" and "roots" not in request
    assert request["olds"]["manifest"]["postgres"] == {"work_mem": 8}


def test_a_preview_does_not_fail_where_nothing_can_be_foreseen(
    provider: StepProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state of an earlier release may hold what this one does not read."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda line, **_: lines.append(line))
    answering(monkeypatch, error="postgres: a field is missing\nand more")
    assert provider.diff("id", OLDS, SETTING).changes is True
    assert lines == [
        "postgres.work_mem: 8 => 16: what that does to running services is not known: postgres: a field is missing"
    ]


def test_a_refresh_records_drift(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = answering(monkeypatch, ["db1: unreachable"])
    outs = provider.read("converge/data", OLDS).outs
    assert outs is not None
    assert outs["drift"] == ["db1: unreachable"]
    assert provider.diff("id", outs, NEWS).changes is True
    assert steps.requests[0]["phase"] == "observe"


def test_a_refresh_that_finds_nothing_is_no_change(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, [])
    outs = provider.read("converge/data", OLDS).outs
    assert outs is not None
    assert provider.diff("id", outs, NEWS).changes is False


def test_a_repair_clears_the_recorded_drift(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {}, progress=("data: db1",))
    outs = provider.update("id", {**OLDS, "drift": ["db1: something"]}, NEWS).outs
    assert outs is not None
    assert outs["drift"] == []


def test_outputs_are_stable(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same inputs, twice the same outputs: nothing of the run itself is recorded."""
    outs = []
    for _ in range(2):
        answering(monkeypatch, {}, progress=("12:00",))
        outs.append(provider.create(NEWS).outs)
    assert outs[0] == outs[1]


def test_numbers_reach_the_step_whole(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = answering(monkeypatch, {})
    provider.create({**OLDS, "list": [1.0, 1.5, {"port": 22.0}]})
    (request,) = steps.requests
    assert json.dumps(request["inputs"]["manifest"]["postgres"]) == '{"work_mem": 8}'
    assert json.dumps(request["inputs"]["list"]) == '[1, 1.5, {"port": 22}]'
    assert not {"__provider", "drift"} & request["inputs"].keys()


def test_roots_travel_in_the_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design: never inputs or closures; the request goes to standard input (tests/unit/processes/test_step.py)."""
    own = {f"keel:{name}": f"own root {name}, at least 32 characters long" for name in derive.SECRETS}
    provider = StepProvider()
    provider.configure(ConfigureRequest(Config(own, "keel")))
    steps = answering(monkeypatch, {})
    outs = provider.create(NEWS).outs
    assert steps.requests[0]["roots"] == {name.removeprefix("keel:"): value for name, value in own.items()}
    for value in own.values():
        assert value not in json.dumps(outs)


def test_a_failed_step_says_why(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, error="db1: unreachable. Nothing was changed.")
    with pytest.raises(StepFailed, match=r"^db1: unreachable\. Nothing was changed\.$"):
        provider.create(NEWS)


def test_an_environment_that_cannot_be_asked_is_drift(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh must go on, or nothing could be repaired."""
    answering(monkeypatch, error="no primary in dev\nmore of it")
    outs = provider.read("converge/data", OLDS).outs
    assert outs is not None
    assert outs["drift"] == ["cannot be looked at: no primary in dev"]


def test_work_is_shown_as_it_goes_and_a_look_is_not(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, ephemeral=False: shown.append(f"{text}, {ephemeral}"))
    answering(monkeypatch, {}, progress=("data: db1",))
    provider.create(NEWS)
    answering(monkeypatch, [], progress=("data: db2",))
    provider.read("converge/data", OLDS)
    assert shown == ["data: db1, True"]


def again(name: str = "dev", *steps: str) -> str | None:
    """What the program gives a step that is one of these or follows them."""
    return unfinished.mark(name, steps)


def test_a_step_that_failed_and_what_follows_run_again_whatever_the_stack_file_says(
    provider: StepProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-28, PLAT-36: Pulumi's state still holds the inputs of the run before, and the old stack file equals them."""
    answering(monkeypatch, error="db1: etcd does not start")
    with pytest.raises(StepFailed):
        provider.update("id", OLDS, SETTING)
    assert again("dev", "converge-base") is None, "what comes before it need not run"
    mark = again("dev", "converge-base", "converge-data")
    assert mark and provider.diff("id", OLDS, {**NEWS, "again": mark}).changes is True
    answering(monkeypatch, {})
    outs = provider.update("id", OLDS, {**NEWS, "again": mark}).outs
    assert outs is not None
    assert provider.diff("id", outs, {**NEWS, "again": again("dev", "converge-data")}).changes is True, (
        "it is not verified"
    )
    verification = {**NEWS, "action": "verification", "name": "verification"}
    provider.update("id", verification, verification)
    assert again("dev", "converge-base", "converge-data", "verification-verification") is None
    assert provider.diff("id", outs, NEWS).changes is False


def test_a_command_that_does_a_steps_work_leaves_it_to_the_next_update_where_it_fails() -> None:
    """PLAT-36: one that ended well leaves nothing to do, unless the step waited before."""
    step = unfinished.step_key("migration", "ruleiq")
    with unfinished.under_way("dev", step):
        inside = again("dev", step)
    assert inside and again("dev", step) is None
    with pytest.raises(KeyboardInterrupt), unfinished.under_way("dev", step):
        raise KeyboardInterrupt
    left = again("dev", step)
    with unfinished.under_way("dev", step):
        pass
    assert left and again("dev", step) not in (None, left)
    unfinished.verified("dev")


def test_a_verification_that_fails_makes_all_of_it_run_again(
    provider: StepProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-49: what it found may be the work of any step: an update that follows repairs it, or is red again."""
    verification = {**NEWS, "action": "verification", "name": "verification"}
    answering(monkeypatch, error="verification of dev failed")
    with pytest.raises(StepFailed):
        provider.update("id", verification, verification)
    assert again("dev", "converge-base") and again("dev", "leave-leave") is None
    assert again("ci", "converge-base") is None
    answering(monkeypatch, {})
    provider.update("id", verification, verification)


def leave(postgres: int = 18, **groups: list[str]) -> dict[str, Any]:
    """The inputs of the first step."""
    stack = config("ci", {"release": {"source": "pgdg", "postgres": postgres}})
    manifest = load("ci", {**stack, **ROOTS}).manifest.model_dump(mode="json")
    inputs = {"manifest": manifest, "hosts": groups, "addresses": {}, "__provider": "pickled"}
    return {"action": "leave", "name": "leave", **inputs}


def test_what_a_running_environment_does_not_take_is_refused_first(provider: StepProvider) -> None:
    """X-01: before anything else is asked for, in a preview too; a new environment may have any."""
    assert provider.check({}, leave(17)).failures == []
    assert provider.check(leave(), leave()).failures == []
    (failure,) = provider.check(leave(), leave(17)).failures
    assert failure.reason.startswith("keel:release.postgres: 18 => 17: ")


def test_who_leaves_is_told_and_compared_with_what_ran(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-37: of the first step only hosts, their groups and addresses count, and it hears who was there before, and where."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda line, **_: lines.append(line))
    old, new = leave(db1=["etcd", "postgres"], db2=["postgres"]), leave(db1=["postgres"])
    assert provider.diff("id", old, leave(17, **old["hosts"])).changes is False
    assert provider.diff("id", old, {**old, "addresses": {"db1": "10.88.0.15"}}).changes is True
    assert provider.diff("id", old, new).changes is True
    assert lines == [
        "db1 leaves etcd: it is taken out, and what it had of them stops",
        "db2 leaves: it is taken out of postgres and stops, and is removed when the rest is verified",
    ]
    steps = answering(monkeypatch, {})
    provider.update("id", old, new)
    assert steps.requests[0]["inputs"]["before"] == old["manifest"]
    provider.create(new)
    assert len(steps.requests) == 1, "on a first creation nobody leaves"
    unfinished.verified("ci")


def test_the_providers_name_is_stable() -> None:
    """States hold pickled references to it: a release that renames it could not refresh or destroy what exists."""
    assert (StepProvider.__module__, StepProvider.__qualname__) == ("components.step", "StepProvider")
    assert StepProvider().__dict__ == {}
