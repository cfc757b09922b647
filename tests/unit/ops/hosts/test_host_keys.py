"""Who is connected to: only a host that shows the pinned key, by ssh and by pyinfra, with the session's key alone."""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from environment.derive import private_openssh, public_openssh
from ops.converge.run import ConvergeFailed, _connected, converge
from ops.hosts import lock
from ops.hosts.lock import Locked
from ops.hosts.session import Session, Unreachable, open_session
from tests.unit.cli_fakes import environment
from tests.unit.hosts import nothing
from tests.unit.sshd import Server, serving

ROOTS = environment().roots
OTHER = ed25519.Ed25519PrivateKey.from_private_bytes(b"another host's or another user's")


def paramiko_key(key: ed25519.Ed25519PrivateKey) -> paramiko.PKey:
    """The same key, for the server."""
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private_openssh(key)))


@pytest.fixture(scope="module")
def another_kind() -> paramiko.PKey:
    """A key of a type that nothing is pinned of: a client that takes what is new would take it."""
    return paramiko.ECDSAKey.generate()


def server(host_key: paramiko.PKey, admitted: str = "") -> Server:
    """A host that the controller may come in to."""
    return Server(host_key, admitted or public_openssh(ROOTS.ssh_key("controller")))


def by_ssh(session: Session) -> None:
    """A command, as most of Keel gives it."""
    assert session.run("db1", "echo") == "welcome\n"


def by_pyinfra(session: Session) -> None:
    """Roles: a connection that would be used for them."""
    if converge(session, [], nothing, dry=True, only=["db1"]).unreachable:
        raise Unreachable("db1")


WAYS = pytest.mark.parametrize("way", [by_ssh, by_pyinfra])


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Refused connections are not told on the terminal."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())


@WAYS
def test_a_host_with_its_own_key_is_connected_to(way: Callable[[Session], None]) -> None:
    """The key that Keel derived and put on it."""
    with serving(server(paramiko_key(ROOTS.ssh_key("db1")))) as host:
        made = environment({"network.published": {"ssh": host.port}})
        with open_session(made.manifest, made.roots) as session:
            way(session)


def test_what_pyinfra_says_does_not_wait_for_an_acknowledgement() -> None:
    """PLAT-48: a command is several small packets; with Nagle's algorithm each host costs some 40 ms a command."""
    with serving(server(paramiko_key(ROOTS.ssh_key("db1")))) as host:
        made = environment({"network.published": {"ssh": host.port}})
        with open_session(made.manifest, made.roots) as session:
            hosts = [each for each in session.manifest.hosts if each.name == "db1"]
            with _connected(session, hosts, dry=True) as state:
                (connected,) = state.activated_hosts
                way = connected.connector.client.get_transport().sock  # type: ignore[attr-defined]
                assert way.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@WAYS
@pytest.mark.parametrize("kind", ["another key", "another kind of key", "a key that is not pinned"])
def test_a_host_with_another_key_is_not(way: Callable[[Session], None], kind: str, another_kind: paramiko.PKey) -> None:
    """Nothing is offered to it, no command reaches it, and its key is not remembered."""
    with serving(server(another_kind if kind == "another kind of key" else paramiko_key(OTHER))) as impostor:
        made = environment({"network.published": {"ssh": impostor.port}})
        with open_session(made.manifest, made.roots) as session:
            if kind == "a key that is not pinned":
                session.known_hosts.write_text("")
            pinned = session.known_hosts.read_text()
            with pytest.raises(Unreachable):
                way(session)
            assert session.known_hosts.read_text() == pinned
    assert (impostor.offered, impostor.ran) == ([], [])


@WAYS
def test_no_other_key_is_offered(
    way: Callable[[Session], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the user's own, of a file or of an agent, whose password might be asked for."""
    (tmp_path / ".ssh").mkdir()
    own = OTHER.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(own)
    (tmp_path / ".ssh" / "id_ed25519").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with socket.socket(socket.AF_UNIX) as agent, serving(server(paramiko_key(ROOTS.ssh_key("db1")), "none")) as host:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        agent.setblocking(False)
        made = environment({"network.published": {"ssh": host.port}})
        with open_session(made.manifest, made.roots) as session, pytest.raises(Unreachable):
            way(session)
        with pytest.raises(BlockingIOError):
            agent.accept()
    assert set(host.offered) == {public_openssh(ROOTS.ssh_key("controller"))}


@pytest.mark.parametrize("owner", [lock.HELD, "ann@elsewhere (process 7)"])
def test_roles_hold_the_hosts_lock(owner: str) -> None:
    """Before anything is changed, and not while another controller has it."""
    answering = server(paramiko_key(ROOTS.ssh_key("db1")))
    answering.answer = f"{owner}\n"
    with serving(answering) as host:
        made = environment({"network.published": {"ssh": host.port}})
        with open_session(made.manifest, made.roots) as session:
            if owner == lock.HELD:
                outcome = converge(session, [], nothing, only=["db1"])
                assert (outcome.hosts, outcome.unreachable, outcome.changes, outcome.operations) == (1, (), (), 0)
            else:
                with pytest.raises(Locked, match=r"db1 is being changed by another controller: ann@elsewhere"):
                    converge(session, [], nothing, only=["db1"])
            (ran,) = host.ran
            assert ran.startswith("exec 9>>/run/keel.lock; flock") and ran.endswith(
                f"echo {lock.HELD}; exec cat >/dev/null"
            )


def test_a_host_that_cannot_be_reached_stops_the_roles_before_they_begin() -> None:
    """One that is reached keeps no lock; dry, it is only said."""
    with serving(server(paramiko_key(ROOTS.ssh_key("db1")))) as host:
        host.answer = lock.HELD
        made = environment({"network.published": {"ssh": host.port}})
        with open_session(made.manifest, made.roots) as session:
            with pytest.raises(ConvergeFailed, match=r"^unreachable: db2\. Nothing was changed"):
                converge(session, ["base"], nothing, only=["db1", "db2"])
            dry = converge(session, [], nothing, dry=True, only=["db1", "db2"])
            assert (dry.hosts, dry.unreachable) == (1, ("db2",))
            host.ran.clear()
            converge(session, [], nothing, dry=True, only=["db1"])
            assert host.ran == []
