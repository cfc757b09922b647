"""`keel db migrate` and `keel db reset` without a server: who is refused, what is asked and printed, and the exit statuses."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from environment import unfinished
from environment.errors import Refused
from ops.cli.app import app
from ops.hosts import lock
from ops.hosts.session import Session
from ops.steps import migration, one_product
from tests.unit.cli_fakes import opened, session

DONE = one_product.Outcome(None, "005_defaults_in_utc", 3.2, (), ("2 of jeex_user",))


@pytest.fixture
def resets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An environment without hosts, and which product's database was made anew in it."""
    monkeypatch.setenv("ENV", "dev")
    opened(monkeypatch, session(tmp_path))
    monkeypatch.setattr(one_product, "held", lambda *_: one_product.Holding(True, 9_000_000, ("2 of jeex_user",)))
    calls: list[str] = []

    def reset(_session: Session, name: str, _report: object) -> one_product.Outcome:
        calls.append(name)
        return DONE

    monkeypatch.setattr(one_product, "reset", reset)
    return calls


def keel(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["db", *arguments], input=given)


def test_a_reset_shows_what_goes_and_asks(resets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-31: the name is typed; anything else changes nothing."""
    monkeypatch.setattr("ops.cli.console.terminal", lambda: True)
    refused = keel("reset", "jeex_idea", given="yes\n")
    assert (refused.exit_code, resets) == (1, [])
    for part in ("8,789 KiB", "2 of jeex_user", "made as new", "nothing was changed"):
        assert part in refused.output
    assert keel("reset", "jeex_idea", given="jeex_idea\n").exit_code == 0
    assert resets == ["jeex_idea"]


def test_a_script_confirms_a_reset(resets: list[str]) -> None:
    refused = keel("reset", "jeex_idea")
    assert (refused.exit_code, resets) == (2, [])
    assert "Add --yes" in refused.output
    said = json.loads(keel("reset", "jeex_idea", "--yes", "--json").stdout)
    assert (said["product"], said["after"], said["ended"]) == ("jeex_idea", DONE.after, ["2 of jeex_user"])


def test_a_product_that_is_not_there_is_refused(resets: list[str]) -> None:
    assert keel("reset", "nothing", "--yes").exit_code == 2
    assert resets == []


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_where_data_is_worth_keeping_nothing_is_reset(tmp_path: Path, stack: str) -> None:
    """PLAT-47: whatever was confirmed."""
    with pytest.raises(Refused, match=f"{stack} is {stack}: its databases are not reset"):
        one_product.reset(session(tmp_path, stack=stack), "jeex_idea", lambda _: None)


def test_differing_models_are_an_exit_status(resets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = DONE._replace(differences=("jeex_idea: column users.name is missing",))
    monkeypatch.setattr(one_product, "migrate", lambda *_: found)
    shown = keel("migrate", "jeex_idea")
    assert shown.exit_code == 3
    assert "column users.name is missing" in shown.stdout


def test_a_failed_migration_waits_for_the_next_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-36: as a step that failed in `up` does; one that went well leaves nothing."""
    faked = session(tmp_path)
    monkeypatch.setattr(unfinished, "PROJECT", tmp_path)
    monkeypatch.setattr(unfinished, "backend", lambda: None)
    monkeypatch.setattr(unfinished, "_not_ended", lambda _environment: None)
    monkeypatch.setattr(lock, "held", lambda *_: nullcontext())
    monkeypatch.setattr(Session, "leader", lambda _: faked.manifest.hosts[0])
    monkeypatch.setattr(one_product, "held", lambda *_: one_product.Holding(True, 1, ()))
    monkeypatch.setattr(one_product, "_differences", lambda *_: ())
    monkeypatch.setattr(migration, "bring", lambda *_: migration.Moved("004", "005"))
    step = unfinished.step_key("migration", "jeex_idea")
    assert one_product.migrate(faked, "jeex_idea", lambda _: None)[:2] == ("004", "005")
    assert unfinished.mark("dev", [step]) is None

    def fails(*_: object) -> migration.Moved:
        raise RuntimeError

    monkeypatch.setattr(migration, "bring", fails)
    with pytest.raises(RuntimeError):
        one_product.migrate(faked, "jeex_idea", lambda _: None)
    assert unfinished.mark("dev", [step])
    monkeypatch.setattr(one_product, "held", lambda *_: one_product.Holding(False, 0, ()))
    with pytest.raises(one_product.NoDatabase, match="make up ENV=dev"):
        one_product.migrate(faked, "jeex_idea", lambda _: None)
