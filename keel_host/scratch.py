"""A scratch server: restored on the backup host, next to the cluster. It archives nothing, listens on a socket only, and goes at
the end. What a drill examines, and where one product or one table of an earlier moment is taken from.
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
from pathlib import Path

from keel_host import files
from keel_host.config import BackupHost
from keel_host.pgbackrest import Pgbackrest
from keel_host.processes import Failed, follow

STALLED = 30 * 60
"""Seconds in which a recovery that goes on writes its log or its control file: a segment takes seconds, a restartpoint minutes."""
PREFIX = "scratch-"
"""How the names of their folders on the backup volume begin."""
CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '{folder}'
hba_file = '{folder}/pg_hba.conf'
ident_file = '{folder}/pg_ident.conf'
shared_buffers = 64MB
hot_standby = off
autovacuum = off
archive_mode = off
max_wal_size = 2GB
fsync = off
timezone = 'UTC'
shared_preload_libraries = 'pg_stat_statements'
"""
"""Its own settings. It is thrown away, so nothing is synced; without hot_standby no setting must be as the primary's."""


class Server:
    """A server in a folder of its own: restored, started, stopped, as often as wanted."""

    def __init__(self, host: BackupHost, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"

    @property
    def pgbackrest(self) -> Pgbackrest:
        """pgBackRest for this server: it only reads the repositories, under a lock of its own."""
        own = (f"--pg1-path={self.data}", f"--lock-path={self.folder}")
        return Pgbackrest(self.host.stanza, (f"--config={self.host.scratch_config}", *own))

    def restore(self, *options: str) -> None:
        """Bring the data directory to a backup, with the order to recover; files that are right already are not fetched again."""
        again = ["--delta"] if (self.data / "PG_VERSION").exists() else []
        fetch = f'{self.host.fetch_wal} everywhere %f "%p" {" ".join(self.pgbackrest.options)}'
        fixed = (f"--recovery-option=restore_command={fetch}", "--archive-mode=off", "--log-level-console=info")
        follow(*self.pgbackrest.command(*fixed, *again, *options, "restore"))

    def start(self) -> None:
        """Recover, and return once connections are taken. Raises Failed with the server's last words when it ends, or when its
        recovery makes no progress for STALLED."""
        settings = f"-c config_file={self.folder}/postgresql.conf"
        self.log.unlink(missing_ok=True)
        self.control("-w", "-t", "60", "-l", str(self.log), "-o", settings, "start")
        # pg_ctl is content with a server in recovery, and gives up before a long one ends; this one takes connections after it.
        moved, since = self.progress(), time.monotonic()
        while not self.serves():
            if not self.control("status"):
                raise Failed(f"the restored server did not reach its target:\n{self.last_words()}")
            if (now := self.progress()) != moved:
                moved, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                raise Failed(f"the recovery made no progress for {STALLED / 60:.0f} minutes:\n{self.last_words()}")
            time.sleep(0.2)

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
        """pg_ctl; whether it succeeded."""
        command = [f"{self.host.binaries}/pg_ctl", "-D", str(self.data), "-s", *arguments]
        return subprocess.call(command, stdout=subprocess.DEVNULL) == 0


@contextmanager
def scratch_server(host: BackupHost, needed: int) -> Iterator[Server]:
    """A folder for a server of ``needed`` bytes; at the end all of it goes. What killed runs left goes first."""
    with files.locked(host.volume):
        for left in host.volume.glob(f"{PREFIX}*"):
            sweep(host, left)
        check_space(host.volume, needed)
        folder = host.volume / f"{PREFIX}{secrets.token_hex(4)}"
        (folder / "data").mkdir(mode=0o700, parents=True)
        own = os.open(folder, os.O_RDONLY)
        fcntl.flock(own, fcntl.LOCK_EX)
    try:
        folder.chmod(0o700)
        (folder / "postgresql.conf").write_text(CONFIGURATION.format(folder=folder))
        (folder / "pg_hba.conf").write_text("local all postgres trust\n")
        (folder / "pg_ident.conf").touch()
        yield Server(host, folder)
    finally:
        remove(host, folder)
        os.close(own)


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
