"""A working session with an environment: the files that programs need to reach it, for as long as it is open.

They live in memory (/dev/shm), readable by the user only, and are gone when the session ends; no secret is ever an
argument or an environment variable of another process.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from environment.derive import Roots, private_openssh
from environment.errors import KeelError
from environment.manifest import HostEntry, Manifest
from environment.names import LOOK, RESTORE, container
from environment.pki import ca_certificate
from environment.types import Group, Provider
from environment.waiting import until
from ops.hosts.commands import CommandFailed, CommandHangs
from ops.hosts.docker import sshd_ports
from roles.paths import SOCKETS
from roles.postgres.patroni import leads

if TYPE_CHECKING:
    import psycopg


class Unreachable(KeelError):
    """A host or service could not be reached: which one, over what, what to do."""


@dataclass(frozen=True)
class Session:
    """An open session; paths are valid until it is closed."""

    manifest: Manifest
    roots: Roots
    folder: Path

    @property
    def key(self) -> Path:
        """The controller's private SSH key."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The pinned host keys."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """An ssh_config with one Host per host of the environment."""
        return self.folder / "ssh_config"

    @property
    def ca(self) -> Path:
        """The environment's authority."""
        return self.folder / "ca.crt"

    def ssh(self, host: str, *command: str) -> list[str]:
        """The argv that runs ``command`` on ``host``."""
        return ["ssh", "-F", str(self.ssh_config), host, *command]

    def run(self, host: str, command: str, timeout: float = 60, given: str = "") -> str:
        """Standard output of a shell command on ``host``, which may read ``given``. Raises Unreachable, CommandFailed (a
        CalledProcessError) or CommandHangs (a TimeoutExpired)."""
        try:
            done = subprocess.run(self.ssh(host, command), capture_output=True, text=True, timeout=timeout, input=given)
        except subprocess.TimeoutExpired as error:
            raise CommandHangs(host, command, timeout, (error.stderr or b"").decode(errors="replace")) from None
        if done.returncode == 255:
            entry = self.manifest.host(host)
            raise Unreachable(
                f"{host} cannot be reached by SSH on {entry.ssh.hostname}:{entry.ssh.port}: {done.stderr.strip()}"
            )
        if done.returncode:
            raise CommandFailed(host, command, done)
        return done.stdout

    def recorded(self, host: str, path: str) -> str:
        """What a file on ``host`` holds, "" where there is none. Raises Unreachable, or CalledProcessError where it cannot be
        read."""
        return self.run(host, f"if [ -e {path} ]; then cat {path}; fi")

    def leader(self) -> HostEntry:
        """The host that runs the primary. Raises Unreachable when no member answers that it is. Where a host's own key pair is no
        good, another host asks its Patroni."""
        members = self.manifest.carrying(Group.POSTGRES)
        unasked = []
        for member in members:
            try:
                self.run(member.name, leads(self.manifest, member.name), timeout=15)
                return member
            except subprocess.CalledProcessError as error:
                unasked += [member] if error.returncode in NO_KEY_PAIR else []
            except (Unreachable, subprocess.SubprocessError):
                continue
        for member, other in ((member, other) for member in unasked for other in members if other != member):
            with suppress(Unreachable, subprocess.SubprocessError):
                self.run(other.name, leads(self.manifest, member.name), timeout=15)
                return member
        raise Unreachable(
            f"no primary in {self.manifest.identity.name}: none of {[m.name for m in members]} says that it leads",
            advice="Look at `./keel status` and at `journalctl -u patroni` on them",
        )

    @contextmanager
    def superuser(self) -> Iterator[Superuser]:
        """Connections as ``postgres``, or as the login that only looks, through SSH to the primary's socket: neither crosses
        the network."""
        leader = self.leader()
        with self.forward(leader.name, f"{SOCKETS}/.s.PGSQL.5432") as directory:
            yield Superuser(directory)

    @contextmanager
    def forward(self, host: str, remote: str) -> Iterator[Path]:
        directory = Path(tempfile.mkdtemp(prefix="socket-", dir=self.folder))
        local = directory / ".s.PGSQL.5432"
        with self._forwarding(host, f"{local}:{remote}", partial(_connects, local)):
            yield directory

    @contextmanager
    def direct(self) -> Iterator[tuple[str, int]]:
        """Address and port of the primary for migrations and probes (PLAT-21): published, or an SSH tunnel."""
        endpoints = self.manifest.endpoints
        if endpoints.primary is not None:
            yield endpoints.address, endpoints.primary
            return
        with self.tunnel(self.manifest.carrying(Group.EDGE)[0], self.manifest.ports.primary) as port:
            yield "127.0.0.1", port

    @contextmanager
    def tunnel(self, host: HostEntry, remote: int) -> Iterator[int]:
        """The local port that leads through SSH to the port ``remote`` of ``host``, which sees its own address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        with self._forwarding(host.name, f"127.0.0.1:{port}:{host.address}:{remote}", partial(_connects, port)):
            yield port

    @contextmanager
    def _forwarding(self, host: str, what: str, connects: Callable[[], bool]) -> Iterator[None]:
        """An SSH connection of its own that forwards ``what`` (local:remote) for as long as it is needed, from when it
        ``connects``. Raises Unreachable with what ssh said."""
        options = ("-N", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes", "-L", what)
        with tempfile.TemporaryFile("w+", dir=self.folder) as errors:
            process = subprocess.Popen(
                ["ssh", "-F", str(self.ssh_config), *options, host], stdin=subprocess.DEVNULL, stderr=errors
            )

            def ssh_errors() -> str:
                errors.seek(0)
                return errors.read()

            def listens() -> bool:
                if process.poll() is not None:
                    raise Unreachable(f"the SSH tunnel to {host} ended: {ssh_errors().strip()}")
                return connects()

            try:
                until(
                    listens,
                    10,
                    f"the SSH tunnel to {host}",
                    last=ssh_errors,
                    every=0.05,
                    despite=(OSError,),
                    error=Unreachable,
                )
                yield
            finally:
                _end(process)

    def url(self, role: str, database: str, address: str, port: int, driver: str = "postgresql") -> str:
        """A URL for ``role``, with its password and the authority to verify the server by. Secret."""
        password = quote(self.roots.password(role), safe="")
        return f"{driver}://{role}:{password}@{address}:{port}/{database}?sslmode=verify-full&sslrootcert={self.ca}"


@dataclass(frozen=True)
class Superuser:
    """A socket of the primary, brought here by SSH, with what root on its host may be: postgres, and less."""

    directory: Path

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection as postgres; in a product's database only for changes (`db.sessions`). The caller closes it."""
        from db import sessions  # most steps need no database driver, and it is slow to import

        return sessions.superuser(database, host=str(self.directory), connect_timeout=10)

    def look(self, database: str, user: str = LOOK) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection that changes nothing, as the login that reads the catalogue, or as one of `LOCAL`. The caller
        closes it."""
        from db import sessions

        return sessions.look(database, user, host=str(self.directory), connect_timeout=10)

    def restore(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection as the login that loads what was restored (`ops.backup.loading`). The caller closes it."""
        import psycopg

        where = f"host={self.directory} user={RESTORE} dbname={database}"
        return psycopg.connect(where, options="-c search_path=pg_catalog", connect_timeout=10)


@contextmanager
def open_session(manifest: Manifest, roots: Roots) -> Iterator[Session]:
    """A session for ``manifest``; everything it wrote is removed at the end."""
    memory = Path("/dev/shm")  # noqa: S108 - a private directory is made inside
    base = memory if memory.is_dir() else Path(tempfile.gettempdir())
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))
    session = Session(_as_they_run(manifest), roots, folder)
    try:
        _write(session.key, private_openssh(roots.ssh_key("controller")))
        _write(session.known_hosts, "".join(_known_host(host) for host in session.manifest.hosts))
        _write(session.ssh_config, _ssh_config(session))
        _write(session.ca, ca_certificate(roots))
        yield session
    finally:
        ending = [
            subprocess.Popen(
                ["ssh", "-F", str(session.ssh_config), "-O", "exit", host.name],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for host in manifest.hosts
            if (folder / f"mux-{host.name}").exists()
        ]  # fmt: skip
        for process in ending:
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _as_they_run(manifest: Manifest) -> Manifest:
    """The manifest with containers reached where their sshd is published now: one that is to get another port has the old one
    until it is replaced, and its peers are asked about it before."""
    if manifest.identity.provider is not Provider.DOCKER:
        return manifest
    ports = sshd_ports(manifest.identity.name)
    hosts = tuple(
        host.model_copy(update={"ssh": host.ssh.model_copy(update={"port": ports.get(name, host.ssh.port)})})
        for host in manifest.hosts
        for name in (container(manifest.identity.name, host.name),)
    )
    return manifest.model_copy(update={"hosts": hosts})


NO_KEY_PAIR = (43, 58)
"""curl's exit status where it cannot use its own key, and its own certificate; older ones say 58 of both."""
PREFIX = "keel-session-"


def _sweep(base: Path) -> None:
    """Remove the folders of sessions whose process was killed: they hold keys."""
    for folder in base.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def export(session: Session) -> Path:
    """Write what another program (the verification) needs into the session: manifest and roots, for its user only."""
    path = session.folder / "context.json"
    content = {
        "manifest": session.manifest.model_dump(mode="json"),
        "roots": session.roots.secrets(),
        "folder": str(session.folder),
    }
    _write(path, json.dumps(content))
    return path


def adopt(context: Path) -> Session:
    """The session that :func:`export` wrote, in the program it was written for."""
    content = json.loads(context.read_text())
    manifest = Manifest.from_slice(content["manifest"])
    return Session(manifest, Roots(manifest.identity.name, **content["roots"]), Path(content["folder"]))


def _write(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.write_text(content)


def _known_host(host: HostEntry) -> str:
    where = host.ssh.hostname if host.ssh.port == 22 else f"[{host.ssh.hostname}]:{host.ssh.port}"
    return f"{where} {host.ssh.host_key}\n"


def _ssh_config(session: Session) -> str:
    blocks = []
    for host in session.manifest.hosts:
        blocks.append(
            f"Host {host.name}\n  HostName {host.ssh.hostname}\n  Port {host.ssh.port}\n  User root\n"
            f"  IdentityFile {session.key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {session.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
            f"  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 5\n"
            # A line that is dead for a minute ends what waits on it.
            f"  ServerAliveInterval 10\n  ServerAliveCountMax 6\n  LogLevel ERROR\n"
            f"  ControlMaster auto\n  ControlPath {session.folder}/mux-%n\n  ControlPersist 600\n"
        )
    return "\n".join(blocks)


def _connects(where: Path | int) -> bool:
    """Whether someone listens on a socket or a local port. The socket's file alone is not enough: it comes earlier."""
    family, address = (
        (socket.AF_UNIX, str(where)) if isinstance(where, Path) else (socket.AF_INET, ("127.0.0.1", where))
    )
    with socket.socket(family) as probe:
        probe.settimeout(1)
        probe.connect(address)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        # ssh may miss a signal that comes just before it begins to wait.
        process.kill()
        process.wait()
