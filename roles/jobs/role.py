"""Scheduled work on the backup host: backups, dumps, and the first backup of a new cluster (PLAT-45)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from pyinfra import host
from pyinfra.api import FactBase, operation

from environment.manifest import ProductEntry
from environment.names import BACKUP
from environment.products import revisions
from environment.repositories import Repository, written
from environment.settings import Schedule
from environment.types import Group
from keel_host import pgbackrest
from keel_host.config import BackupHost, Product, text
from keel_host.pgbackrest import FIRST
from roles import paths
from roles.kit.declare import Directory, File, Role, Target
from roles.kit.observe import Present
from roles.kit.results import perform
from roles.pgbackrest.options import folder
from roles.pgbackrest.role import receives

CRON = f"{paths.CRON_READS}/keel"
LOGROTATE = "/etc/logrotate.d/keel"
LOGS = "/var/log/keel"
PASSFILE = f"{paths.KEEL}/backup.pgpass"
SCHEMA = f"{paths.LIBRARY}/schema"
"""The recorded catalogue of each product, for a drill to compare with."""


class Jobs(Role):
    """Cron entries, each with a lock, a log and metrics; and at the end a cluster that has a backup."""

    name = "jobs"

    def packages(self, target: Target) -> tuple[str, ...]:
        """Also those that bring extensions of the products: a scratch server reads the same data."""
        return (*super().packages(target), *target.manifest.extension_packages)

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (
            Directory(paths.CRON_READS, read=paths.SEEN if target.without_people else ""),
            Directory(LOGS),
            Directory(paths.METRICS),
            Directory(SCHEMA),
            *(Directory(path, "postgres", "postgres", "700") for path in (paths.KNOWN, paths.DUMPS)),
            Directory(paths.DRILLS, mode="700"),
            Directory(paths.RECOVERIES),
        )

    def files(self, target: Target) -> tuple[File, ...]:
        manifest = target.manifest
        values = {"job": paths.JOB, "watch": paths.WATCH_ARCHIVE, "schedule": manifest.schedule}
        return (
            File(str(BackupHost.FILE), text(settings(target)), "root", "postgres", "640"),
            *(
                File(f"{SCHEMA}/{name}.txt", entry.product.catalogue_file.read_text())
                for name, entry in manifest.products.items()
            ),
            File(PASSFILE, self.render("pgpass.j2", target, **_login(target)), "postgres", "postgres", "600"),
            File(LOGROTATE, self.render("logrotate.j2", target, logs=LOGS)),
            # Cron takes only files that root alone can write, and reads them again by itself.
            File(CRON, self.render("crontab.j2", target, written=written(manifest.repository), **values)),
        )

    def converge_cluster(self, target: Target) -> None:
        """A stanza for this cluster in every repository and, where there is none, its first backup."""
        asked = {
            each: host.get_fact(
                Stanza, question=paths.pgbackrest(target.manifest, f"--repo={each.number} {paths.INFO}")
            )
            for each in written(target.manifest.repository)
        }
        states = {each: state for each, state in asked.items() if not _is_away(each, state)}
        perform(f"jobs: stanza {target.manifest.stanza}", _create_stanza, target, list(states.values()))
        for each, state in states.items():
            perform(f"jobs: a first full backup in repository {each.title}", _first_backup, each, state)
        if receives(target) and target.manifest.repository.second:
            served = host.get_fact(Present, path=paths.SERVED_CONFIG)
            perform("jobs: database hosts read the first repository alone", _hide_second, served)
        perform("jobs: the archive is watched", _watched, host.get_fact(Present, path=paths.ALERTS))
        if target.manifest.recovery:
            token = target.manifest.recovery.token
            known = host.get_fact(Present, path=f"{paths.RECOVERIES}/{token}")
            perform(f"jobs: recovery {token} is done", _recovered, token, known)


def _server(target: Target) -> str:
    """How jobs reach the primary, whichever host it is, as the backup role; the database's name is to follow. A database
    on the backup host itself is reached over its socket."""
    members = target.manifest.carrying(Group.POSTGRES)
    names = ",".join(paths.SOCKETS if member.name == target.host.name else member.name for member in members)
    return (
        f"host={names} port={target.manifest.ports.postgres} user={BACKUP} passfile={PASSFILE} "
        f"target_session_attrs=read-write connect_timeout=10 sslmode=verify-full sslrootcert={paths.CA}"
    )


def _login(target: Target) -> dict[str, str]:
    """As whom the jobs reach the primary."""
    return {"role": BACKUP, "password": target.roots.password(BACKUP)}


def settings(target: Target) -> BackupHost:
    """The settings of the programs on the backup host."""
    manifest = target.manifest
    kept = written(manifest.repository)
    return BackupHost(
        stanza=manifest.stanza,
        binaries=Path(paths.binaries(manifest)),
        library=Path(paths.LIBRARY),
        fetch_wal=Path(paths.FETCH_WAL),
        server=_server(target),
        logs=Path(LOGS),
        locks=Path("/run"),
        schema=Path(SCHEMA),
        volume=Path(paths.REPOSITORY),
        archive=Path(f"{folder(kept[0])}/archive/{manifest.stanza}"),
        dumps=Path(paths.DUMPS),
        metrics=Path(paths.METRICS),
        known_moments=Path(paths.KNOWN),
        drills=Path(paths.DRILLS),
        restore_points=Path(paths.POINTS),
        positions=Path(paths.POSITIONS),
        archive_gaps=Path(paths.ARCHIVE_GAPS),
        alerts=Path(paths.ALERTS),
        certificates=Path(paths.TLS),
        copied=Path(paths.COPIED),
        scratch_config=Path(paths.SCRATCH_CONFIG),
        copy_config=Path(paths.SECOND_CONFIG),
        retention_days=manifest.repository.retention_days,
        archive_limit=manifest.repository.archive_limit,
        copies_at_once=manifest.repository.processes,
        repositories={each.job_suffix: each.number for each in kept},
        schedule=_times(manifest.schedule, kept),
        products={name: _product(entry) for name, entry in sorted(manifest.products.items())},
    )


def _product(entry: ProductEntry) -> Product:
    """What jobs know of a product: see its `product.yaml`."""
    product = entry.product
    return Product(
        head=revisions(product.name)[-1],
        extensions=tuple(sorted(product.extensions)),
        tenants=tuple(sorted(product.tenant_tables)),
        plain_dump=product.dumps.plain,
        selected_tables=product.dumps.selected,
    )


def _is_away(repository: Repository, held: pgbackrest.Stanza | None) -> bool:
    """True for one, not the first, that does not answer: everything else is done without it, and the verification reports it."""
    return repository.number != FIRST and held is not None and bool(held.unanswered)


def _times(schedule: Schedule, kept: Sequence[Repository]) -> dict[str, str]:
    """Job → when it is due; the dumps follow the full backup, and so does each other repository's."""
    times = {
        "full": schedule.full,
        "dumps": schedule.full,
        "differential": schedule.differential,
        "incremental": schedule.incremental,
        "drill": schedule.drill,
        **{f"full{repository.job_suffix}": schedule.full for repository in kept[1:]},
    }
    return {job: time for job, time in times.items() if time != "off"}


class Stanza(FactBase[pgbackrest.Stanza | None]):
    """What a repository holds of this cluster; None when pgBackRest gave no answer."""

    def command(self, question: str) -> str:
        return f"{question} || true"

    def process(self, output: Iterable[str]) -> pgbackrest.Stanza | None:
        text = "".join(output)
        return pgbackrest.read(text) if text else None


@operation()
def _recovered(token: str, known: bool) -> Generator[str, None, None]:
    """After a recovery: a full backup of the new timeline, then the token has acted and acts no more."""
    if not known:
        yield f"{paths.JOB} full"
        yield f"date -u +%FT%TZ > {paths.RECOVERIES}/{token}"


@operation()
def _watched(known: bool) -> Generator[str, None, None]:
    """The first look; cron does the others."""
    if not known:
        yield paths.WATCH_ARCHIVE


@operation()
def _create_stanza(target: Target, states: list[pgbackrest.Stanza | None]) -> Generator[str, None, None]:
    if not all(held and held.histories for held in states):
        yield paths.pgbackrest(target.manifest, "stanza-create")
        if receives(target):
            yield paths.SEAL_ARCHIVE  # so that the server's account may add WAL to it
        # Switches the WAL, which also wakes an archiver that waits after its failures, and sees it arrive.
        yield paths.pgbackrest(target.manifest, "check")


@operation()
def _first_backup(repository: Repository, held: pgbackrest.Stanza | None) -> Generator[str, None, None]:
    if not (held and held.backups):
        yield f"{paths.JOB} full{repository.job_suffix}"


@operation()
def _hide_second(served: bool) -> Generator[str, None, None]:
    """The cluster is made: what its making needed of a store elsewhere is hidden again (ops/backup/served.py)."""
    if served:
        yield f"rm -f {paths.SERVED_CONFIG}"
