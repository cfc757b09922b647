"""Databases of one environment in another: masked, from the source's repository; and a replica that stays behind on purpose."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator

import psycopg
import pytest

from ops.cluster.patroni import members
from ops.hosts.session import Session
from roles import paths
from tests.system.by_hand import by_hand
from tests.system.environments import COMMAND, Ephemeral, discard, prepare
from tests.system.fingerprint import fingerprint
from tests.system.markers import forget_markers, mark, marked

PRODUCTS = ("bacopilot", "jeex_idea")
FREQUENT = 7
RECEIVED = "select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"


@pytest.fixture(scope="module")
def target(ci: Ephemeral) -> Iterator[Ephemeral]:
    """Another environment with two products and, beside the host of ci, a replica that stays an hour behind."""
    made = prepare("ci")
    hosts = made.config["keel:hosts"]
    beside = hosts["all1"]["address"].rpartition(".")[0] + ".12"
    made.config["keel:hosts"] = {**hosts, "db2": {"address": beside, "groups": ["postgres"]}}
    made.config["keel:postgres"] = {"replicas": 1, "synchronous": False, "apply_delay": {"db2": 60}}
    made.config["keel:products"] = {name: made.config["keel:products"][name] for name in PRODUCTS}
    made.save()
    known = made.project / "stacks" / f"Pulumi.{ci.name}.yaml"
    try:
        made.up()
        shutil.copy(ci.project / "stacks" / f"Pulumi.{ci.name}.yaml", known)
        yield made
    finally:
        discard(made)


def users(session: Session) -> list[tuple[str, str]]:
    """Emails and names in JEEX Idea."""
    with by_hand(session, "jeex_idea") as connection:
        return [
            (str(email), str(name)) for email, name in connection.execute("select email, name from users order by id")
        ]


def statement(session: Session, text: str) -> None:
    """Carry it out in BA Copilot's database, as a superuser."""
    with by_hand(session, "bacopilot") as connection:
        connection.execute(text.encode())
        connection.commit()


def databases(session: Session) -> set[str]:
    """Every database of the cluster."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        return {str(row[0]) for row in connection.execute("select datname from pg_database")}


def test_a_masked_copy_takes_the_place(ci: Ephemeral, target: Ephemeral) -> None:
    """ADA-22, JEEX-28, JEEX-35: the rows of the moment, none of their personal data, the target's own roles and passwords; the source
    is as it was, and nothing is left beside its cluster."""
    with ci.session() as source, target.session() as there:
        statement(
            source, "create schema restored; create table restored.users as select 'marker-restored'::text as email"
        )
        moment = mark(source, "kept")
        mark(source, "after")
        mark(there, "of-the-target")
        before, roles = fingerprint(source), fingerprint(there)["roles"]
        told = target.keel("clone", "--from", ci.name, "--to", moment.isoformat(), "--yes").stdout
        assert "masked on" in told and "what is there:    dropped" in told and "left out:" in told
        assert told.count("at head") == len(PRODUCTS)

        found = users(there)
        assert len(found) == len([name for _, name in users(source) if name != "after"]) > 0
        assert all(email.endswith("@example.invalid") for email, _ in found)
        host = there.leader().name
        for product in PRODUCTS:
            dump = there.run(host, f"pg_dump -U postgres {product}", timeout=COMMAND)
            assert "marker-" not in dump and "COPY public.users" in dump
        assert fingerprint(there)["roles"] == roles
        assert databases(there) == {"postgres", "template0", "template1", *PRODUCTS}
        assert fingerprint(source) == before
        beside = source.run(
            source.manifest.repository_host.name, f"ls {paths.REPOSITORY}; pgrep -af '[i]solated-' || true"
        )
        assert "scratch-" not in beside
        for session in (source, there):
            statement(session, "drop schema restored cascade")
        forget_markers(source)
    assert target.keel("verify").returncode == 0
    assert target.keel("db", "check").returncode == 0


def test_as_it_is_between_equals(ci: Ephemeral, target: Ephemeral) -> None:
    """PLAT-34: `restore --into` brings the moment itself into another environment, one product of it."""
    shutil.copy(
        target.project / "stacks" / f"Pulumi.{target.name}.yaml", ci.project / "stacks" / f"Pulumi.{target.name}.yaml"
    )
    with ci.session() as source, target.session() as there:
        mark(source, "moved")
        ci.keel("restore", "--to", "latest", "--into", target.name, "--product", "jeex_idea", "--yes")
        assert marked(there) == ["moved"] == marked(source)
        for session in (source, there):
            forget_markers(session)
    (ci.project / "stacks" / f"Pulumi.{target.name}.yaml").unlink()


def test_what_must_not_be_is_refused(ci: Ephemeral, target: Ephemeral) -> None:
    """Nothing changes: over itself, a product that the target does not list, nobody to ask."""
    for arguments, words in (
        (("--from", target.name, "--yes"), "is both source and target"),
        (("--from", ci.name, "--product", "ruleiq", "--yes"), f"ruleiq is no product of {target.name}"),
        (("--from", ci.name), "there is no terminal to ask"),
    ):
        refused = target.keel("clone", *arguments, check=False)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr


def test_a_replica_stays_behind(target: Ephemeral) -> None:
    """A row is on the primary and not on the delayed replica, which is well, and to which no read leads."""
    with target.session() as session:
        primary = session.leader().name
        ask(session, primary, "create table public.not_yet as select 'a row' as said")
        assert ask(session, primary, "select said from public.not_yet") == "a row"
        assert ask(session, "db2", "select count(*) from pg_class where relname = 'not_yet'") == "0"
        found = {member.name: (member.leads, member.delay, member.well) for member in members(session)}
        assert found == {"all1": (True, 0, True), "db2": (False, 60, True)}
        for _ in range(FREQUENT):
            assert not read_from_a_replica(session)
        assert ask(session, "db2", RECEIVED) == "t", "it has the WAL, and waits"
        ask(session, primary, "drop table public.not_yet")
    status = target.keel("status", check=False).stdout
    assert "delayed by 60 min" in status and "problem" not in status


def ask(session: Session, host: str, statement: str) -> str:
    """The answer of that host's own server, in the database `postgres`."""
    return session.run(host, f"psql -U postgres -XAtqc {shlex.quote(statement)}").strip()


def read_from_a_replica(session: Session) -> bool:
    """Whether `jeex_idea_ro` leads to a server in recovery now."""
    product = session.manifest.products["jeex_idea"].product
    endpoints = session.manifest.endpoints
    assert endpoints.pgbouncer
    url = session.url(product.app_role, "jeex_idea_ro", endpoints.address, endpoints.pgbouncer)
    with psycopg.connect(url) as connection:
        row = connection.execute("select pg_is_in_recovery()").fetchone()
    return bool(row and row[0])
