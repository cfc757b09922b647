"""Long children say that they are alive, quote themselves when they fail and never outlive set-up."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from toolchain import progress
from toolchain.errors import CommandFailed


def test_a_long_child_shows_time_and_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.05)
    out = io.StringIO()
    awaited = tmp_path / "go on"

    class Shown(io.StringIO):
        """Lets the child go on once its line was shown."""

        def flush(self) -> None:
            if "compiling" in self.getvalue():
                awaited.touch()

    out = Shown()
    script = f"echo compiling; until [ -e '{awaited}' ]; do sleep 0.02; done"
    progress.run("building", ["sh", "-c", script], log=tmp_path / "logs/a.log", to=out)
    assert "  building  0 s  compiling\n" in out.getvalue()
    assert (tmp_path / "logs/a.log").read_text() == "compiling\n"


def test_a_failed_child_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with pytest.raises(CommandFailed, match=r"building: sh .* status 3(.|\n)*no such module") as failure:
        progress.run("building", ["sh", "-c", "echo no such module >&2; exit 3"], log=log, to=io.StringIO())
    assert str(log) in str(failure.value)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no-such-program cannot be started"):
        progress.run("building", ["no-such-program"], log=tmp_path / "a.log", to=io.StringIO())


def test_an_interrupted_child_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.05)

    class Interrupting(io.StringIO):
        """Ctrl-C while the line is shown."""

        def flush(self) -> None:
            if (tmp_path / "pid").exists():
                raise KeyboardInterrupt

    script = f"echo $$ > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/pid; exec sleep 600"
    with pytest.raises(KeyboardInterrupt):
        progress.run("building", ["sh", "-c", script], log=tmp_path / "a.log", to=Interrupting())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_elapsed() -> None:
    assert progress.elapsed(42.4) == "42 s"
    assert progress.elapsed(403) == "6 min 43 s"
