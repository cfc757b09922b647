"""A second repository in a real S3 server: both are written, neither holds the other up, and the second is enough."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from ops import backup, repository
from ops.cluster import members, patroni
from ops.docker import docker
from ops.restore import archive_all
from ops.session import Session
from roles import paths
from tests.system.environments import Ephemeral
from tests.system.fingerprint import fingerprint
from tests.system.s3 import BUCKET, S3
from tests.system.test_60_backup import forget_markers, listed, mark, marked


@pytest.fixture(scope="module")
def store(ci: Ephemeral, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The environment with a second repository, whose keys are Pulumi secrets; at the end without it again."""
    gateway = ci.config["keel:network"]["cidr"].replace(".0/24", ".1")
    store = S3(tmp_path_factory.mktemp("s3"), gateway)
    store.start()
    second = {
        "endpoint": gateway,
        "port": store.port,
        "bucket": BUCKET,
        "path": "/keel",
        "uri_style": "path",
        "ca": store.ca,
    }
    ci.config["keel:repository"] = {"second": second}
    ci.save()
    keys = {"keel:s3_key": store.key, "keel:s3_secret": store.secret}
    for name, value in keys.items():
        ci.pulumi("config", "set", "--secret", name, value)
    ci.config |= keys
    try:
        ci.up()
        yield store
    finally:
        for name in ("keel:repository", "keel:recovery", *keys):
            ci.config.pop(name, None)
        ci.save()
        ci.up()
        store.stop()


def held(environment: Ephemeral, number: int) -> list[dict[str, Any]]:
    """The backups in one repository."""
    return [made for made in listed(environment)["stanza"]["backup"] if made["database"]["repo-key"] == number]


def write_segments(session: Session, count: int) -> None:
    """Fill that many segments of WAL, then see all of it archived."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        connection.autocommit = True
        for _ in range(count):
            connection.execute("select pg_logical_emit_message(false, 'test', 'x')")
            connection.execute("select pg_switch_wal()")
    archive_all(session)


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(180), wait=wait_fixed(1))
def copied(session: Session) -> bool:
    """True once the second archive ends where the first one does."""
    ends = {archive.repository: archive.max for archive in repository.stanza(session).archive}
    return ends.get(2) == ends[1]


def test_both_are_written(ci: Ephemeral, store: S3) -> None:
    """PLAT-31, PLAT-33, PLAT-35: backups and WAL, encrypted, and all of it verified; the list says where a backup lies."""
    assert [made["type"] for made in held(ci, 2)] == ["full"], "a new repository begins with a full backup"
    before = len(held(ci, 1))
    ci.keel("backup", "run", "--type", "incremental")
    assert (len(held(ci, 1)), len(held(ci, 2))) == (before + 1, 2)
    assert "2 (S3)" in ci.keel("backup", "list").stdout
    with ci.session() as session:
        archive_all(session)
        assert copied(session)
    told = ci.keel("backup", "verify").stdout
    assert told.count("status: ok") == 2 and "repository 2 (S3)" in told
    # What is bundled has no head of its own.
    named = [path for path in store.data.rglob("*") if path.is_file() and "bundle" not in path.parts]
    assert len(named) > 10 and all(
        path.read_bytes().startswith(b"Salted__") for path in named if "archive" in path.parts
    )


def test_its_keys_are_in_no_state_and_no_argument(ci: Ephemeral, store: S3) -> None:
    """JEEX-30: nor readable for others on the host."""
    state = "".join(path.read_text() for path in (ci.project / "state").rglob("*.json"))
    stack = (ci.project / "stacks" / f"Pulumi.{ci.name}.yaml").read_text()
    assert store.secret not in state + stack and store.key not in state + stack
    with ci.session() as session:
        host = session.manifest.repository_host.name
        arguments = session.run(host, "cat /proc/[0-9]*/cmdline /var/log/pgbackrest/*.log 2>/dev/null | tr '\\0' ' '")
        modes = session.run(
            host, f"stat -c '%U %a' $(grep -rlF {store.secret} /etc /run /var/lib/pgbackrest)"
        ).splitlines()
    assert store.secret not in arguments and set(modes) == {"postgres 640"}


@pytest.mark.parametrize("how", ["is away", "hangs"])
def test_a_store_that_fails_holds_nothing_up(ci: Ephemeral, store: S3, how: str) -> None:
    """PLAT-31, PLAT-32: the primary's WAL goes on to the first repository; what the store missed follows by itself."""
    with ci.session() as session:
        if how == "hangs":
            store.hang()
            write_segments(session, 6)
        else:
            store.stop()
            write_segments(session, 6)
            before = len(held(ci, 1))
            failed = ci.keel("backup", "run", "--type", "incremental", check=False)
            assert failed.returncode == 2 and "repository 2 (S3)" in failed.stderr, failed.stderr
            assert len(held(ci, 1)) == before + 1, "the first one's backup completes"
        assert missing(session) > 0
        store.stop()
        store.start()
        assert copied(session)
    ci.keel("backup", "run", "--type", "incremental")
    assert ci.keel("verify").returncode == 0


@retry(retry=retry_if_result(lambda found: found == 0), stop=stop_after_delay(180), wait=wait_fixed(1))
def missing(session: Session) -> int:
    """How many files the host says that the second archive lacks, once it says so."""
    metrics = session.run(session.manifest.repository_host.name, f"cat {paths.METRICS}/copy_archive.prom")
    return int(metrics.partition("missing_files ")[2].split()[0])


def test_a_table_comes_from_the_second_when_the_first_is_lost(ci: Ephemeral, store: S3) -> None:
    """PLAT-34, CF-29: the cluster lives, the files of the first repository are gone; `up --refresh` begins it anew."""
    with ci.session() as session:
        host = session.manifest.repository_host.name
        mark(session, "deleted-by-mistake")
        backup.restore_point(session, "jeex_idea", "second-point")
        forget_markers(session)
        archive_all(session)
        assert copied(session)
        session.run(host, f"rm -rf {paths.REPOSITORY}/generation-1")
        ci.up("--refresh")
        assert held(ci, 1) and len(held(ci, 2)) >= 2
        told = ci.keel("restore", "--to", "second-point", "--product", "jeex_idea", "--table", "users", "--yes").stdout
        there = told.partition(" is now ")[2].split(",")[0]
        with session.superuser() as superuser, superuser.connect("jeex_idea") as connection:
            found = connection.execute(f"select name from {there} where email like 'marker-%'".encode()).fetchall()
            assert found == [("deleted-by-mistake",)]
            connection.execute("drop schema restored cascade")
            connection.commit()


def test_everything_comes_back_from_the_second_repository_alone(ci: Ephemeral, store: S3) -> None:
    """PLAT-36, ADA-26: every volume is lost, the repository's too, and the state; no empty cluster is made unasked."""
    with ci.session() as session:
        mark(session, "kept")
        archive_all(session)
        assert copied(session)
        before = fingerprint(session)
    label = ("--filter", f"label=keel.environment={ci.name}")
    docker("rm", "-f", *docker("ps", "-aq", *label).split())
    docker("volume", "rm", *docker("volume", "ls", "-q", *label).split())
    shutil.rmtree(ci.project / "state")
    (ci.project / "state").mkdir()
    ci.recover()
    refused = ci.up(check=False)
    assert refused.returncode != 0 and "An empty cluster is not made over it" in refused.stdout + refused.stderr
    ci.config["keel:recovery"] = {"token": f"disaster-{secrets.token_hex(4)}"}
    ci.save()
    ci.recover()
    ci.up()
    with ci.session() as session:
        assert fingerprint(session) == before
        assert marked(session) == ["kept"]
        forget_markers(session)
        archive_all(session)
        assert copied(session)
    assert held(ci, 1)[0]["type"] == "full"


def test_a_replica_is_made_from_the_repository(dev: Ephemeral) -> None:
    """PLAT-37: where the cluster is larger than the setting says; it streams from the primary afterwards."""
    dev.config["keel:postgres"] = {**dev.config.get("keel:postgres", {}), "replica_from_repository_above": 1}
    dev.save()
    dev.up()
    try:
        with dev.session() as session:
            replica = next(
                host for host in session.manifest.hosts if host.name.startswith("db") and host != session.leader()
            )
            since = session.run(replica.name, "date +%s").strip()
            patroni(session, replica.name, "/reinitialize", {"force": True})
            log = f"journalctl -u patroni.service --since @{since} -o cat --no-pager"
            assert replaced(
                session, replica.name, f"{log} | grep -c 'replica has been created using repository' || true"
            )
            said = session.run(replica.name, log)
            assert "replica from backup" in said and "restore command end: completed successfully" in said
            assert streaming(session)
    finally:
        del dev.config["keel:postgres"]["replica_from_repository_above"]
        dev.save()
        dev.up()


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(180), wait=wait_fixed(1))
def replaced(session: Session, host: str, shell: str) -> bool:
    """True once Patroni says so."""
    return session.run(host, shell).strip() not in ("", "0")


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(120), wait=wait_fixed(1))
def streaming(session: Session) -> bool:
    """True once every member is well."""
    found = members(session)
    return len(found) == 2 and all(member.well for member in found)
