"""The archive cannot kill the primary unnoticed: alerts while it is away or full, and what was lost is known as times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import OperationalError
from tenacity import retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from keel_host import metrics
from keel_host.gaps import ArchiveGap
from ops.backup import gaps
from ops.backup.restore import archive_all
from ops.hosts.docker import docker
from ops.hosts.session import Session, Unreachable
from roles import paths
from tests.system.environments import Ephemeral
from tests.system.markers import forget_markers, mark, marked
from tests.system.writer import complete_segments

WATCH = paths.WATCH_ARCHIVE
SERVICE = "keel-pgbackrest.service"
LIMIT = 64
"""MiB: four segments."""


def limited(environment: Ephemeral, **settings: object) -> None:
    """Bring the limit, and what happens there, into force."""
    environment.config["keel:repository"] = {"archive_limit": LIMIT, **settings}
    environment.save()
    environment.up()


@pytest.fixture(scope="module")
def low(trio: Ephemeral) -> Iterator[Ephemeral]:
    """The environment with a low limit; the last test's `up` takes it back."""
    limited(trio)
    yield trio
    if trio.config.pop("keel:repository", None):
        trio.save()
        trio.up("--refresh")


@pytest.fixture
def dropping(ci: Ephemeral) -> Iterator[None]:
    """ci drops what waits beyond a low limit."""
    limited(ci, archive_full="drop")
    yield
    ci.config.pop("keel:repository")
    ci.save()
    ci.up()


def host(session: Session) -> str:
    """The backup host."""
    return session.manifest.repository_host.name


def standing(session: Session) -> dict[str, str]:
    """Alert of the archive → severity, as the last look left them."""
    found = json.loads(session.run(host(session), f"cat {paths.ALERTS}"))["alerts"]
    return {alert["alert"]: alert["severity"] for alert in found if alert["alert"].startswith("archive_")}


def look(session: Session) -> dict[str, str]:
    """The alerts of the archive after a look."""
    session.run(host(session), WATCH)
    return standing(session)


@retry(retry=retry_if_result(lambda found: not found), stop=stop_after_delay(180), wait=wait_fixed(2))
def await_alerts(session: Session, wanted: dict[str, str], looks: bool = True) -> bool:
    """Look until exactly these stand; without ``looks`` cron does."""
    found = look(session) if looks else standing(session)
    return {name: severity for name, severity in found.items() if name in ("archive_waiting", "archive_gap")} == wanted


def write(session: Session, mib: int) -> None:
    """So much WAL that cannot be compressed and no table."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        connection.autocommit = True
        connection.execute(
            "select pg_logical_emit_message(false, 'keel', string_agg(md5(random()::text), '')) "
            "from generate_series(1, %s) piece, generate_series(1, 32768) group by piece",
            [mib],
        )


def now(session: Session) -> datetime:
    """The primary's clock."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row
    return datetime.fromisoformat(str(row[0]))


def moments(gap: ArchiveGap) -> tuple[datetime, datetime]:
    """Between which nothing can be restored."""
    return datetime.fromisoformat(gap.since), datetime.fromisoformat(gap.until)


def backups(environment: Ephemeral) -> list[dict[str, Any]]:
    """What the repository holds."""
    found: list[dict[str, Any]] = json.loads(environment.keel("backup", "list", "--json").stdout)["stanza"]["backup"]
    return found


def refused(environment: Ephemeral, moment: datetime) -> str:
    """What `./keel restore` says to a moment that cannot be reached."""
    done = environment.keel("restore", "--to", moment.astimezone(UTC).isoformat(), "--yes", check=False)
    assert done.returncode == 2, done.stdout
    return done.stderr


@retry(retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(240), wait=wait_fixed(2), reraise=True)
def covered(session: Session) -> ArchiveGap:
    """The one gap that nobody knows of yet, once a backup was made after it, which nobody asked for."""
    look(session)
    fresh = [gap for gap in gaps.unreachable(session) if not gap.acknowledged]
    assert len(fresh) == 1 and fresh[0].until, fresh
    return fresh[0]


def test_alerts_while_the_repository_is_away(low: Ephemeral) -> None:
    """ADA-25: at 50 and 80 % of the limit; nothing is dropped, it catches up by itself and the alerts end."""
    with low.session() as session:
        assert look(session) == {}
        session.run("ops1", f"systemctl stop {SERVICE}")
        try:
            mark(session, "while-away")
            complete_segments(session, 2)
            await_alerts(session, {"archive_waiting": "warning"}, looks=False)  # by cron
            assert "archive_waiting" in low.keel("status", check=False).stdout
            complete_segments(session, 3)
            await_alerts(session, {"archive_waiting": "critical"})
            told = low.keel("status", "--json", check=False)
            assert told.returncode == 1 and "wait on the primary for the archive" in told.stdout
            samples = list(metrics.parse(session.run("ops1", f"cat {paths.METRICS}/archive.prom")))
            assert metrics.value(samples, "keel_archive_limit_bytes") == LIMIT * 2**20
            raised = [sample.labels for sample in samples if sample.name == "keel_alert"]
            assert {"alert": "archive_waiting", "severity": "critical", "subject": ""} in raised
            said = session.run("ops1", "journalctl -t keel -o cat --since -10min")
            assert "warning: " in said and "critical: " in said
        finally:
            session.run("ops1", f"systemctl start {SERVICE}")
        archive_all(session)
        await_alerts(session, {})
        assert not [gap for gap in gaps.unreachable(session) if not gap.acknowledged]
        assert marked(session) == ["while-away"]
        forget_markers(session)


FULL = f"""set -e
systemctl stop {SERVICE}
mkdir -p /run/full
used=$(du -sm {paths.REPOSITORY} | cut -f1)
mount -t tmpfs -o mode=750,size=$((used + 8))M tmpfs /run/full
cp -a {paths.REPOSITORY}/. /run/full/
chown --reference={paths.REPOSITORY} /run/full
mount --bind /run/full {paths.REPOSITORY}
cat /dev/zero > {paths.REPOSITORY}/filler 2>/dev/null || true
systemctl start {SERVICE}
"""
"""Shell: the backup volume is full."""
ROOM = f"rm {paths.REPOSITORY}/filler; mount -o remount,size=800M /run/full"
BACK = f"""set -e
systemctl stop {SERVICE}
rm -f {paths.REPOSITORY}/filler
umount {paths.REPOSITORY}
cp -a /run/full/. {paths.REPOSITORY}/
umount /run/full
systemctl start {SERVICE}
"""


def test_a_full_repository_is_as_one_that_is_away(low: Ephemeral) -> None:
    """ADA-25: the primary works on, the alerts come though nothing can be written beside them, and it recovers by itself."""
    with low.session() as session:
        session.run("ops1", FULL)
        try:
            write(session, 48)
            complete_segments(session, 2)
            await_alerts(session, {"archive_waiting": "critical"})
            mark(session, "while-full")
            session.run("ops1", ROOM)
            archive_all(session)
            await_alerts(session, {})
        finally:
            session.run("ops1", BACK)
        archive_all(session)
        await_alerts(session, {})
        assert marked(session) == ["while-full"]
        forget_markers(session)
    assert low.keel("backup", "verify").returncode == 0


def test_what_a_dead_primary_took_with_it_is_told_as_times(low: Ephemeral) -> None:
    """PLAT-37: repository away, 200 MB written, the primary's host and volumes destroyed, repository back.

    No row is lost, for the replica has them; the archive has a gap, which is found and told, and a full backup begins by itself.
    """
    with low.session() as session:
        archive_all(session)
        look(session)
        mark(session, "archived")
        before, known = now(session), len(backups(low))
        leader = session.leader().name
        session.run("ops1", f"systemctl stop {SERVICE}")
        write(session, 200)
        lost = mark(session, "in-the-gap")
        docker("rm", "-f", low.container(leader))
        for volume in docker("volume", "ls", "-q", "--filter", f"name=^{low.container(leader)}-").split():
            docker("volume", "rm", volume)
        await_primary(session)
        session.run("ops1", f"systemctl start {SERVICE}")
        archive_all(session)
        gap = covered(session)
        assert gap.segments >= 10
        since, until = moments(gap)
        assert (before - since).total_seconds() < 120 and since <= lost < until
        assert backups(low)[known]["type"] == "full"
        assert standing(session)["archive_gap"] == "warning"
        assert gap.sentence in refused(low, lost)
        assert "Moments that you cannot restore to" in low.keel("backup", "list").stdout
        assert gap.since in low.keel("backup", "acknowledge").stdout
        assert "archive_gap" not in look(session)
        assert marked(session) == ["archived", "in-the-gap"]
        forget_markers(session)
    low.config.pop("keel:repository")
    low.save()
    low.recover()
    low.up("--refresh")
    assert low.keel("status").returncode == 0


@retry(
    retry=retry_if_exception_type((Unreachable, OperationalError, AssertionError)),
    stop=stop_after_delay(90),
    wait=wait_fixed(1),
    reraise=True,
)
def await_primary(session: Session) -> None:
    """A server takes commits."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (False,)


def test_what_is_dropped_at_the_limit_is_told_as_times(ci: Ephemeral, dropping: None) -> None:
    """ADA-25: with `archive_full: drop` the primary stays up at the bound, and a full backup follows by itself."""
    with ci.session() as session:
        writable = f"find {paths.REPOSITORY}/generation-1/archive -type d -exec chmod"
        archive_all(session)
        look(session)
        mark(session, "archived")
        session.run(host(session), f"{writable} a-w {{}} +")
        try:
            lost = mark(session, "in-the-gap")
            complete_segments(session, 6)
            await_alerts(session, {"archive_gap": "critical"})
            assert mark(session, "at-the-bound")
        finally:
            session.run(host(session), f"{writable} u+w {{}} +")
        known = len(backups(ci))
        archive_all(session)
        gap = covered(session)
        since, until = moments(gap)
        assert since <= lost < until
        assert backups(ci)[known]["type"] == "full"
        assert gap.sentence in refused(ci, lost)
        ci.keel("backup", "acknowledge")
        assert "archive_gap" not in look(session)
        forget_markers(session)
