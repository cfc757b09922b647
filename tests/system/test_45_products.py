"""A product joins an environment, something is made by hand, a product is parked, retired, and restored from its dump."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from environment.products import catalogue
from ops.hosts.session import Session
from tests.system.by_hand import by_hand
from tests.system.environments import Ephemeral

FIRST, SECOND = "jeex_idea", "ai_assistant"
SENT = {"statement_timeout": "5s", "jit": "off"}
"""What clients of the second send as they connect."""
DRIFT = 3


@pytest.fixture(scope="module")
def entries(single: Ephemeral) -> dict[str, Any]:
    """Each product's lines in the stack file."""
    return dict(single.config["keel:products"])


@pytest.fixture
def session(single: Ephemeral) -> Iterator[Session]:
    """A session with it as it is now."""
    with single.session() as opened:
        yield opened


def choose(ephemeral: Ephemeral, entries: dict[str, Any], *names: str) -> None:
    """Write the stack file with these products."""
    ephemeral.config["keel:products"] = {name: entries[name] for name in names}
    ephemeral.save()


def drift(ephemeral: Ephemeral) -> dict[str, Any]:
    """What `./keel drift` says; there is some."""
    found = ephemeral.keel("drift", "--json", check=False)
    assert found.returncode == DRIFT, found.stdout + found.stderr
    document: dict[str, Any] = json.loads(found.stdout)
    return document


def test_an_environment_with_one_product(single: Ephemeral, entries: dict[str, Any]) -> None:
    """PLAT-05: a stack may list fewer products."""
    choose(single, entries, FIRST)
    single.up()


def test_a_product_joins_by_its_line_alone(single: Ephemeral, entries: dict[str, Any]) -> None:
    """PLAT-05: the stack file is all there is to change, and the other product's migration does not run again."""
    choose(single, {**entries, SECOND: {**entries[SECOND], "startup": SENT}}, FIRST, SECOND)
    said = single.up().stdout
    assert f"Migration {SECOND} created" in said
    assert "Databases databases updated" in said and "Verification verification updated" in said
    assert f"Migration {FIRST} updated" not in said


def test_what_its_clients_send_lets_them_in_and_holds(session: Session) -> None:
    """JEEX-18: both drivers send it in their own way, the pooler takes it, and it is true of the session. Of a client that sends
    another value the declared one is true, and what is not declared is refused by its name."""
    pooled, product = session.manifest.endpoints, catalogue()[SECOND]
    assert pooled.pgbouncer
    url = session.url(product.app_role, SECOND, pooled.address, pooled.pgbouncer)
    found = asyncio.run(_shown(url, SENT))
    assert found == SENT
    for sent in (SENT, {"statement_timeout": "1s", "jit": "on"}):
        options = " ".join(f"-c {name}={value}" for name, value in sent.items())
        with psycopg.connect(url, options=options) as client:
            assert {name: client.execute(f"show {name}".encode()).fetchone() for name in SENT} == {
                name: (value,) for name, value in SENT.items()
            }
    with pytest.raises(psycopg.OperationalError, match=r"unsupported startup parameter.*lock_timeout"):
        psycopg.connect(url, options="-c lock_timeout=1s")


async def _shown(url: str, sent: dict[str, str]) -> dict[str, str]:
    """What the session of a client of asyncpg has of what it sends."""
    client = await asyncpg.connect(url, server_settings=sent)
    try:
        return {name: await client.fetchval(f"show {name}") for name in sent}
    finally:
        await client.close()


def test_what_was_made_by_hand_is_told_with_what_undoes_it(single: Ephemeral, session: Session) -> None:
    """PLAT-10, PLAT-41: and in an environment without guarded data the next up with refresh takes it away."""
    with by_hand(session, FIRST) as connection:
        connection.execute("create role bob login")
        connection.execute("grant select on users to bob")
        connection.execute(f"alter role {catalogue()[SECOND].app_role} in database {SECOND} set jit = on")
    session.run("all1", "echo 'host all bob 0.0.0.0/0 trust' >> \"$(psql -U postgres -XAtc 'show hba_file')\"")
    document = drift(single)
    assert document["hosts"] == ["all1: postgres: pg_hba.conf (host all bob 0.0.0.0/0)"]
    found = {one["what"]: one["undo"] for one in document["databases"]}
    assert found[f"{FIRST}: not declared: SELECT on users for bob"] == "REVOKE SELECT ON table public.users FROM bob"
    assert found["postgres: drop role bob"] == 'DROP ROLE "bob"'
    assert f"postgres: set jit = off for role {catalogue()[SECOND].app_role} in database {SECOND}" in found
    shown = single.keel("drift", check=False).stdout
    assert "  undone by: REVOKE SELECT ON table public.users FROM bob\n" in shown
    single.up("--refresh")
    assert single.keel("drift").returncode == 0


def test_a_product_of_the_stack_is_not_retired(single: Ephemeral) -> None:
    """Design, principle 9: it says what comes first."""
    refused = single.keel("db", "retire", FIRST, "--yes", check=False)
    assert refused.returncode == 2
    assert f"Remove it from stacks/Pulumi.{single.name}.yaml" in refused.stderr


def test_a_product_without_its_line_is_parked(single: Ephemeral, entries: dict[str, Any], session: Session) -> None:
    """PLAT-05, PLAT-09: nobody logs in, no pool leads there, no row is lost; verification accepts it, drift tells it."""
    single.keel("db", "seed", SECOND, "--set", "demo")
    choose(single, entries, FIRST)
    said = single.up().stdout
    assert "Verification verification updated" in said and f"Migration {FIRST} updated" not in said
    document = drift(single)
    assert document["hosts"] == []
    (told,) = document["databases"]
    assert f"database {SECOND} is parked" in told["what"] and f"./keel db retire {SECOND}" in told["what"]
    with session.direct() as (address, port):
        for role in catalogue()[SECOND].login_roles:
            with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
                psycopg.connect(session.url(role, SECOND, address, port))
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        able = "select rolname from pg_roles where rolname = any(%s) and rolcanlogin"
        assert connection.execute(able, [list(catalogue()[SECOND].login_roles)]).fetchall() == []
    pooled = session.manifest.endpoints
    assert pooled.pgbouncer
    with pytest.raises(psycopg.OperationalError, match="no authentication method"):
        psycopg.connect(session.url(catalogue()[SECOND].app_role, SECOND, pooled.address, pooled.pgbouncer))


def test_it_is_retired_with_a_dump_that_restores(single: Ephemeral, session: Session, tmp_path: Path) -> None:
    """PLAT-05: the rows in the dump are those that were there; then nothing of it is left, and nothing is to do."""
    target = tmp_path / "last.dump"
    single.keel("db", "retire", SECOND, "--yes", "--dump", str(target))
    record = json.loads((tmp_path / "last.dump.json").read_text())
    assert sum(rows for table, rows in record["rows"].items() if table.startswith("public.")) > 0
    assert record["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    host = session.leader().name
    session.run(host, "createdb -U postgres scratch")
    with target.open("rb") as dump:
        restore = "pg_restore -U postgres --exit-on-error --no-owner --no-privileges -d scratch"
        done = subprocess.run(session.ssh(host, restore), stdin=dump, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with session.superuser() as superuser:
        with superuser.connect("scratch") as connection:
            restored = {
                table: connection.execute(
                    SQL("select count(*) from {}").format(Identifier(*table.split(".")))
                ).fetchone()
                for table in record["rows"]
            }
        assert {table: row and row[0] for table, row in restored.items()} == record["rows"]
        with superuser.connect("postgres") as connection:
            connection.autocommit = True
            connection.execute("drop database scratch")
            left = connection.execute("select rolname from pg_roles where rolname ~ %s", [f"^{SECOND}"]).fetchall()
    assert left == []
    single.up("--expect-no-changes")
    single.pulumi("preview", "--refresh", "--expect-no-changes")
