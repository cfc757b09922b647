"""Other programs, run to their end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

AS_POSTGRES = ("runuser", "-u", "postgres", "--")
"""In front of what root runs as the owner of the databases and of the repository."""


class Failed(Exception):
    """What could not be done, and what the program that was asked said."""


def output(*command: str, timeout: float | None = None, given: str | None = None) -> str:
    """Standard output. Raises Failed with what the program said. ``timeout``: seconds; ``given``: standard input."""
    name = program(command)
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} did not answer within {timeout:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise Failed(f"{name}: {said or f'exit status {done.returncode}'}")
    return done.stdout


def follow(*command: str) -> str:
    """Run a program, print its lines as they come, and return them. Raises Failed with the last ones."""
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
    if process.returncode:
        last = "".join(lines[-12:]).strip()
        raise Failed(f"{program(command)} ended with status {process.returncode}:\n{last}")
    return "".join(lines)


def program(command: tuple[str, ...]) -> str:
    """The name of the program that a command runs in the end."""
    return Path(command[4 if command[:2] == ("runuser", "-u") else 0]).name


def end_on_signals() -> None:
    """A signal that ends the process becomes an exception, so that nothing is left behind."""

    def end(number: int, _frame: Any) -> None:
        sys.exit(128 + number)

    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, end)


def option(arguments: list[str], name: str) -> str:
    """The value of an option that is written `--name=value`. Raises Failed where it is not there."""
    values = [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{name}=")]
    if not values:
        raise Failed(f"{name} is not given")
    return values[-1]
