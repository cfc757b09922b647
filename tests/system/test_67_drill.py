"""Drills: a good backup passes; another cluster's, a changed row and damaged files fail, loudly."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from keel_host import metrics
from keel_host.accounts import SCRATCH
from keel_host.config import BackupHost
from ops.backup.restore import archive_all, plan
from ops.backup.scratch import scratch_server
from ops.cluster.patroni import members
from ops.hosts.commands import CommandFailed
from ops.hosts.session import Session
from roles import paths
from tests.system.by_hand import by_hand
from tests.system.environments import COMMAND, Ephemeral
from tests.system.markers import forget_markers, mark


def drilled(ci: Ephemeral, status: int = 0) -> dict[str, Any]:
    """Carry out a drill that ends with ``status``; its report."""
    done = ci.keel("drill", "--json", check=False)
    assert done.returncode == status, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def objections(report: dict[str, Any]) -> str:
    """Everything that was found, in one text."""
    return "\n".join(line for check in report["checks"] for line in check["objections"])


def newest_known(session: Session) -> tuple[str, dict[str, Any]]:
    """Path and content of the last known moment."""
    host = session.manifest.repository_host.name
    path = session.run(host, f"ls {paths.KNOWN}/*.json | tail -1").strip()
    return path, json.loads(session.run(host, f"cat {path}"))


def is_loud(session: Session) -> bool:
    """Whether the failure of the last drill is in the job's metrics, the drill's own, and the journal."""
    host = session.manifest.repository_host.name
    files = f"{paths.METRICS}/job_drill.prom {paths.METRICS}/drill.prom"
    samples = list(metrics.parse(session.run(host, f"cat {files}")))
    journal = session.run(host, "journalctl -t keel --since '-2min' -o cat --no-pager")
    status = metrics.by_label(samples, "keel_job_last_exit_status", "job")
    passed = metrics.value(samples, "keel_drill_last_passed")
    return status == {"drill": 1} and passed == 0 and "job drill failed" in journal


PLANTED = """
create schema planted authorization jeex_idea_owner; set role jeex_idea_owner;
create function planted.gain(public.users) returns text language plpgsql as $$ begin
    if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        copy (select) to program 'touch /tmp/keel-planted';
    end if;
    return 'always the same';
end $$;
create cast (public.users as text) with function planted.gain(public.users)
"""


@contextmanager
def planted(session: Session) -> Iterator[None]:
    """A cast of an owner's rows, which runs a program where a superuser casts one: the record of a catalogue has no casts."""
    with session.superuser() as superuser, superuser.connect("jeex_idea") as connection:
        connection.autocommit = True
        connection.execute(PLANTED.encode())
        try:
            yield
        finally:
            connection.execute(b"reset role; drop schema planted cascade")


def test_the_newest_backup_is_proven(ci: Ephemeral) -> None:
    """PLAT-31, PLAT-35, ADA-26, ADA-27, JEEX-30, JEEX-41: every table, the schema, row-level security, indexes and pages; RTO and RPO.
    W0: what is planted in a product runs for nobody, on the primary or where it is restored."""
    with ci.session() as session:
        host, before = session.manifest.repository_host.name, members(session)
        with planted(session):
            ci.keel("backup", "run", "--type", "known")
            report = drilled(ci)
        assert session.run(host, "ls /tmp | grep keel-planted || true") == ""
        assert report["result"] == "passed" and 0 < report["rto_seconds"] < 4 * 3600
        assert report["rpo_seconds"] is None or report["rpo_seconds"] > 0
        assert report["window"][0][:19] <= report["target"][:19].replace(" ", "T") <= report["window"][1][:19]
        notes = {check["name"]: check["note"] for check in report["checks"]}
        for product, entry in session.manifest.products.items():
            recorded = len(newest_known(session)[1]["tables"][product])
            assert recorded >= len(entry.product.tables)
            assert notes[f"fingerprints of {product}"].startswith(f"{recorded} tables")
            assert "lines of the recorded catalogue" in notes[f"schema of {product}"]
            assert (f"row-level security of {product}" in notes) is bool(entry.product.tenant_tables)
        assert {"identity", "pg_amcheck", "checksums"} <= notes.keys()
        assert members(session) == before, "the cluster was touched"
        assert "scratch-" not in session.run(host, f"ls {paths.REPOSITORY}")
        samples = list(metrics.parse(session.run(host, f"cat {paths.METRICS}/drill.prom")))
        assert metrics.value(samples, "keel_drill_last_passed") == 1
        assert metrics.value(samples, "keel_drill_last_rto_seconds") == report["rto_seconds"]
    assert json.loads(ci.keel("drill", "--last", "--json").stdout) == report
    assert report["backup"] in ci.keel("drill", "--list").stdout


def test_a_changed_row_is_found(ci: Ephemeral) -> None:
    """PLAT-35: as many rows as were recorded, one of them another."""
    with ci.session() as session:
        host = session.manifest.repository_host.name
        mark(session, "drill")
        ci.keel("backup", "run", "--type", "known")
        _, before = newest_known(session)
        with by_hand(session, "jeex_idea") as connection:
            connection.execute("update users set name = 'another' where email like 'marker-drill@%'")
            connection.commit()
        ci.keel("backup", "run", "--type", "known")
        path, after = newest_known(session)
        session.run(host, f"cat > {path}", given=json.dumps(after | {"tables": before["tables"]}))
        try:
            report = drilled(ci, status=3)
        finally:
            session.run(host, f"rm {path}")
            forget_markers(session)
        rows = before["tables"]["jeex_idea"]["public.users"][0]
        assert objections(report) == f"public.users holds as many rows as recorded, {rows}, but not the same"
        assert is_loud(session)


OTHER = """
set -e
cd /tmp; bin=/usr/lib/postgresql/{major}/bin; other=/var/lib/pgbackrest/other
rm -rf $other; install -d $other/repository $other/spool
$bin/initdb -D $other/data -U postgres >/dev/null
sed -e "s#^repo1-path=.*#repo1-path=$other/repository#" -e "s#^pg1-path=.*#pg1-path=$other/data#" \
    -e "s#^pg1-socket-path=.*#pg1-socket-path=$other#" -e "s#^spool-path=.*#spool-path=$other/spool#" -e "s#^lock-path=.*#lock-path=$other#" \
    /etc/pgbackrest/pgbackrest.conf > $other/conf
archive="pgbackrest --config=$other/conf --stanza={stanza} --no-archive-async archive-push %p"
$bin/pg_ctl -D $other/data -s -w -l $other/log -o "-c listen_addresses='' -c unix_socket_directories=$other -c archive_mode=on -c 'archive_command=$archive'" start
trap '$bin/pg_ctl -D $other/data -s -m immediate stop' EXIT
for product in {products}; do psql -h $other -U postgres -qc "create database $product"; done
pgbackrest --config=$other/conf --stanza={stanza} stanza-create
pgbackrest --config=$other/conf --stanza={stanza} --type=full backup
"""
"""Another cluster with the same databases, and its backup under this one's name and key."""


@contextmanager
def another_repository(session: Session) -> Iterator[None]:
    """Another cluster's repository in the place of this one's."""
    host, manifest = session.manifest.repository_host.name, session.manifest
    script = OTHER.format(
        major=manifest.release.postgres, stanza=manifest.stanza, products=" ".join(sorted(manifest.products))
    )
    session.run(host, "runuser -u postgres -- sh", given=script, timeout=COMMAND)
    own = f"{paths.REPOSITORY}/generation-{manifest.repository.generation}"
    session.run(host, f"mv {own} {own}.aside && mv {paths.REPOSITORY}/other/repository {own}")
    try:
        yield
    finally:
        session.run(host, f"rm -rf {own} {paths.REPOSITORY}/other && mv {own}.aside {own}")
        archive_all(session)  # what was refused meanwhile


def test_another_clusters_backup_is_found(ci: Ephemeral) -> None:
    """PLAT-35: the same databases, the same name and key, and not this cluster."""
    with ci.session() as session:
        system = newest_known(session)[1]["system"]
        with another_repository(session):
            report = drilled(ci, status=3)
        assert "is a backup of system" in objections(report) and f"recorded in system {system}" in objections(report)
        assert is_loud(session)


@pytest.mark.family("damage", "roles/jobs/", "roles/pgbackrest/")
@pytest.mark.parametrize("what", ["backup", "archive"])
def test_a_damaged_file_is_found(ci: Ephemeral, what: str) -> None:
    """PLAT-35, PLAT-32: in what a recovery reads: a bundle of the backup, the segment with the known moment."""
    with ci.session() as session:
        host = session.manifest.repository_host.name
        ci.keel("backup", "run", "--type", "known")
        wal = newest_known(session)[1]["wal"]
        pattern = "*/backup/*/bundle/*" if what == "backup" else f"*/archive/*/{wal}-*"
        path = arrived(session, pattern)
        session.run(
            host, f"cp -p {path} /run/kept; printf 'xxxx' | dd of={path} bs=1 seek=100 conv=notrunc status=none"
        )
        try:
            report = drilled(ci, status=3)
        finally:
            session.run(host, f"cp -p /run/kept {path}; rm /run/kept")
        words = "pgbackrest ended with status" if what == "backup" else "did not reach its target"
        assert words in objections(report), report
        assert is_loud(session)


@retry(retry=retry_if_result(lambda path: not path), stop=stop_after_delay(60), wait=wait_fixed(0.5))
def arrived(session: Session, pattern: str) -> str:
    """Path of the newest file in the repository that fits."""
    host = session.manifest.repository_host.name
    return session.run(host, f"find {paths.REPOSITORY} -path '{pattern}' -type f | sort | tail -1").strip()


def test_a_killed_drill_leaves_nothing_that_the_next_one_does_not_remove(ci: Ephemeral) -> None:
    """Its server may still run. The next one passes, with a backup made beside it."""
    with ci.session() as session:
        host = session.manifest.repository_host.name
        job = subprocess.Popen(session.ssh(host, f"{paths.JOB} --follow drill"), stdout=subprocess.PIPE, text=True)
        assert job.stdout
        next(line for line in job.stdout if line.startswith("fingerprints of"))
        session.run(host, f"pkill -KILL -f {paths.LIBRARY}/[d]rill")
        job.communicate()
        assert job.returncode, "a killed drill is a failed job"
        left = session.run(host, f"ls -d {paths.REPOSITORY}/scratch-*").strip()
        beside = subprocess.Popen(session.ssh(host, f"{paths.JOB} incremental"), stdout=subprocess.DEVNULL)
        report = drilled(ci)
        assert beside.wait() == 0 and report["result"] == "passed"
        assert "scratch-" not in session.run(host, f"ls {paths.REPOSITORY}")
        assert session.run(host, f"pgrep -f '[/]{left[1:]}' || true") == ""


def test_a_scratch_server_is_nobody_who_could_read_the_repository(ci: Ephemeral) -> None:
    """W0, JEEX-30: its processes are an account's that reads no key, and whoever comes over SSH is no superuser there."""
    with ci.session() as session:
        host = session.manifest.repository_host.name
        with scratch_server(session, plan(session, "latest"), lambda _: None, only="ruleiq") as server:
            folder = server.folder.removesuffix("/sockets")
            running = session.run(host, f"ps -eo user:20,args | grep '[/]{folder[1:]}/data'").splitlines()
            assert running and {line.split()[0] for line in running} == {SCRATCH}
            for file in ("/etc/pgbackrest/pgbackrest.conf", paths.SCRATCH_CONFIG, str(BackupHost.FILE)):
                with pytest.raises(CommandFailed, match="Permission denied"):
                    session.run(host, f"su -s /bin/sh -c 'cat {file}' {SCRATCH}")
            key = f"$(sed -n s/^repo1-cipher-pass=//p {paths.SCRATCH_CONFIG})"
            assert session.run(host, f'grep -rlF "{key}" {folder} || true; ls {folder}/data | grep conf$ || true') == ""
            with server.owner("ruleiq") as connection:
                assert connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (
                    False,
                )
            with pytest.raises(CommandFailed, match="Peer authentication failed"):
                session.run(host, f"psql -h {server.folder} -U postgres -d ruleiq -c 'select 1'")
