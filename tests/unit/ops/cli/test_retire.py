"""`keel db retire` without a server: what is shown, asked, dropped and left, and its exit statuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import IsolationLevel
from typer.testing import CliRunner, Result

from environment.products import catalogue
from ops.cli.app import app
from ops.hosts.session import Session
from ops.products import retire
from tests.unit.cli_fakes import opened, session

FOUND = retire.Survey("18.1", "012", {"public.users": retire.TableSize(1200, 81_920)})


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An environment without hosts, at a terminal, and what was done in it."""
    monkeypatch.setenv("ENV", "dev")
    monkeypatch.chdir(tmp_path)
    opened(monkeypatch, session(tmp_path))
    calls: list[str] = []

    @contextmanager
    def superuser(_: Session) -> Iterator[None]:
        yield

    def dump(_session: Any, _superuser: Any, product: Any, target: Path, _report: Any) -> retire.Record:
        calls.append(f"dump {target}")
        return retire.Record(
            environment="dev", product=product.name, taken="2026-01-01T00:00:00+00:00", server_version="18.1",
            revision="012", rows={"public.users": 1200}, bytes=4096, sha256="abc",
        )  # fmt: skip

    def drop(*_: object) -> list[str]:
        calls.append("drop")
        return []

    monkeypatch.setattr(Session, "superuser", superuser)
    monkeypatch.setattr(retire, "retirable", lambda *_: (catalogue()["jeex_idea"], True))
    monkeypatch.setattr(retire, "survey", lambda *_: FOUND)
    monkeypatch.setattr(retire, "dump", dump)
    monkeypatch.setattr(retire, "drop", drop)
    monkeypatch.setattr("ops.cli.console.terminal", lambda: True)
    return calls


def run(*options: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["db", "retire", "jeex_idea", *options], input=given)


def test_it_shows_dumps_asks_and_drops(done: list[str]) -> None:
    """Design, principle 9: what goes is shown, dumped and asked for by its name."""
    result = run("--dump", "last.dump", given="jeex_idea\n")
    assert result.exit_code == 0
    assert ["public.users", "1,200", "80"] in [line.split() for line in result.stdout.splitlines()]
    assert "last.dump: 4,096 bytes, sha256 abc" in result.stdout
    assert done == ["dump last.dump", "drop"]


@pytest.mark.parametrize("answer", ["", "y\n", "ruleiq\n"])
def test_without_its_name_nothing_is_dropped(done: list[str], answer: str) -> None:
    result = run(given=answer)
    assert result.exit_code == 1
    assert [call.split()[0] for call in done] == ["dump"]


def test_a_dump_has_a_name_of_its_own(done: list[str]) -> None:
    run("--yes")
    assert done[0].startswith("dump dev-jeex_idea-20") and done[0].endswith("Z.dump")


def test_a_script_says_that_it_means_it(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.cli.console.terminal", lambda: False)
    result = run(given="jeex_idea\n")
    assert (result.exit_code, done) == (2, [])
    assert "Add --yes" in result.stderr
    assert run("--yes").exit_code == 0


def test_a_failed_dump_drops_nothing(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def dump(*_: object) -> None:
        raise retire.DumpFailed("pg_dump on db1 ended with status 1: no space left")

    monkeypatch.setattr(retire, "dump", dump)
    result = run("--yes")
    assert (result.exit_code, done) == (2, [])
    assert "no space left" in result.stderr


def test_without_a_database_there_is_nothing_to_dump(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run again after an interruption."""
    monkeypatch.setattr(retire, "retirable", lambda *_: (catalogue()["jeex_idea"], False))
    assert run("--yes").exit_code == 0
    assert done == ["drop"]


def test_what_is_left_is_told(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retire, "drop", lambda *_: ["role jeex_user owns table x: it stays"])
    result = run("--yes")
    assert result.exit_code == 1
    assert "left: role jeex_user owns table x" in result.stdout


def test_what_is_counted_and_what_is_dumped_is_one_moment_and_nothing_is_written() -> None:
    """Both in one snapshot, by the login that reads every row and is no superuser (W0)."""
    connection = SimpleNamespace(execute=lambda _: SimpleNamespace(fetchall=lambda: [("00000003-1",)]))

    class Opened:
        @contextmanager
        def look(self, database: str, user: str) -> Iterator[SimpleNamespace]:
            assert (database, user) == ("jeex_idea", "keel_backup")
            yield connection

    with retire._snapshot(Opened(), catalogue()["jeex_idea"]) as (_, name):  # type: ignore[arg-type]
        assert name == "00000003-1"
    assert connection.isolation_level is IsolationLevel.REPEATABLE_READ
