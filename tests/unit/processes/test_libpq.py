"""What libpq finds in a home directory is no matter of Keel's."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.self_signed import self_signed

CONNECT = """
import psycopg, sys
{first}
try:
    psycopg.connect(sys.argv[1], connect_timeout=5)
except psycopg.OperationalError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("first", "reads"), [("", True), ("from processes.libpq import without_home; without_home()", False)]
)
def test_a_certificate_in_the_home_directory_is_not_shown(tmp_path: Path, first: str, reads: bool) -> None:
    """PLAT-47 (B14): it would be, to a server that does not know who signed it; one that cannot be read ends every connection."""
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "postgresql.crt").write_text("none")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener, context), daemon=True).start()
        where = f"host=127.0.0.1 port={listener.getsockname()[1]} user=one sslmode=require"
        done = subprocess.run(
            [sys.executable, "-c", CONNECT.format(first=first), where],
            env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert ("could not read certificate file" in done.stdout) is reads, done.stdout
    assert done.stdout


def greet(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Take up TLS as PostgreSQL does, and leave."""
    with suppress(OSError):  # the test has ended
        while True:
            plain, _ = listener.accept()
            with suppress(OSError), plain:  # who cannot read its certificate leaves
                plain.recv(8)
                plain.sendall(b"S")
                context.wrap_socket(plain, server_side=True).close()
