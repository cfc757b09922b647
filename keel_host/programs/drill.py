"""Prove the newest backup: restore it to a scratch server, examine it, and compare it with a known moment (PLAT-35, ADA-26, ADA-27).

drill        exit status 0 passed, 1 failed; a report under <drills>, metrics in the text format; run as root

First to the newest known moment, where every table must hold the rows that were recorded there. Then to a random time
between the backup and the end of the archive: schema, row-level security, pg_amcheck, checksums. The repository is read as
postgres, the restored server is asked as its own account (keel_host/scratch.py).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from keel_host import known
from keel_host.accounts import POSTGRES, SCRATCH, apart, command
from keel_host.config import BackupHost, read
from keel_host.drill_report import Check, Report, keep
from keel_host.examine import examine, objections
from keel_host.fingerprint import METHOD, Table, fingerprint
from keel_host.known import KnownMoment
from keel_host.pgbackrest import FIRST, Backup, Pgbackrest, Stanza
from keel_host.processes import AS_POSTGRES, Failed, end_on_signals, follow
from keel_host.scratch import Server, scratch_server
from keel_host.scratch_access import reader
from keel_host.times import utc
from keel_host.wal import position, segment_before, timeline_of

ARCHIVED_WITHIN = 300
"""Seconds that a known moment may take to reach the archive."""


def main(arguments: list[str]) -> int:
    """0 when nothing was found."""
    end_on_signals()
    try:
        return run(read(BackupHost))
    except Failed as error:
        sys.exit(str(error))


def run(host: BackupHost) -> int:
    """Carry it out and write its report; 0 when nothing was found."""
    began = time.time()
    report = Report(host.stanza, utc(began))
    try:
        carry_out(host, report, began)
    except (Failed, OSError, ValueError, psycopg.Error) as error:
        report.check("carried out", [str(error).strip()])
    report.seconds = round(time.time() - began, 1)
    report.result = "failed" if any(check.objections for check in report.checks) else "passed"
    path = keep(host, report, began)
    print(f"{report.result} after {report.seconds:.0f} s: {path}", flush=True)
    return 0 if report.result == "passed" else 1


def carry_out(host: BackupHost, report: Report, began: float) -> None:
    """All of it, as far as it can be done. Raises Failed where nothing further can."""
    held = stanza(host)
    backup = held.backups[-1]
    report.backup = backup.label
    moment = known.newest(host.known_moments) or name_moment(host)
    if not report.check("identity", identity(host, held, moment), f"system {moment.system}"):
        return
    archived = newest_wal(held)
    if not fits(moment, backup, archived):
        # The end of a backup is told in whole seconds: a commit within that second would leave no time to recover to.
        time.sleep(max(0.0, backup.timestamp.stop + 1 - time.time()))
        moment = name_moment(host)
    report.known = moment.name
    newest = await_archived(host, moment.wal)
    options = (f"--set={backup.label}", f"--repo={backup.repository}", "--target-action=promote")
    with scratch_server(host, backup.info.size) as server:
        restoring = time.time()
        server.restore(*options, "--type=name", f"--target={moment.name}")
        server.start()
        report.rto_seconds = round(time.time() - restoring, 1)
        ask(report, lambda: compare(server.sockets, moment))
        server.stop()
        server.give(POSTGRES)  # with its control file, which pgBackRest reads before it fetches anything
        first = backup.archive.start
        reachable = last_commit(server, archived, first)
        report.rpo_seconds = round(began - reachable.timestamp(), 1) if reachable else None
        report.target = choose(report, backup, last_commit(server, newest, first))
        server.restore(*options, "--type=time", f"--target={report.target}")
        server.start()
        ask(report, lambda: examine(host, server.sockets))
        server.stop()
        checksums = objections(*command(SCRATCH, f"{host.binaries}/pg_checksums", "--check", "-D", str(server.data)))
        report.check("checksums", checksums, "every page")


def stanza(host: BackupHost) -> Stanza:
    """What the first repository holds. Raises Failed unless there is a backup in it."""
    try:
        held = Pgbackrest(host.stanza, (f"--repo={FIRST}",), as_root=True).info()
    except (Failed, ValueError) as error:
        raise Failed(f"the repository cannot be read: {error}") from error
    if not held.backups:
        raise Failed(f"the repository holds no backup of {host.stanza}: {held.status.message}")
    return held


def newest_wal(held: Stanza) -> str:
    """The newest segment in the archive."""
    return held.archive[-1].max or ""


def name_moment(host: BackupHost) -> KnownMoment:
    """Record a known moment now. Raises Failed."""
    follow(*AS_POSTGRES, str(host.library / "known-moment"))
    moment = known.newest(host.known_moments)
    if moment is None:
        raise Failed(f"known-moment left nothing in {host.known_moments}")
    return moment


def identity(host: BackupHost, held: Stanza, moment: KnownMoment) -> list[str]:
    """Why the repository or the known moment is not this cluster's."""
    found, backup = [], held.backups[-1]
    if moment.environment != host.stanza:
        found.append(f"{moment.name} was recorded in {moment.environment}, this is {host.stanza}")
    system = str(held.history(backup).system)
    if system != moment.system:
        found.append(
            f"{backup.label} is a backup of system {system}, {moment.name} was recorded in system {moment.system}"
        )
    return found


def fits(moment: KnownMoment, backup: Backup, archived: str) -> bool:
    """Whether a recovery from the backup along the newest timeline, that of ``archived``, can end at the known moment, and what
    is found there be compared with it."""
    return (
        moment.method == METHOD
        and position(moment.lsn) > position(backup.lsn.stop)
        and timeline_of(moment.wal) >= timeline_of(archived)
    )


def await_archived(host: BackupHost, wal: str) -> str:
    """Wait until a segment is in the repository; the newest one there. Raises Failed."""
    until = time.monotonic() + ARCHIVED_WITHIN
    while (newest := newest_wal(stanza(host))) < wal:
        if time.monotonic() > until:
            raise Failed(
                f"{wal} with the known moment is not in the archive after {ARCHIVED_WITHIN} s; the newest is {newest}"
            )
        time.sleep(0.5)
    return newest


ENDED = re.compile(r"desc: COMMIT (\d+-\d+-\d+ \d+:\d+:\d+\.\d+) UTC")


def last_commit(server: Server, wal: str, first: str) -> datetime | None:
    """The time of the last commit up to a segment of the archive, not further back than to ``first``."""
    segment: str | None = wal
    while segment and segment >= first:
        path = server.work / segment
        follow(*server.pgbackrest.command("archive-get", segment, str(path)))
        # It ends with an error where the WAL in the segment does.
        dump = [*AS_POSTGRES, f"{server.host.binaries}/pg_waldump", "-r", "Transaction", str(path)]
        said = subprocess.run(dump, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}, check=False)
        path.unlink()
        if times := ENDED.findall(said.stdout):
            return datetime.fromisoformat(max(times)).replace(tzinfo=UTC)
        segment = segment_before(segment)
    return None


def choose(report: Report, backup: Backup, last: datetime | None) -> str:
    """A random time between the end of the backup and the last commit, which is the last that a recovery can end at."""
    # The end of the backup is told in whole seconds, cut off.
    low = datetime.fromtimestamp(backup.timestamp.stop + 1, UTC)
    if last is None or last <= low:
        raise Failed(f"nothing was committed after {backup.label}: no time after it can be recovered to")
    report.window = [utc(low.timestamp()), last.isoformat()]
    return str(low + (last - low) * random.random())  # noqa: S311 - a sample, not a secret


def ask(report: Report, questions: Callable[[], Iterable[Check]]) -> None:
    """Put questions to the restored server, as the account that it runs as."""
    for answer in apart(SCRATCH, lambda: [astuple(check) for check in questions()]):
        report.check(*answer)


def compare(sockets: Path, moment: KnownMoment) -> Iterator[Check]:
    """Every table of the known moment against what came back."""
    for product, recorded in moment.tables.items():
        title = f"fingerprints of {product}"
        try:
            with reader(sockets, product) as connection:
                found = fingerprint(connection)
        except psycopg.OperationalError as error:
            yield Check(title, [str(error).strip()])
            continue
        moving = moment.moving.get(product, [])
        left_out = f"; left out because they were being written: {', '.join(moving)}" if moving else ""
        rows = sum(count for count, _ in found.values())
        note = f"{len(recorded)} tables, {rows} rows as recorded at {moment.name}{left_out}"
        yield Check(title, differences(recorded, found, moving), note)


def differences(recorded: dict[str, Table], found: dict[str, Table], moving: list[str]) -> list[str]:
    """A sentence for every table that is not as it was recorded."""
    return [
        *(f"{name} is missing" for name in sorted(recorded.keys() - found.keys())),
        *(f"{name} was not there" for name in sorted(found.keys() - recorded.keys() - set(moving))),
        *(
            f"{name} holds {found[name][0]} rows, recorded were {held[0]}" if found[name][0] != held[0]
            else f"{name} holds as many rows as recorded, {held[0]}, but not the same"
            for name, held in sorted(recorded.items()) if name in found and list(found[name]) != list(held)
        ),
    ]  # fmt: skip
