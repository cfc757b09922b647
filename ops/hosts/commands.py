"""How a command on a host fails: as a sentence, and as an error of subprocess that a caller may go on without."""

from __future__ import annotations

import subprocess

from environment.errors import KeelError

SHOWN = 70
"""Characters of a command that an error shows."""


class CommandFailed(KeelError, subprocess.CalledProcessError):
    """A command on a host ended with an error: which host, which command, its last words."""

    def __init__(self, host: str, command: str, done: subprocess.CompletedProcess[str]) -> None:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-5:]
        problem = f"{host}: `{_begins(command)}` ended with status {done.returncode}: " + "\n".join(last)
        KeelError.__init__(self, problem, advice="Look at `./keel status`")
        self.returncode, self.cmd, self.output, self.stderr = done.returncode, command, done.stdout, done.stderr


class CommandHangs(KeelError, subprocess.TimeoutExpired):
    """A command on a host did not end in its time: which host, which command, what it had said."""

    def __init__(self, host: str, command: str, seconds: float, said: str) -> None:
        words = f": {said.strip().splitlines()[-1]}" if said.strip() else ""
        problem = f"{host}: `{_begins(command)}` did not end within {seconds:.0f} s{words}"
        KeelError.__init__(self, problem, advice="Look at `./keel status`")
        self.cmd, self.timeout, self.output, self.stderr = command, seconds, None, said.encode()


def _begins(command: str) -> str:
    """The beginning of a command, which is enough to know it by."""
    first = command.strip().partition("\n")[0]
    return first if len(first) <= SHOWN else f"{first[:SHOWN]}…"
