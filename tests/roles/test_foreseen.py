"""What a preview announces is what happens: for every setting, on every host, against an environment that has it."""

from __future__ import annotations

from functools import cache

import pytest

from environment import roles
from environment.derive import Roots
from environment.manifest import Manifest
from ops.steps import converge
from roles.kit.effects import DOES, foreseen, sentences
from roles.order import of_stage
from tests.roles.every_setting import FOUND, PATHS, STACKS, changed, manifest, settings_of
from tests.roles.machines import STAGES, Environment

SLICED = {stage: roles.sections(stage) for stage in STAGES}


def stand_in(of: Manifest) -> Roots:
    """No secret is needed to compare."""
    return Roots(of.identity.name, *("in a secret's place",) * 5)


def differing(old: Manifest, new: Manifest) -> list[str]:
    """The stages that a change runs again."""
    return [stage for stage, sections in SLICED.items() if old.slice(sections) != new.slice(sections)]


def announced(old: Manifest, new: Manifest) -> dict[tuple[str, str], str]:
    """(host, service) → what a preview says of it."""
    found: dict[tuple[str, str], str] = {}
    for stage in differing(old, new):
        before, after = ((Manifest.from_slice(side.slice(SLICED[stage])), stand_in(side)) for side in (old, new))
        for host, effects in foreseen(of_stage(stage), before, after).items():
            found |= {(host, effect.service): effect.does for effect in effects}
    return found


@cache
def converged(stack: str) -> Environment:
    """The stack as its settings stand."""
    made = Environment()
    with pytest.MonkeyPatch.context() as monkeypatch:
        made.converge(monkeypatch, manifest(stack, settings_of(stack)), STAGES)
    return made


def happens(old: Manifest, new: Manifest, there: Environment) -> dict[tuple[str, str], str]:
    """(host, service) → the most that happened to it when the change was carried out."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        ran = there.converge(monkeypatch, new, differing(old, new))
        again = there.copy().converge(monkeypatch, new, differing(old, new))
    assert again == {}, "a second run does nothing"
    return {who: max(events, key=DOES.index) for who, events in ran.items()}


@pytest.mark.parametrize(
    ("stack", "path"), [(stack, path) for path in PATHS for stack in STACKS if (stack, path) in FOUND]
)
def test_what_is_announced_is_what_happens(stack: str, path: str) -> None:
    old, new = manifest(stack, settings_of(stack)), manifest(stack, changed(stack, path))
    assert announced(old, new) == happens(old, new, converged(stack).copy())


@pytest.mark.parametrize("does", ["starts", "stops"])
def test_a_second_repository_comes_and_goes(does: str) -> None:
    settings = settings_of("dev")
    alone = settings.model_copy(update={"repository": settings.repository.model_copy(update={"second": None})})
    old, new = (manifest("dev", each) for each in ((settings, alone) if does == "stops" else (alone, settings)))
    there = Environment()
    with pytest.MonkeyPatch.context() as monkeypatch:
        there.converge(monkeypatch, old, STAGES)
    told = announced(old, new)
    assert told == happens(old, new, there.copy())
    assert told["ops1", "the copy to the second repository"] == does


def test_other_keys_of_the_second_repository_restart_nothing() -> None:
    """W5: no service that runs all the time knows them; what knows them reads them each time."""
    inputs = {"stage": "store", "manifest": manifest("dev", settings_of("dev")).slice(SLICED["store"]), "made": []}
    told = converge.foresee({**inputs, "credentials": "one"}, {**inputs, "credentials": "other"})
    assert told == ["nothing reloads or restarts"]


def test_shorter_retention_restarts_nothing() -> None:
    """The backup host alone expires backups, and not its server, which has a configuration of its own."""
    old, new = (
        manifest("dev", each("dev"))
        for each in (settings_of, lambda stack: changed(stack, "repository.retention_days"))
    )
    assert announced(old, new) == {}


def test_nothing_is_announced_as_nothing() -> None:
    assert sentences({"db1": []}) == ["nothing reloads or restarts"]


def test_a_host_that_is_made_anew_restarts_nothing() -> None:
    old, new = manifest("dev", settings_of("dev")), manifest("dev", changed("dev", "etcd.election_ms"))
    found = foreseen(of_stage("store"), (old, stand_in(old)), (new, stand_in(new)), made=frozenset({"db1"}))
    assert sorted(host for host, effects in found.items() if effects) == ["db2", "edge1"]
