"""Errors that are sentences for people. Standard library only: every layer imports this, the set-up of a fresh machine too."""

from __future__ import annotations

import subprocess
import traceback

UNCHANGED = "Nothing was changed"
"""What most refusals leave as it was."""


SYNTAX_ERROR = "42601"
"""What a server says of SQL that it cannot read (PostgreSQL's appendix A). Keel wrote it: a mistake."""


class KeelError(Exception):
    """Something a person can understand and act on: what is wrong, what was ``left`` as it was, what to do now.

    Whatever else is raised is a mistake in Keel, and keeps its traceback.
    """

    def __init__(self, problem: str, left: str = "", advice: str = "") -> None:
        super().__init__(problem, left, advice)
        self.problem, self.left, self.advice = problem, left, advice

    def __str__(self) -> str:
        *before, last = [part for part in (self.problem, self.left, self.advice) if part] or [""]
        return "".join(map(_ended, before)) + last


class Refused(KeelError):
    """What was asked for would endanger data or service, or cannot be: it was not done."""


def explained(error: BaseException) -> str | None:
    """The sentence for an error that is Keel's own or comes from a server or a command; None for a mistake in Keel."""
    if isinstance(error, KeelError):
        return str(error)
    if hasattr(error, "sqlstate"):  # as the database driver's errors have, which is not imported here
        return None if error.sqlstate == SYNTAX_ERROR else f"the database refused: {str(error).strip()}"
    if isinstance(error, subprocess.CalledProcessError):
        return f"`{_name(error.cmd)}` ended with status {error.returncode}: {(error.stderr or '').strip()}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"`{_name(error.cmd)}` did not end within {error.timeout:.0f} s; look at `./keel status`"
    return None


def message(error: BaseException) -> str:
    """What to print of an error where it cannot be raised: its sentence, or the traceback of a mistake in Keel."""
    return explained(error) or "a mistake in Keel:\n" + "".join(traceback.format_exception(error))


def _name(command: object) -> str:
    """Of a program that this machine ran: without its arguments."""
    return str(command[0] if isinstance(command, list | tuple) else command).partition(" ")[0]


def _ended(part: str) -> str:
    """A part that another follows: in the same line, or below where it is a list or what a program said."""
    return f"{part}\n" if "\n" in part else f"{part.rstrip('.')}. "
