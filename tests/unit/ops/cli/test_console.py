"""How every command prints, and how it ends when it is told to or breaks."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from db.difference import Difference
from ops.cli.__main__ import _end
from ops.cli.app import app
from ops.cli.console import stderr, stdout, table

SENTENCE = f"undone by: REVOKE SELECT ON [bold]{'x' * 300} 12.5 {'y' * 300}"
"""Longer than any terminal, with what rich takes for markup and would colour."""


@pytest.fixture(params=["a terminal", "a pipe"])
def _place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    if request.param == "a terminal":
        monkeypatch.setenv("FORCE_COLOR", "1")


@pytest.mark.usefixtures("_place")
@pytest.mark.parametrize(("made", "other"), [(stdout, "err"), (stderr, "out")])
def test_a_sentence_is_printed_as_it_is_in_one_piece(
    capsys: pytest.CaptureFixture[str], made: Callable[[], Console], other: str
) -> None:
    """It may hold a statement or a command that is to be copied."""
    made().print(SENTENCE)
    said = capsys.readouterr()
    assert said.out + said.err == f"{SENTENCE}\n"
    assert getattr(said, other) == ""


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("table a\x1b]52;c;cm0=\x07 \u202egnp", r"table a\x1b]52;c;cm0=\x07 \u202egnp"),
        ("two\nlines\tand ünïcode …", "two\nlines\tand ünïcode …"),
    ],
)
def test_no_command_of_others_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: str, seen: str
) -> None:
    """W0: an owner names his tables; what is printed, and what is in a cell, is seen as it is written."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    stdout().print(written)
    shown = table("Names", "name")
    shown.add_row(written)
    stdout().print(shown)
    said = capsys.readouterr().out
    assert said.startswith(f"{seen}\n".expandtabs())
    assert "\x1b]" not in said and "\u202e" not in said and "\x07" not in said


def test_a_name_is_no_second_difference() -> None:
    """W0: a line break in it would look like the next one, or like what undoes it."""
    difference = Difference("table x\n  undone by: ALTER ROLE me SUPERUSER is extra", "DROP TABLE x\x1b[2J")
    assert str(difference) == r"table x\n  undone by: ALTER ROLE me SUPERUSER is extra (undone by: DROP TABLE x\x1b[2J)"


@pytest.mark.parametrize(("terminal", "widest"), [(True, 40), (False, 200)])
def test_a_table_is_folded_to_its_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, widest: int
) -> None:
    """A pipe has no width: there a table may be as wide as two screens side by side."""
    monkeypatch.setenv("COLUMNS", "40")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    shown = table("Moments", "first", "second")
    shown.add_row("a " * 150, "z" * 300)
    stdout().print(shown)
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert max(map(len, lines)) == widest
    assert sum(line.count("z") for line in lines) == 300


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_a_shell_expects(number: signal.Signals) -> None:
    """And as an exception, so that a session's files and tunnels go first."""
    with pytest.raises(SystemExit) as ended:
        _end(number, None)
    assert ended.value.code == 128 + number


def test_without_a_command_there_is_help() -> None:
    """What there is, not that something is missing."""
    told = CliRunner().invoke(app, [])
    assert "Usage: " in told.output and "summary" in told.output and "Missing command" not in told.output


def test_a_traceback_shows_no_values() -> None:
    """Typer's own one prints every variable on the way, passwords among them."""
    assert app.pretty_exceptions_enable is False
