"""`keel db populate` without a server: who is refused, what is asked, what is printed."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner, Result

from db import load_rows
from ops.cli.app import app
from ops.cli.db.populate import _bars
from tests.unit.cli_fakes import opened, session

DONE = {"users": load_rows.Populated(10_000, 0.5), "projects": load_rows.Populated(100_000, 2.0)}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """An environment without hosts, and how the engine was called."""
    monkeypatch.setenv("ENV", "dev")
    opened(monkeypatch, session(tmp_path))
    calls: list[dict[str, Any]] = []

    def populate(product: Any, url: str, size: str, **how: Any) -> dict[str, load_rows.Populated]:
        for table, made in DONE.items():
            how["progress"](table, 0, made.rows)
            how["progress"](table, made.rows, made.rows)
        calls.append({"product": product.name, "url": url, "size": str(size), **how})
        return DONE

    monkeypatch.setattr(load_rows, "populate", populate)
    monkeypatch.setattr(load_rows, "emptied", lambda *_: {"projects": 7, "users": 2})
    return calls


def run(*options: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["db", "populate", "jeex_idea", *options], input=given)


def test_what_was_made_is_told(asked: list[dict[str, Any]]) -> None:
    """BAC-33: each table with its rows and rows per second; as the migrator, whom row-level security lets through."""
    result = run("--size", "large", "--seed", "7")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines() if "0,000" in line] == [
        ["users", "10,000", "0.5", "20,000"],
        ["projects", "100,000", "2.0", "50,000"],
    ]
    assert [line.split("] ")[1] for line in result.stderr.splitlines()] == [
        "users: 10000 rows",
        "projects: 100000 rows",
    ]
    (call,) = asked
    assert (call["product"], call["size"], call["seed"], call["replace"]) == ("jeex_idea", "large", 7, False)
    assert "//jeex_idea_migrator:" in call["url"]


def test_a_terminal_shows_how_fast_each_table_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since its own beginning; nothing can be said before the first rows are there."""
    screen = Console(file=StringIO(), force_terminal=True, width=100)
    clock = iter([0.0, 0.0, 4.0, 10.0, 10.0, 12.0])
    monkeypatch.setattr("ops.cli.db.populate.stderr", lambda: screen)
    monkeypatch.setattr("ops.cli.db.populate.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with _bars() as show:
        for name, done in (("users", 0), ("users", 10_000), ("projects", 0), ("projects", 500)):
            show(name, done, 10_000)
    assert isinstance(screen.file, StringIO)
    lines = Text.from_ansi(screen.file.getvalue()).plain.splitlines()
    assert [line.split()[2:] for line in lines[-2:]] == [
        ["10000/10000", "2,500", "rows/s"],
        ["500/10000", "250", "rows/s"],
    ]


def test_json_is_one_document(asked: list[dict[str, Any]]) -> None:
    document = json.loads(run("--size", "small", "--json").stdout)
    assert document["tables"][0] == {"table": "users", "rows": 10_000, "seconds": 0.5, "rows_per_second": 20_000}
    assert asked[0]["seed"] == 1


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_where_people_have_data_nothing_is_opened(
    asked: list[dict[str, Any]], environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-30: refused by the stack file alone, before a root is decrypted or a host asked, whatever was confirmed."""

    def never(_name: str) -> None:
        raise AssertionError("an environment was opened")

    monkeypatch.setattr("ops.hosts.environment.open_environment", never)
    result = run("--size", "small", "--env", environment, "--replace", "--yes")
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"error: {environment} is {environment}: it does not accept made-up rows. Nothing was changed\n"
    )
    assert asked == []


@pytest.mark.parametrize(("answer", "status", "replaced"), [("jeex_idea\n", 0, [True]), ("y\n", 1, []), (None, 1, [])])
def test_before_rows_are_removed_they_are_shown(
    asked: list[dict[str, Any]], answer: str | None, status: int, replaced: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is a no."""
    monkeypatch.setattr("ops.cli.console.terminal", lambda: True)
    result = run("--size", "small", "--replace", given=answer)
    assert result.exit_code == status
    assert result.stderr.startswith("projects: 7 rows\nusers: 2 rows\nType jeex_idea to remove all of these from dev")
    assert [call["replace"] for call in asked] == replaced


def test_a_script_says_yes_beforehand(asked: list[dict[str, Any]]) -> None:
    result = run("--size", "small", "--replace", "--yes")
    assert result.exit_code == 0
    assert "remove" not in result.stderr
    assert asked[0]["replace"] is True
