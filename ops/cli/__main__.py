"""`python -m ops.cli`, which `./keel` runs."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from ops.cli.app import app
from processes.libpq import without_home


def _end(number: int, _frame: FrameType | None) -> None:
    """A signal becomes an exception, so that a session's files and tunnels go with the command."""
    sys.exit(128 + number)


if __name__ == "__main__":
    without_home()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    app(prog_name="keel")
