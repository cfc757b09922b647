"""Scheduled work on the backup host: backups, dumps, and the first backup of a new cluster (PLAT-45)."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, operation

from environment.load import ROOT
from environment.names import BACKUP
from environment.products import revisions
from environment.repositories import FIRST, UNKNOWN, Repository, written
from environment.settings import Schedule
from environment.types import Group
from roles import paths
from roles.kit.declare import Directory, File, Role, Target
from roles.kit.journal import perform
from roles.kit.observe import Present

DUMP = f"{paths.LIBRARY}/dump-databases"
WATCH = f"{paths.LIBRARY}/watch-archive"
MODULES = ("alerts.py", "continuity.py")
"""Files of this folder that lie beside the programs on the host, which import them."""
POSITIONS = f"{paths.REPOSITORY}/positions.log"
CRON = "/etc/cron.d/keel"
LOGROTATE = "/etc/logrotate.d/keel"
LOGS = "/var/log/keel"
PASSFILE = f"{paths.KEEL}/backup.pgpass"
KNOWN_MOMENT = f"{paths.LIBRARY}/known-moment"
DRILL = f"{paths.LIBRARY}/drill"
SCHEMA = f"{paths.LIBRARY}/schema"
"""The recorded catalogue of each product, for a drill to compare with."""


class Jobs(Role):
    """Cron entries, each with a lock, a log and metrics; and at the end a cluster that has a backup."""

    name = "jobs"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (
            Directory(LOGS),
            # The drill, which is not root's, writes there too.
            Directory(paths.METRICS, "postgres", "postgres"),
            Directory(SCHEMA),
            *(Directory(path, "postgres", "postgres", "700") for path in (paths.KNOWN, paths.DRILLS)),
            Directory(paths.DUMPS, "postgres", "postgres", "700"),
            Directory(paths.RECOVERIES),
        )

    def files(self, target: Target) -> tuple[File, ...]:
        manifest = target.manifest
        values = {
            "job": paths.JOB, "dump": DUMP, "watch": WATCH, "logs": LOGS, "metrics": paths.METRICS, "dumps": paths.DUMPS, "repository": manifest.repository,
            "schedule": manifest.schedule, "times": _times(manifest.schedule, written(manifest.repository)), "positions": POSITIONS, "holes": paths.HOLES, "alerts": paths.ALERTS,
            "known_moment": KNOWN_MOMENT, "drill": DRILL, "known": paths.KNOWN, "drills": paths.DRILLS,
            "points": paths.POINTS, "folder": paths.REPOSITORY, "isolated": paths.ISOLATED, "fetch": paths.FETCH_WAL, "schema": SCHEMA,
            "stanza": manifest.stanza, "server": _server(target), "role": BACKUP,
            "written": written(manifest.repository), "products": sorted(manifest.products), **_forms(target), "facts": _facts(target), "password": target.roots.password(BACKUP),
        }  # fmt: skip
        return (
            File(paths.JOB, self.render("job", target, **values), mode="755"),
            File(DUMP, self.render("dump-databases", target, **values), mode="755"),
            File(KNOWN_MOMENT, self.render("known-moment", target, **values), mode="755"),
            File(paths.ISOLATED_SERVER, self.render("isolated", target, **values), mode="755"),
            File(DRILL, self.render("drill", target, **values), mode="755"),
            File(f"{paths.LIBRARY}/fingerprint.py", self.render("fingerprint", target)),
            *(
                File(f"{paths.LIBRARY}/{name}", (ROOT / "db" / name).read_text())
                for name in ("catalogue.py", "catalogue.sql")
            ),
            *(
                File(f"{SCHEMA}/{name}.txt", (entry.product.folder / "catalogue.txt").read_text())
                for name, entry in manifest.products.items()
            ),
            File(WATCH, self.render("watch-archive", target, **values), mode="755"),
            *(File(f"{paths.LIBRARY}/{name}", Path(__file__).with_name(name).read_text()) for name in MODULES),
            File(PASSFILE, self.render("pgpass.j2", target, **values), "postgres", "postgres", "600"),
            File(LOGROTATE, self.render("logrotate.j2", target, **values)),
            # Cron takes only files that root alone can write, and reads them again by itself.
            File(CRON, self.render("crontab.j2", target, **values)),
        )

    def settle(self, target: Target) -> None:
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
        perform("jobs: the archive is watched", _watched, host.get_fact(Present, path=paths.ALERTS))
        if target.manifest.recovery:
            token = target.manifest.recovery.token
            known = host.get_fact(Present, path=f"{paths.RECOVERIES}/{token}")
            perform(f"jobs: recovery {token} is done", _recovered, token, known)


def _server(target: Target) -> str:
    """How jobs reach the primary, whichever host it is, as the backup role; the database's name is to follow."""
    names = ",".join(host.name for host in target.manifest.carrying(Group.POSTGRES))
    return (
        f"host={names} port={target.manifest.ports.postgres} user={BACKUP} passfile={PASSFILE} "
        f"target_session_attrs=read-write connect_timeout=10 sslmode=verify-full sslrootcert={paths.CA}"
    )


def _forms(target: Target) -> dict[str, Any]:
    """What is dumped of a product beside the whole database in pg_dump's own format: see its `product.yaml`."""
    dumps = {name: entry.product.dumps for name, entry in sorted(target.manifest.products.items())}
    return {
        "plain": [name for name, forms in dumps.items() if forms.plain],
        "selected": {name: forms.selected for name, forms in dumps.items() if forms.selected},
    }


def _facts(target: Target) -> dict[str, dict[str, Any]]:
    """What a drill expects of each product beside its catalogue."""
    return {
        name: {
            "head": revisions(name)[-1],
            "extensions": sorted(entry.product.extensions),
            "tenants": sorted(entry.product.tenant_tables),
        }
        for name, entry in sorted(target.manifest.products.items())
    }


def _is_away(repository: Repository, state: dict[str, Any]) -> bool:
    """True for one beside the first that does not answer: all else is done without it, and the verification tells of it."""
    return repository.number != FIRST and any(each["status"]["code"] == UNKNOWN for each in state.get("repo", []))


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


class Stanza(FactBase[dict[str, Any]]):
    """What the repository holds of this cluster: pgBackRest's own answer, empty when it gave none."""

    default = dict

    def command(self, question: str) -> str:
        return f"{question} || true"

    def process(self, output: Iterable[str]) -> dict[str, Any]:
        text = "".join(output)
        return dict(json.loads(text)[0]) if text else {}


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
        yield WATCH


@operation()
def _create_stanza(target: Target, states: list[dict[str, Any]]) -> Generator[str, None, None]:
    if not all(state.get("db") for state in states):
        yield paths.pgbackrest(target.manifest, "stanza-create")
        # Switches the WAL, which also wakes an archiver that waits after its failures, and sees it arrive.
        yield paths.pgbackrest(target.manifest, "check")


@operation()
def _first_backup(repository: Repository, state: dict[str, Any]) -> Generator[str, None, None]:
    if not state.get("backup"):
        yield f"{paths.JOB} full{repository.job_suffix}"
