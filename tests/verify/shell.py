"""A shell on a host that stays open: a command costs what it does there, not a new SSH channel and a log-in shell."""

from __future__ import annotations

import secrets
import shlex
import subprocess
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult

from ops.hosts.session import Session, Unreachable


class Shell(BaseBackend):  # type: ignore[misc] # testinfra has no types
    """testinfra's way to one host. Commands run one after another, each in a shell of its own with nothing to read."""

    NAME = "keel"

    def __init__(self, session: Session, host: str) -> None:
        super().__init__(host)
        self._host = host
        self._end = f"end-{secrets.token_hex(8)}"
        self._process = subprocess.Popen(
            session.ssh(host, "sh"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        # What a command says on standard error is wanted only when it fails, and must not be mixed with its output.
        self._send('errors=$(mktemp) && trap "rm -f $errors" EXIT')

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Run a shell command. Raises Unreachable when the connection ends."""
        line = self.get_command(command, *args)
        self._send(f"sh -c {shlex.quote(line)} < /dev/null 2> $errors; status=$?; echo; echo {self._end} $status; "
                   f"cat $errors; echo; echo {self._end}")  # fmt: skip
        output, status = self._until_end()
        errors, _ = self._until_end()
        return CommandResult(self, int(status), line.encode(), output, errors)

    def _send(self, line: str) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Unreachable(f"the SSH connection to {self._host} ended") from None

    def _until_end(self) -> tuple[str, str]:
        """What comes before the mark, without the newline that precedes it, and what the mark's own line holds."""
        assert self._process.stdout
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(self._end):
                return "".join(lines).removesuffix("\n"), line.removeprefix(self._end).strip()
            lines.append(line)
        raise Unreachable(f"the SSH connection to {self._host} ended")

    def close(self) -> None:
        """End the shell."""
        self._process.communicate()
