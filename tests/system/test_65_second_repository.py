"""A second repository in a real S3 server: both are written, the second holds nothing up, and it is enough."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from keel_host import metrics
from keel_host.config import Member
from ops.backup import repository, restore_points
from ops.backup.restore import archive_all
from ops.cluster.patroni import ask, members
from ops.hosts.session import Session
from roles import paths
from tests.system.disaster import lose_everything
from tests.system.environments import Ephemeral
from tests.system.fingerprint import fingerprint
from tests.system.markers import forget_markers, mark, marked, taken_from_restored
from tests.system.s3 import BUCKET, S3
from tests.system.writer import complete_segments


@pytest.fixture(scope="module")
def store(ci: Ephemeral, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The environment with a second repository, whose keys are Pulumi secrets; at the end without it again."""
    gateway = ci.config["keel:network"]["cidr"].replace(".0/24", ".1")
    store = S3(tmp_path_factory.mktemp("s3"), gateway)
    before = dict(ci.config)
    reached = {"endpoint": gateway, "port": store.port, "bucket": BUCKET, "path": "/keel", "uri_style": "path"}
    with ExitStack() as at_the_end:
        at_the_end.callback(store.stop)
        store.start()
        at_the_end.callback(without, ci, before, store)
        ci.config["keel:repository"] = {**before.get("keel:repository", {}), "second": {**reached, "ca": store.ca}}
        ci.save()
        ci.set_secret("keel:s3_key", store.key)
        ci.set_secret("keel:s3_secret", store.secret)
        ci.up()
        yield store


def without(ci: Ephemeral, before: dict[str, Any], store: S3) -> None:
    """The environment as it was ``before``; what held the store's keys is gone."""
    ci.config = before
    ci.secrets.clear()
    ci.save()
    ci.up()
    with ci.session() as session:
        assert known(session, store) == []


def known(session: Session, store: S3) -> list[str]:
    """Owner and mode of each file of the backup host that holds the secret key."""
    look = "grep -rlFf - /etc /run /usr/local/lib /var/lib/pgbackrest | xargs -r stat -c '%U %a'"
    return session.run(session.manifest.repository_host.name, look, given=store.secret).splitlines()


def held(environment: Ephemeral, number: int) -> list[dict[str, Any]]:
    """The backups in one repository."""
    return [made for made in environment.backups()["stanza"]["backup"] if made["database"]["repo-key"] == number]


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(120), wait=wait_fixed(1))
def copied(session: Session) -> bool:
    """True once the second archive ends where the first one does."""
    ends = {archive.repository: archive.max for archive in repository.stanza(session).archive}
    return ends.get(2) == ends[1]


@retry(retry=retry_if_result(lambda found: found == 0), stop=stop_after_delay(120), wait=wait_fixed(1))
def missing(session: Session) -> int:
    """How many files the host says that the second archive lacks, once it says so."""
    text = session.run(session.manifest.repository_host.name, f"cat {paths.METRICS}/copy_archive.prom")
    return int(metrics.value(list(metrics.parse(text)), "keel_copy_archive_missing_files") or 0)


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
    segments = [path for path in store.data.rglob("*") if path.is_file() and "archive" in path.parts]
    assert segments and all(path.read_bytes().startswith(b"Salted__") for path in segments)


def test_its_keys_are_in_no_state_and_no_argument(ci: Ephemeral, store: S3) -> None:
    """JEEX-30: nor readable for others on the host."""
    state = "".join(path.read_text() for path in (ci.project / "state").rglob("*.json"))
    stack = (ci.project / "stacks" / f"Pulumi.{ci.name}.yaml").read_text()
    assert store.secret not in state + stack and store.key not in state + stack
    with ci.session() as session:
        host = session.manifest.repository_host.name
        told = session.run(host, "cat /proc/[0-9]*/cmdline /var/log/pgbackrest/*.log 2>/dev/null | tr '\\0' ' '")
        assert store.secret not in told
        assert set(known(session, store)) == {"postgres 600"}


@pytest.mark.parametrize("how", ["is away", "hangs"])
def test_a_store_that_fails_holds_nothing_up(ci: Ephemeral, store: S3, how: str) -> None:
    """PLAT-31, PLAT-32: the primary's WAL goes on to the first repository; what the store missed follows by itself."""
    with ci.session() as session:
        store.hang() if how == "hangs" else store.stop()
        try:
            complete_segments(session, 6)
            archive_all(session)
            assert missing(session) > 0
        finally:
            store.stop()
            store.start()
        assert copied(session)


def test_a_table_comes_from_the_second(ci: Ephemeral, store: S3) -> None:
    """PLAT-34, CF-29: where it is asked for; the cluster lives."""
    with ci.session() as session:
        mark(session, "deleted-by-mistake")
        restore_points.create(session, "jeex_idea", "second-point")
        forget_markers(session)
        only = ("--product", "jeex_idea", "--table", "users", "--repository", "2")
        told = ci.keel("restore", "--to", "second-point", *only, "--yes").stdout
        assert taken_from_restored(session, told) == ["deleted-by-mistake"]


def test_everything_comes_back_from_the_second_repository_alone(ci: Ephemeral, store: S3) -> None:
    """PLAT-36, ADA-26: every volume is lost, the repository's too, and the state; no empty cluster is made unasked."""
    with ci.session() as session:
        mark(session, "kept")
        archive_all(session)
        assert copied(session)
        before = fingerprint(session)
    lose_everything(ci, repository=True)
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


def test_a_replica_is_made_from_the_repository(trio: Ephemeral) -> None:
    """PLAT-37: where the cluster is larger than the setting says, here one of nothing; it streams from the primary afterwards."""
    settings = Member.FILE
    with trio.session() as session:
        replica = next(member.name for member in members(session) if not member.leads)
        since = session.run(replica, "date +%s").strip()
        session.run(
            replica,
            f"cp -p {settings} {settings}.kept && sed -i 's/\\(from_repository_above.: \\)[0-9]*/\\10/' {settings}",
        )
        try:
            ask(session, replica, "/reinitialize", {"force": True})
            log = f"journalctl -u patroni.service --since @{since} -o cat --no-pager"
            assert replaced(session, replica, log)
            assert "replica from backup" in session.run(replica, log)
            assert streaming(session, replica)
        finally:
            session.run(replica, f"mv {settings}.kept {settings}")


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(120), wait=wait_fixed(1))
def replaced(session: Session, host: str, log: str) -> bool:
    """True once Patroni says so."""
    said = session.run(host, f"{log} | grep -c 'replica has been created using repository' || true")
    return said.strip() != "0"


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(120), wait=wait_fixed(1))
def streaming(session: Session, host: str) -> bool:
    """True once the member is well."""
    return any(member.name == host and member.well for member in members(session))
