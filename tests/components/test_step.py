"""The provider behind the steps: what counts as a change, what a refresh records, what reaches the subprocess."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pulumi
import pytest
from pulumi.dynamic import ConfigureRequest
from pulumi.dynamic.config import Config

from components.step import StepFailed, StepProvider
from environment import derive

OLDS = {
    "action": "converge", "name": "data", "stage": "data", "drift": [], "__provider": "pickled long ago",
    "manifest": {"identity": {"name": "dev", "kind": "dev", "provider": "docker"}, "hosts": [], "postgres": {"work_mem": 8.0}},
}  # fmt: skip
NEWS = {**OLDS, "__provider": "pickled now", "manifest": {**OLDS["manifest"], "postgres": {"work_mem": 8}}}  # type: ignore[dict-item]


class Steps:
    """In place of the subprocess: remembers requests, answers with what a test says."""

    def __init__(self, *answers: object, status: int = 0, errors: str = "") -> None:
        self.lines = "".join(json.dumps(answer) + "\n" for answer in answers)
        self.status, self.errors = status, errors
        self.requests: list[dict[str, Any]] = []
        self.arguments: list[list[str]] = []
        self.environments: list[object] = []

    def __call__(self, arguments: list[str], env: object = None, **_: Any) -> Any:
        self.arguments.append(arguments)
        self.environments.append(env)
        steps = self

        class Input(io.StringIO):
            def close(self) -> None:
                steps.requests.append(json.loads(self.getvalue()))
                super().close()

        class Process:
            stdin, stdout, stderr = Input(), io.StringIO(steps.lines), io.StringIO(steps.errors)

            def wait(self) -> int:
                return steps.status

        return Process()


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


def answering(monkeypatch: pytest.MonkeyPatch, *answers: object, **how: Any) -> Steps:
    """Let the subprocess answer so."""
    steps = Steps(*answers, **how)
    monkeypatch.setattr(subprocess, "Popen", steps)
    return steps


def test_unchanged_inputs_are_no_change(provider: StepProvider) -> None:
    """Design, principle 5: floats from the state equal integers, and the pickled provider does not count."""
    assert provider.diff("id", OLDS, NEWS).changes is False


def test_a_changed_setting_is_a_change(provider: StepProvider) -> None:
    changed = {**NEWS, "manifest": {**OLDS["manifest"], "postgres": {"work_mem": 16}}}  # type: ignore[dict-item]
    assert provider.diff("id", OLDS, changed).changes is True


def test_drift_is_a_change_and_no_replacement(provider: StepProvider) -> None:
    """Design: a refresh records what is out of place, the next preview shows it."""
    answer = provider.diff("id", {**OLDS, "drift": ["db1: postgres: file /etc/patroni/config.yml"]}, NEWS)
    assert answer.changes is True
    assert answer.replaces == []


def test_a_diff_starts_no_step(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design: diff compares without touching a host."""
    steps = answering(monkeypatch)
    provider.diff("id", OLDS, {**NEWS, "stage": "edge"})
    assert steps.arguments == []


def test_a_refresh_records_drift(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = answering(monkeypatch, {"result": ["db1: unreachable"]})
    outs = provider.read("converge/data", OLDS).outs
    assert outs is not None
    assert outs["drift"] == ["db1: unreachable"]
    assert provider.diff("id", outs, NEWS).changes is True
    assert steps.requests[0]["phase"] == "observe"


def test_a_refresh_that_finds_nothing_is_no_change(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"result": []})
    outs = provider.read("converge/data", OLDS).outs
    assert outs is not None
    assert provider.diff("id", outs, NEWS).changes is False


def test_a_repair_clears_the_recorded_drift(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"progress": "data: db1"}, {"result": {}})
    outs = provider.update("id", {**OLDS, "drift": ["db1: something"]}, NEWS).outs
    assert outs is not None
    assert outs["drift"] == []


def test_outputs_are_stable(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same inputs, twice the same outputs: nothing of the run itself is recorded."""
    outs = []
    for _ in range(2):
        answering(monkeypatch, {"progress": "12:00"}, {"result": {}})
        outs.append(provider.create(NEWS).outs)
    assert outs[0] == outs[1]


def test_numbers_reach_the_step_whole(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = answering(monkeypatch, {"result": {}})
    provider.create({**OLDS, "list": [1.0, 1.5, {"port": 22.0}]})
    (request,) = steps.requests
    assert json.dumps(request["inputs"]["manifest"]["postgres"]) == '{"work_mem": 8}'
    assert json.dumps(request["inputs"]["list"]) == '[1, 1.5, {"port": 22}]'
    assert not {"__provider", "drift"} & request["inputs"].keys()


def test_roots_travel_on_standard_input_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design: never inputs, closures, arguments or environment."""
    own = {f"keel:{name}": f"own root {name}, at least 32 characters long" for name in derive.SECRETS}
    provider = StepProvider()
    provider.configure(ConfigureRequest(Config(own, "keel")))
    steps = answering(monkeypatch, {"result": {}})
    outs = provider.create(NEWS).outs
    assert steps.requests[0]["roots"] == {name.removeprefix("keel:"): value for name, value in own.items()}
    for value in own.values():
        assert value not in json.dumps(outs)
        assert value not in repr(steps.arguments + steps.environments)
    assert steps.environments == [None]


def test_a_failed_step_says_why(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"progress": "data: db1"}, {"error": "db1: unreachable. Nothing was changed."}, status=1)
    with pytest.raises(StepFailed, match=r"^db1: unreachable\. Nothing was changed\.$"):
        provider.create(NEWS)


def test_a_step_that_died_is_told_with_its_last_words(provider: StepProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"progress": "data: db1"}, status=-9, errors="MemoryError")
    with pytest.raises(StepFailed, match="ended without an answer:\nMemoryError"):
        provider.create(NEWS)


def test_the_providers_name_is_stable() -> None:
    """States hold pickled references to it: a release that renames it could not refresh or destroy what exists."""
    assert (StepProvider.__module__, StepProvider.__qualname__) == ("components.step", "StepProvider")
    assert StepProvider().__dict__ == {}
