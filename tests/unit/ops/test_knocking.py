"""Who knocks at a door: what is behind a firewall is left after a second, one's own door is waited for."""

from __future__ import annotations

import getpass
import json
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from environment.pki import Authority, Leaf
from ops.attack.knocking import KNOCK, opened, own_door
from roles.kit.declare import Certificate
from tests.unit.self_signed import self_signed

AS_ANYBODY = "import os; os.initgroups = os.setgid = os.setuid = lambda *_: None\n"
BUSY = 2.0
"""Seconds for which the door takes no one."""


def test_who_has_to_wait_in_line_is_refused_elsewhere_and_let_in_at_his_own_door(tmp_path: Path) -> None:
    """X-23: a server with a short queue, which the kernel does not let another one join."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as door:
        line = [socket.socket() for _ in range(3)]
        for waiting in line:
            waiting.setblocking(False)
            with suppress(BlockingIOError):  # it waits in line
                waiting.connect(door.getsockname())
        threading.Thread(target=serve, args=(door, context, line), daemon=True).start()
        who = [(getpass.getuser(), "", own) for own in (-1, 0)]
        asked = json.dumps([who, [("127.0.0.1", door.getsockname()[1], "GET / HTTP/1.0\r\n\r\n")]])
        done = subprocess.run([sys.executable, "-c", AS_ANYBODY + KNOCK, asked], capture_output=True, text=True)
    ((elsewhere,), (own,)) = opened(done.stdout)
    assert (elsewhere.opens, elsewhere.said) == (False, "refused: timed out")
    assert own.opens, own.said


def serve(door: socket.socket, context: ssl.SSLContext, line: list[socket.socket]) -> None:
    """Answer everybody, once it is no longer busy and those who waited have left."""
    threading.Event().wait(BUSY)
    for waiting in line:
        waiting.close()
    while True:
        with suppress(OSError):  # who waited in line has left
            plain, _ = door.accept()
            plain.settimeout(1)
            with context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(100)
                secured.sendall(b"HTTP/1.0 200 OK\r\n\r\n")


def test_a_pair_has_the_door_of_its_authority_and_one_that_only_serves_has_none() -> None:
    """W1: who may enter is what the certificate is for."""
    doors = [Authority.PATRONI, Authority.ETCD]

    def pair(authority: Authority, *, enters: bool) -> Certificate:
        return Certificate("/etc/keel/tls/one", Leaf("one", ("one",), authority, serves=True, enters=enters), "o", "o")

    assert [own_door(doors, pair(door, enters=True)) for door in (*doors, Authority.PGBACKREST)] == [0, 1, -1]
    assert [own_door(doors, one) for one in (pair(doors[0], enters=False), None)] == [-1, -1]
