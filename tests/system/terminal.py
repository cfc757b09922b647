"""`make up` at a terminal, as a person has it, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from threading import Thread

from environment.load import ROOT
from tests.system.environments import Ephemeral, reasons

CTRL_C = b"\x03"
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command that leads the foreground group of a terminal of its own."""

    def __init__(self, ephemeral: Ephemeral, *command: str) -> None:
        self._project = str(ephemeral.project)
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=ephemeral.variables, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self._said: list[bytes] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while some := os.read(self._master, 65536):
                self._said.append(some)
        except OSError:
            pass  # nobody has the other end any more

    @property
    def said(self) -> str:
        """What was shown until now."""
        return b"".join(self._said).decode(errors="replace")

    @property
    def why(self) -> str:
        """What Pulumi says of a failure, and the end of what was shown."""
        plain = COLOURS.sub("", self.said).replace("\r", "")
        return "\n".join((*reasons(plain), plain[-4000:]))

    def interrupt(self) -> float:
        """Press Ctrl-C once; seconds until nothing of it runs any more, a minute at most."""
        began = time.monotonic()
        os.write(self._master, CTRL_C)
        while self.running() and time.monotonic() < began + 60:
            time.sleep(0.1)
        return time.monotonic() - began

    def running(self) -> list[str]:
        """Whatever it started and still runs, however deep, also what left its group or lost its parent."""
        self.process.poll()
        return [f"{path.name} {_command(path)}" for path in self._processes()]

    def _processes(self) -> Iterator[Path]:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if f"PULUMI_BACKEND_URL=file://{self._project}/" in (path / "environ").read_text(errors="replace"):
                    yield path
            except OSError:
                continue  # it has ended, or is someone else's

    def close(self) -> None:
        """End what is left of it."""
        for path in self._processes():
            subprocess.run(["kill", "-9", path.name], check=False)
        self.process.wait(30)
        self._reader.join(5)
        os.close(self._master)


def _command(path: Path) -> str:
    try:
        return (path / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@contextmanager
def making_up(ephemeral: Ephemeral) -> Iterator[Terminal]:
    """`make up` at a terminal; whatever is left of it afterwards is ended."""
    flags = f"UP_FLAGS=--yes --skip-preview --cwd {ephemeral.project}"
    terminal = Terminal(ephemeral, "make", "--no-print-directory", "up", f"ENV={ephemeral.name}", flags)
    try:
        yield terminal
    finally:
        terminal.close()
