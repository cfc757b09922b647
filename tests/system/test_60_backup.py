"""Backups of a living environment, and the way back in place, with real rows."""

from __future__ import annotations

import re
import subprocess

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from environment.load import ROOT
from ops.backup import restore_points
from ops.backup.restore import archive_all
from ops.hosts.session import Session
from roles import paths
from tests.runbooks import commands
from tests.system.by_hand import by_hand
from tests.system.environments import Ephemeral
from tests.system.fingerprint import fingerprint
from tests.system.markers import MARKERS, forget_markers, mark, marked, taken_from_restored


def test_an_environment_that_is_up_has_a_backup(dev: Ephemeral) -> None:
    """PLAT-31, PLAT-33: with size, server version, WAL from and to."""
    stanza = dev.backups()["stanza"]
    first = stanza["backup"][0]
    assert stanza["name"] == dev.name and stanza["status"]["code"] == 0
    assert first["type"] == "full" and first["info"]["size"] > 2**20 and not first["error"]
    assert first["archive"]["start"] and first["archive"]["stop"]
    assert "server" in dev.keel("backup", "list").stdout


def test_backups_by_hand(dev: Ephemeral) -> None:
    """PLAT-31, PLAT-33, CF-28, BAC-34, BAC-35: an incremental backup, the dumps with their manifests, and all of it verified."""
    before = len(dev.backups()["stanza"]["backup"])
    dev.keel("backup", "run", "--type", "incremental")
    subprocess.run([ROOT / "scripts" / "backup_database.sh"], env=dev.variables, stdin=subprocess.DEVNULL, check=True)
    found = dev.backups()
    assert len(found["stanza"]["backup"]) == before + 1
    dumps = {(dump["database"], re.sub("_[0-9]+", "", dump["file"])) for dump in found["dumps"]}
    products = set(dev.environment.manifest.products)
    more = {("bacopilot", "bacopilot_backup.sql.gz"), ("componentforge", "selected.dump")}
    assert dumps == {(product, "backup.dump") for product in products} | more
    with dev.session() as session:
        for dump in found["dumps"]:
            path = f"{paths.DUMPS}/{dump['database']}/{dump['file']}"
            checksum, _, size, mode = session.run("ops1", f"sha256sum < {path}; stat -c '%s %a' {path}").split()
            assert (checksum, int(size), mode) == (dump["sha256"], dump["bytes"], "600")
        chosen = session.run(
            "ops1", f"pg_restore --list {paths.DUMPS}/componentforge/selected_*.dump | grep 'TABLE DATA'"
        )
        assert re.findall(r"public (\w+)", chosen) == ["conversations", "users"]
    assert "status: ok" in dev.keel("backup", "verify").stdout
    assert "retention keeps every backup" in dev.keel("backup", "expire", "--yes").stdout


def test_what_cannot_be_reached_is_refused(dev: Ephemeral) -> None:
    """Nothing changes: a time before the oldest backup, in the future, a name that nobody gave, and nobody to ask."""
    for target, words in (
        ("2020-01-01T00:00:00Z", "cannot be reached: you can restore to times from"),
        ("2099-01-01T00:00:00Z", "cannot be reached: you can restore to times from"),
        ("no-such-point", "no restore point 'no-such-point' is recorded"),
        ("yesterday evening", "is no recovery target; allowed"),
    ):
        refused = dev.keel("restore", "--to", target, "--yes", check=False)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr
    unasked = dev.keel("restore", "--to", "latest", check=False)
    assert unasked.returncode == 2 and "there is no terminal to ask" in unasked.stderr


def test_a_restore_point_by_its_name(ci: Ephemeral) -> None:
    """PLAT-34: on a single server too."""
    with ci.session() as session:
        mark(session, "kept")
        restore_points.create(session, "jeex_idea", "before-the-mistake")
        mark(session, "after")
        ci.keel("restore", "--to", "before-the-mistake", "--yes")
        assert marked(session) == ["kept"]
        forget_markers(session)


def test_a_position_in_the_wal_then_the_newest_moment(ci: Ephemeral) -> None:
    """PLAT-34: an LSN; then `latest` brings exactly what was there, in every table of every product."""
    with ci.session() as session:
        mark(session, "kept")
        lsn = restore_points.create(session, "jeex_idea", "here")
        mark(session, "after")
        ci.keel("restore", "--to", lsn, "--yes")
        assert marked(session) == ["kept"]
        forget_markers(session)
        before = fingerprint(session)
        ci.keel("restore", "--to", "latest", "--yes")
        assert fingerprint(session) == before


def test_one_product_goes_back_alone(ci: Ephemeral) -> None:
    """PLAT-34: the other four are not touched, and what was there is kept under another name."""
    with ci.session() as session:
        mark(session, "kept")
        restore_points.create(session, "jeex_idea", "product-point")
        mark(session, "after")
        others = {name: value for name, value in fingerprint(session).items() if not name.startswith("jeex_idea:")}
        told = ci.keel("restore", "--to", "product-point", "--product", "jeex_idea", "--yes").stdout
        assert marked(session) == ["kept"]
        assert {name: value for name, value in fingerprint(session).items() if name in others} == others
        kept = told.partition("is in the database ")[2].split(",")[0]
        with session.superuser() as superuser, superuser.connect("postgres") as connection:
            connection.autocommit = True
            connection.execute(f"alter database {kept} allow_connections true".encode())
            with by_hand(session, kept) as before:
                assert [str(row[0]).split("@")[0] for row in before.execute(MARKERS)] == ["marker-after", "marker-kept"]
            connection.execute(f"alter database {kept} allow_connections false".encode())
        forget_markers(session)
        ci.up("--refresh")  # what is kept aside is no drift and fails no check
        with session.superuser() as superuser, superuser.connect("postgres") as connection:
            connection.autocommit = True
            connection.execute(f"drop database {kept} with (force)".encode())


def test_one_table_comes_back_beside_the_present_one(ci: Ephemeral) -> None:
    """CF-29: into the schema `restored`, which applications cannot read."""
    with ci.session() as session:
        mark(session, "deleted-by-mistake")
        restore_points.create(session, "jeex_idea", "table-point")
        forget_markers(session)
        told = ci.keel("restore", "--to", "table-point", "--product", "jeex_idea", "--table", "users", "--yes").stdout
        assert taken_from_restored(session, told) == ["deleted-by-mistake"]
        assert marked(session) == []
        leftovers = session.run(session.manifest.repository_host.name, f"ls {paths.REPOSITORY}")
        assert "scratch-" not in leftovers


def test_a_dump_brings_back_a_database_and_a_table(ci: Ephemeral) -> None:
    """CF-01, CF-29, W0: with PostgreSQL's own tools, as ComponentForge's document and the runbook say, into a new database and
    one table alone; by a login that has the owner's rights, and no more."""
    dump = f"$(ls -t {paths.DUMPS}/componentforge/backup_*.dump | head -1)"
    names = {
        "NAME": "componentforge",
        "DUMP": dump,
        "LIST": "/run/dump.list",
        "TABLE": "users",
        "EXTENSION": "pg_stat_statements",
    }
    made, listed, created, extension, whole, table, _, gone = commands("restore.md", "From a logical dump", **names)
    found = "psql -U postgres -XAtd componentforge_test -c \"select count(*) from public.users where email = 'dumped@test.example'\""
    with ci.session() as session:
        host = session.leader().name
        with by_hand(session, "componentforge") as connection:
            connection.execute("select auth.register_user('dumped@test.example', 'dumped', '$2b$12$none')")
            connection.commit()
            ci.keel("backup", "run", "--type", "dumps")
            connection.execute("delete from users where email = 'dumped@test.example'")
            connection.commit()
        try:
            for command in (made, listed, created, extension, whole):
                session.run(host, command)
            assert session.run(host, found).strip() == "1"
            session.run(host, "psql -U postgres -Xqd componentforge_test -c 'drop table public.users cascade'")
            session.run(host, table)
            assert session.run(host, found).strip() == "1"
        finally:
            session.run(host, "dropdb -U postgres --if-exists --force componentforge_test")
            session.run(host, gone)


@pytest.mark.family("damage", "ops/backup/repository.py", "ops/backup/jobs.py", "roles/pgbackrest/")
@pytest.mark.parametrize("what", ["backup", "archive"])
def test_a_damaged_repository_is_found(ci: Ephemeral, what: str) -> None:
    """PLAT-35: bits that flipped in a backup or in an archived segment."""
    suffix = "bundle" if what == "backup" else "archive"
    pattern = "*/backup/*/bundle/*" if what == "backup" else "*/archive/*/0*/0*-*.zst"
    with ci.session() as session:
        host = session.manifest.repository_host.name
        path = session.run(host, f"find {paths.REPOSITORY} -path '{pattern}' -type f | sort | tail -1").strip()
        assert path, suffix
        session.run(
            host, f"cp -p {path} /run/kept; printf 'xxxx' | dd of={path} bs=1 seek=100 conv=notrunc status=none"
        )
        try:
            found = ci.keel("backup", "verify", check=False)
        finally:
            session.run(host, f"cp -p /run/kept {path}; rm /run/kept")
    assert found.returncode == 3, found.stdout
    assert "the repository is damaged" in found.stdout
    assert ci.keel("backup", "verify").returncode == 0


def test_the_archive_catches_up_by_itself(dev: Ephemeral) -> None:
    """JEEX-30, ADA-24: while the repository is away the primary works on and keeps its WAL; nobody has to do anything after."""
    with dev.session() as session:
        session.run("ops1", "systemctl stop keel-pgbackrest.service")
        try:
            mark(session, "while-away")
            with session.superuser() as superuser, superuser.connect("postgres") as connection:
                connection.execute("select pg_switch_wal()")
            assert failing(session)
        finally:
            session.run("ops1", "systemctl start keel-pgbackrest.service")
        archive_all(session)
        forget_markers(session)


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(120), wait=wait_fixed(1))
def failing(session: Session) -> bool:
    """True once the server has seen an archive attempt fail."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        row = connection.execute(
            "select last_failed_time > coalesce(last_archived_time, '-infinity') from pg_stat_archiver"
        )
        found = row.fetchone()
        return bool(found and found[0])
