"""An SSH server on loopback that shows the host key it is given, for tests of who is connected to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED


@dataclass
class Server(paramiko.ServerInterface):
    """Lets `admitted` in and answers every command in the same words."""

    host_key: paramiko.PKey
    admitted: str
    """A public key; any other is refused."""
    answer: str = "welcome\n"
    offered: list[str] = field(default_factory=list)
    """The keys that somebody tried to come in with."""
    ran: list[str] = field(default_factory=list)
    port: int = 0

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.offered.append(f"{key.get_name()} {key.get_base64()}")
        fits = username == "root" and self.offered[-1] == self.admitted
        return AUTH_SUCCESSFUL if fits else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.ran.append(command.decode())
        Thread(target=self._carry_out, args=(channel,), daemon=True).start()
        return True

    def _carry_out(self, channel: paramiko.Channel) -> None:
        with suppress(OSError):
            # Its answer is read after the request was granted: a channel that ends before that is an error to clients.
            channel.get_transport().global_request("keepalive@keel", wait=True)
            channel.sendall(self.answer.encode())
            channel.send_exit_status(0)
            channel.close()


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Accept connections until the block ends."""
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(server.host_key)
            transports.append(transport)
            with suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=server)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for transport in transports:
        transport.close()
