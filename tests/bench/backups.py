"""`make bench-backups`: backup, restore and archive next to the raw tools, the way back, the rebuild, and what could be lost.

    python -m tests.bench.backups [--json]

In an environment of its own like dev with the five products filled to about 1 GB, removed afterwards. Every figure comes
from one run, so that those of both compare.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from db import load_rows
from db.populate import Size
from environment.names import POSTGRES_VOLUME, REPLICATION
from ops.backup import jobs
from ops.backup.restore import archive_all
from ops.hosts.session import Session
from ops.products.migrations import migrator
from roles import paths
from tests.system.disaster import lose_everything
from tests.system.environments import Ephemeral, discard, prepare
from tests.system.writer import Writer
from tools import evidence

SIZES = {"componentforge": Size.LARGE}
"""What makes the gigabyte; the other products are filled to a medium size."""
WAL_MB = 512
WATCHED_SECONDS = 150
ASIDE = f"{POSTGRES_VOLUME}/bench"
"""On the volume that holds the data directory, as a copy made in earnest would be."""
AIMS = {"PITR to writable": 30.0, "rebuild from nothing": 180.0, "RPO idle": 60.0, "RPO under load": 60.0}
"""Seconds (issue 5)."""

Figures = dict[str, dict[str, float]]


def main(
    as_json: Annotated[bool, typer.Option("--json", help="write the figures below docs/evidence")] = False,
) -> None:
    """Measure and print."""
    environment = prepare("dev")
    found: Figures = {}
    try:
        environment.up()
        with environment.session() as session:
            fill(session)
            copies(session, found)
            archive(session, found)
            exposure(session, found)
        way_back(environment, found)
        rebuild(environment, found)
    finally:
        discard(environment)
    show(found)
    if as_json:
        content = evidence.circumstances("python -m tests.bench.backups --json") | {"figures": found}
        evidence.keep(evidence.FOLDER / f"bench-backups-{datetime.now(UTC).date()}.json", content)


def fill(session: Session) -> None:
    """Rows in every product, about 1 GB in all."""
    for name, entry in session.manifest.products.items():
        size = SIZES.get(name, Size.MEDIUM)
        with migrator(session, entry.product) as url:
            load_rows.populate(entry.product, url, size, seed=1, progress=lambda *_: None, replace=True)
        print(f"{name}: filled, {size.value}", flush=True)


def copies(session: Session, found: Figures) -> None:
    """A full backup and a restore, and the same bytes by pg_basebackup and cp."""
    manifest, leader = session.manifest, session.leader().name
    replica = next(host.name for host in manifest.hosts if host.name.startswith("db") and host.name != leader)
    size = _cluster_bytes(session)
    as_postgres = "runuser -u postgres --"

    def measured(what: str, run: Callable[[], object]) -> None:
        found[what] = _rate(size, run)

    measured("full backup (pgBackRest)", lambda: jobs.run(session, jobs.Job.FULL, lambda _: None))
    with _aside(session, replica):
        measured(
            "pg_basebackup",
            lambda: session.run(
                replica,
                f"{as_postgres} env PGPASSFILE={paths.PATRONI_PASSFILE} pg_basebackup -D {ASIDE}/data -X stream -c fast "
                f"-d 'host={manifest.host(leader).address} user={REPLICATION} sslmode=verify-full sslrootcert={paths.CA} sslcert={paths.TLS}/{REPLICATION}/cert.pem sslkey={paths.TLS}/{REPLICATION}/key.pem'",
                timeout=3600,
            ),
        )
    with _aside(session, replica):
        measured(
            "cp",
            lambda: session.run(
                replica, f"cp -a {paths.data_directory(manifest)} {ASIDE}/data && sync -f {ASIDE}", timeout=3600
            ),
        )
    with _aside(session, replica):
        command = f"--pg1-path={ASIDE}/data --archive-mode=off restore"
        measured(
            "restore (pgBackRest)",
            lambda: session.run(replica, paths.pgbackrest(manifest, command), timeout=3600),
        )


def archive(session: Session, found: Figures) -> None:
    """WAL from its writing to its being in the repository, and the same number of bytes by cp."""
    leader = session.leader().name
    archive_all(session)

    def write() -> None:
        with session.superuser() as superuser, superuser.connect("postgres") as connection:
            for _ in range(WAL_MB):
                connection.execute(
                    "select pg_logical_emit_message(false, 'bench', string_agg(md5(random()::text), '')) "
                    "from generate_series(1, 32768)"
                )
        archive_all(session)

    found["archive (pgBackRest)"] = _rate(WAL_MB * 2**20, write)
    with _aside(session, leader):
        newest = (
            f"ls -t {paths.data_directory(session.manifest)}/pg_wal | grep -E '^[0-9A-F]{{24}}$' | head -{WAL_MB // 16}"
        )
        copied = int(session.run(leader, f"{newest} | wc -l")) * 16 * 2**20
        copy = f"cd {paths.data_directory(session.manifest)}/pg_wal && {newest} | xargs -I% sh -c 'cp % {ASIDE}/% && sync {ASIDE}/%'"
        found["archive (cp)"] = _rate(copied, lambda: session.run(leader, copy, timeout=600))


def exposure(session: Session, found: Figures) -> None:
    """RPO: how old the oldest write is that the repository does not hold, at worst, seen each quarter of a second."""
    found["RPO idle"] = {"seconds": _oldest_unarchived(session, pause=20)}
    found["RPO under load"] = {"seconds": _oldest_unarchived(session, pause=0.0)}


def _oldest_unarchived(session: Session, pause: float) -> float:
    worst = 0.0
    began: dict[str, float] = {}
    with (
        Writer(session.manifest, session.roots, pause),
        session.superuser() as superuser,
        superuser.connect("postgres") as connection,
    ):
        connection.autocommit = True
        until = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < until:
            row = connection.execute(
                "select pg_walfile_name(pg_current_wal_insert_lsn()), coalesce(last_archived_wal, ''), "
                "pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') % 16777216 from pg_stat_archiver"
            ).fetchone()
            assert row
            now = time.monotonic()
            # A segment counts from when something was written into it that is more than its header and idle records.
            if row[2] > 1024:
                began.setdefault(row[0], now)
            began = {segment: since for segment, since in began.items() if segment > row[1]}
            worst = max([worst, *(now - since for since in began.values())])
            time.sleep(0.25)
    return round(worst, 1)


def way_back(environment: Ephemeral, found: Figures) -> None:
    """Restore in place to a moment, from the command to the first acknowledged write, and to the command's end."""
    with environment.session() as session:
        with Writer(session.manifest, session.roots):
            time.sleep(5)
        moment = datetime.now(UTC)
        with Writer(session.manifest, session.roots):
            time.sleep(5)
        size = _cluster_bytes(session)
        with _first_write_after(session) as writable:
            begun = time.monotonic()
            environment.keel("restore", "--to", moment.isoformat(), "--yes")
            whole = time.monotonic() - begun
    found["PITR to writable"] = {"seconds": round(writable[0] - begun, 1), "mb": size >> 20}
    found["PITR, replicas and a full backup included"] = {"seconds": round(whole, 1), "mb": size >> 20}


@contextmanager
def _first_write_after(session: Session) -> Iterator[list[float]]:
    """When a write was first acknowledged again after none was for a second."""
    seen: list[float] = []
    over = threading.Event()
    with Writer(session.manifest, session.roots, pause=0.05) as writer:

        def watch() -> None:
            number, since, away = 0, time.monotonic(), False
            while not over.wait(0.05):
                if len(writer.acknowledged) > number:
                    if away:
                        seen.append(time.monotonic())
                        return
                    number, since = len(writer.acknowledged), time.monotonic()
                away = away or time.monotonic() - since > 1

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


def rebuild(environment: Ephemeral, found: Figures) -> None:
    """From the repository's volume alone to a verified platform; the image is there."""
    with environment.session() as session:
        archive_all(session)
        size = _cluster_bytes(session)
    lose_everything(environment)
    environment.config["keel:recovery"] = {"token": f"bench-{secrets.token_hex(4)}"}
    environment.save()
    begun = time.monotonic()
    environment.recover()
    environment.up()
    found["rebuild from nothing"] = {"seconds": round(time.monotonic() - begun, 1), "mb": size >> 20}


@contextmanager
def _aside(session: Session, host: str) -> Iterator[None]:
    """An empty folder of postgres, removed afterwards; what the machine has still to write is written first."""
    session.run(host, f"rm -rf {ASIDE}; install -d -o postgres -g postgres -m 700 {ASIDE} {ASIDE}/data; sync")
    try:
        yield
    finally:
        session.run(host, f"rm -rf {ASIDE}", timeout=600)


def _cluster_bytes(session: Session) -> int:
    data = paths.data_directory(session.manifest)
    return int(session.run(session.leader().name, f"du -sb --exclude=pg_wal {data} | cut -f1"))


def _rate(size: int, run: Callable[[], object]) -> dict[str, float]:
    begun = time.monotonic()
    run()
    seconds = time.monotonic() - begun
    return {"seconds": round(seconds, 1), "mb": size >> 20, "mb_per_second": round(size / seconds / 2**20, 1)}


def show(found: Figures) -> None:
    """Print the table."""
    table = Table()
    for column in ("what", "seconds", "aim", "MiB", "MiB/s"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, one in found.items():
        cells = (f"{one['seconds']:.1f}", f"{AIMS[what]:.0f}" if what in AIMS else "")
        more = tuple(f"{one[key]:,.0f}" if key in one else "" for key in ("mb", "mb_per_second"))
        table.add_row(what, *cells, *more, style="red" if one["seconds"] > AIMS.get(what, one["seconds"]) else None)
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
