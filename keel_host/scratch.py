"""A scratch server: restored on the backup host, next to the cluster. It archives nothing, listens on a socket only, and goes at
the end. What a drill examines, and where one product or one table of an earlier moment is taken from.

It has two lives. While it recovers it runs as postgres, because WAL is fetched with the repository's key, and takes no
connections. Then it is stopped, given to an account that can read no key, and started again for those who ask (W0). Root runs
these programs.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from keel_host import files
from keel_host.accounts import POSTGRES, SCRATCH, apart, command
from keel_host.config import BackupHost
from keel_host.pgbackrest import Pgbackrest
from keel_host.processes import Failed, follow
from keel_host.scratch_access import RECOVERING, SERVING, admit, identities

STALLED = 30 * 60
"""Seconds in which a recovery that goes on writes its log or its control file: a segment takes seconds, a restartpoint minutes."""
PREFIX = "scratch-"
"""How the names of their folders on the backup volume begin."""
CONFIGURATION = """\
listen_addresses = ''
ident_file = '{folder}/pg_ident.conf'
shared_buffers = 64MB
hot_standby = off
autovacuum = off
autovacuum_freeze_max_age = 2000000000
max_logical_replication_workers = 0
archive_mode = off
max_wal_size = 2GB
fsync = off
ssl = off
timezone = 'UTC'
lo_compat_privileges = on
shared_preload_libraries = 'pg_stat_statements'
session_preload_libraries = ''
local_preload_libraries = ''
"""
"""Its own settings. It is thrown away, so nothing is synced; without hot_standby no setting must be as the primary's. No process
of its own evaluates anything: autovacuum would, even when it is off, for tables that are old enough. Who may read every row
may read every large object."""
CLUSTERS = ("postgresql*.conf", "pg_*.conf", "patroni.*", "recovery.*", "*.signal", "standby.*")
"""Files of the data directory that say how the cluster runs, such as restore_command; once it has recovered none is needed."""


class Server:
    """A server in a folder of its own: restored, started, stopped, as often as wanted."""

    def __init__(self, host: BackupHost, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.work = folder / "work"
        """For postgres alone: pgBackRest's lock, segments to be looked into, the socket of the recovery, which no client may use."""
        self.sockets = folder / "sockets"
        """For the account of the server, and root."""

    @property
    def pgbackrest(self) -> Pgbackrest:
        """pgBackRest for this server: it only reads the repositories, under a lock of its own."""
        own = (f"--pg1-path={self.data}", f"--lock-path={self.work}")
        return Pgbackrest(self.host.stanza, (f"--config={self.host.scratch_config}", *own), as_root=True)

    def restore(self, *options: str) -> None:
        """Bring the data directory to a backup, with the order to recover; files that are right already are not fetched again,
        all others, whoever wrote them, are replaced."""
        again = ["--delta"] if (self.data / "PG_VERSION").exists() else []
        self.give(POSTGRES)
        fetch = f'{self.host.fetch_wal} everywhere %f "%p" {" ".join(self.pgbackrest.options)}'
        fixed = (f"--recovery-option=restore_command={fetch}", "--archive-mode=off", "--log-level-console=info")
        follow(*self.pgbackrest.command(*fixed, *again, *options, "restore"))

    def start(self) -> None:
        """Recover, then serve those who ask."""
        self.recover()
        self.stop()
        for pattern in CLUSTERS:
            for file in self.data.glob(pattern):
                file.unlink()
        self.give(SCRATCH)
        self.launch(SCRATCH, self.sockets, "serving")
        apart(SCRATCH, partial(admit, self.sockets))

    def recover(self) -> None:
        """Recover, as who can read the repository, and with no client admitted. Raises Failed with the server's last words when it
        ends, or when its recovery makes no progress for STALLED."""
        self.launch(POSTGRES, self.work, "recovering")
        # pg_ctl is content with a server in recovery, and gives up before a long one ends; this one is ready after it.
        moved, since = self.progress(), time.monotonic()
        while not self.serves():
            if not self.control("status"):
                raise Failed(f"the restored server did not reach its target:\n{self.last_words()}")
            if (now := self.progress()) != moved:
                moved, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                raise Failed(f"the recovery made no progress for {STALLED / 60:.0f} minutes:\n{self.last_words()}")
            time.sleep(0.2)

    def launch(self, account: str, sockets: Path, access: str) -> None:
        """Start it as an account; ``access``: which of the two lists says who may connect."""
        self.log.unlink(missing_ok=True)
        self.log.touch(mode=0o600)
        sockets.mkdir(mode=0o700, exist_ok=True)
        for path in (self.log, sockets):
            shutil.chown(path, account, account)
        own = {
            "config_file": self.folder / "postgresql.conf",
            "hba_file": self.folder / f"{access}.conf",
            "unix_socket_directories": sockets,
        }
        settings = " ".join(f"-c {name}={value}" for name, value in own.items())
        started = self.control("-w", "-t", "60", "-l", str(self.log), "-o", settings, "start")
        if not started and account == SCRATCH:
            raise Failed(f"the recovered server does not start:\n{self.last_words()}")

    def give(self, account: str) -> None:
        """Make the files an account's; it closes the folder to all others."""
        follow("chown", "--recursive", "--no-dereference", f"{account}:{account}", str(self.data))

    def progress(self) -> tuple[int, int]:
        """What grows or changes while a recovery goes on: the log's size, and when the control file was written (ns)."""
        control = self.data / "global" / "pg_control"
        return (
            self.log.stat().st_size if self.log.exists() else 0,
            control.stat().st_mtime_ns if control.exists() else 0,
        )

    def last_words(self) -> str:
        """The end of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:]) if self.log.exists() else ""

    def serves(self) -> bool:
        """Whether the server's own file says that its recovery has ended."""
        state = self.data / "postmaster.pid"
        return state.exists() and state.read_text().split()[-1:] == ["ready"]

    def stop(self, mode: str = "fast") -> None:
        """End the server, where one runs."""
        if (self.data / "postmaster.pid").exists() and not self.control("-w", "-t", "3600", "-m", mode, "stop"):
            raise Failed(f"the restored server in {self.folder} does not stop")

    def control(self, *arguments: str) -> bool:
        """pg_ctl, as the owner of the data; whether it succeeded."""
        pg_ctl = command(self.data.owner(), f"{self.host.binaries}/pg_ctl", "-D", str(self.data), "-s", *arguments)
        return subprocess.call(pg_ctl, stdout=subprocess.DEVNULL, cwd="/") == 0


@contextmanager
def scratch_server(host: BackupHost, needed: int) -> Iterator[Server]:
    """A folder for a server of ``needed`` bytes; at the end all of it goes. What killed runs left goes first."""
    with files.locked(host.volume):
        for left in host.volume.glob(f"{PREFIX}*"):
            sweep(host, left)
        check_space(host.volume, needed)
        folder = host.volume / f"{PREFIX}{secrets.token_hex(4)}"
        (folder / "data").mkdir(mode=0o700, parents=True)
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        folder.chmod(0o711)
        server = Server(host, folder)
        (folder / "postgresql.conf").write_text(CONFIGURATION.format(folder=folder))
        (folder / "recovering.conf").write_text(RECOVERING)
        (folder / "serving.conf").write_text(SERVING)
        (folder / "pg_ident.conf").write_text(identities(host.products))
        server.work.mkdir(mode=0o700)
        for own in (server.data, server.work):
            shutil.chown(own, POSTGRES, POSTGRES)
        yield server
    finally:
        remove(host, folder)
        os.close(held)


def sweep(host: BackupHost, folder: Path) -> None:
    """Remove a folder whose program was killed: its lock is free."""
    with suppress(BlockingIOError), files.locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        remove(host, folder)


def remove(host: BackupHost, folder: Path) -> None:
    """The server, however it is, and its files."""
    server = Server(host, folder)
    if (server.data / "postmaster.pid").exists():
        server.control("-w", "-t", "300", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def check_space(volume: Path, needed: int) -> None:
    """Raise Failed unless the volume holds the restored cluster and a tenth of it stays free for the archive."""
    size, _, free = shutil.disk_usage(volume)
    if lack := files.lack_of_space(str(volume), size, free, needed):
        raise Failed(f"{lack}. Nothing was changed")
