"""Keep a scratch server until its listener has gone.

scratch-server BYTES OPTION…   pgBackRest's options of the restore, and how much it brings; prints `ready FOLDER`, of its
                               socket, once the server takes connections, and keeps it until standard input ends

Run as root.
"""

from __future__ import annotations

import sys

from keel_host.config import BackupHost, read
from keel_host.processes import Failed, end_on_signals
from keel_host.scratch import scratch_server


def main(arguments: list[str]) -> int:
    """1 where no server came to its target."""
    end_on_signals()
    try:
        keep(read(BackupHost), int(arguments[0]), arguments[1:])
    except Failed as error:
        print(error, flush=True)
        return 1
    return 0


def keep(host: BackupHost, needed: int, options: list[str]) -> None:
    """Restore and start it, say so, and wait for the end of standard input. Raises Failed."""
    with scratch_server(host, needed) as server:
        server.restore(*options)
        print("recovery", flush=True)
        server.start()
        print(f"ready {server.sockets}", flush=True)
        sys.stdin.read()
