"""One product's database migrated, reset and copied by commands, with real clients, next to `pulumi up`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import Any

import asyncpg
import psycopg
import pytest

from db import migrate
from environment.load import ROOT
from environment.products import catalogue
from environment.urls import product_urls
from ops.products.migrations import migrator
from tests.system.environments import Ephemeral

JEEX = catalogue()["jeex_idea"]
REGISTER = "select auth.register_user('ada@keel.invalid', 'Ada')"
Copies = tuple[str, dict[str, Any]]
HEAD, BEFORE = "005_defaults_in_utc", "004_documents_created_by"


def revisions(ci: Ephemeral) -> dict[str, str | None]:
    """Where each database is."""
    found: dict[str, str | None] = {}
    with ci.session() as session:
        for name, entry in session.manifest.products.items():
            with migrator(session, entry.product) as url:
                found[name] = migrate.current(entry.product, url)
    return found


def application(ci: Ephemeral) -> psycopg.Connection[tuple[object, ...]]:
    """A client of the pooler, as the product's application."""
    found = ci.environment
    return psycopg.connect(product_urls(found.manifest, found.roots, JEEX)["application"], autocommit=True)


def interrupted(ci: Ephemeral) -> None:
    """A reset that is killed once the database is dropped."""
    command = [sys.executable, "-m", "ops.cli", "--env", ci.name, "db", "reset", JEEX.name, "--yes"]
    with subprocess.Popen(command, cwd=ROOT, env=ci.variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = ""
        for line in process.stderr:
            said += line
            if "dropped" in line:
                process.send_signal(signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL, said


def database(url: str) -> str:
    """The database to which a URL leads."""
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="module")
def copies(ci: Ephemeral) -> Copies:
    """Scratch copies of two products: what the command printed for each. They are there in all tests of this file, also where
    `up` verifies and `./keel drift` looks."""
    url = ci.keel("db", "scratch", JEEX.name).stdout
    return url.removesuffix("\n"), json.loads(ci.keel("db", "scratch", "ruleiq", "--json").stdout)


def test_a_scratch_copy_serves_a_test_run(copies: Copies) -> None:
    """PLAT-10, PLAT-15, PLAT-41: real clients under row-level security; it is closed to other products, and so are they to its
    logins. Standard output is the URL alone."""
    url, other = copies
    assert url.startswith("postgresql://") and not set(url) & set(" \n")
    with psycopg.connect(url, autocommit=True) as client:
        for address in ("ada@keel.invalid", "bob@keel.invalid"):
            ((identity,),) = client.execute("select auth.register_user(%s, 'Ada')", [address]).fetchall()
            client.execute("select set_config('app.current_user_id', %s, false)", [str(identity)])
            client.execute("insert into projects (name, created_by) values ('mine', %s)", [identity])
            assert client.execute("select created_by from projects").fetchall() == [(identity,)]
    asyncio.run(_asks(other["urls"]["application_asyncpg"].replace("postgresql+asyncpg", "postgresql")))
    for stranger in (
        other["urls"]["application"].replace(other["name"], database(url)),
        url.replace(database(url), "ruleiq"),
    ):
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
            psycopg.connect(stranger)


@pytest.mark.usefixtures("copies")
def test_one_product_is_migrated_and_no_other(ci: Ephemeral) -> None:
    """PLAT-26, PLAT-28: from an older revision to head; Pulumi finds nothing to do afterwards."""
    before = revisions(ci)
    with ci.session() as session, migrator(session, JEEX) as url:
        migrate.downgrade(JEEX, url, BEFORE)
    done = json.loads(ci.keel("db", "migrate", JEEX.name, "--json").stdout)
    assert (done["before"], done["after"], done["differences"]) == (BEFORE, HEAD, [])
    assert revisions(ci) == before
    ci.up("--expect-no-changes")


@pytest.mark.usefixtures("copies")
def test_a_reset_that_was_killed_is_done_again_or_mended_by_up(ci: Ephemeral) -> None:
    """PLAT-36: by the same command, and by the next `up`, which verifies all of it."""
    interrupted(ci)
    assert json.loads(ci.keel("db", "reset", JEEX.name, "--yes", "--json").stdout)["after"] == HEAD
    interrupted(ci)
    ci.up()
    assert revisions(ci)[JEEX.name] == HEAD


@pytest.mark.usefixtures("copies")
def test_a_reset_ends_sessions_and_leaves_no_difference(ci: Ephemeral) -> None:
    """PLAT-28, PLAT-31: the application's rows are gone; nothing on hosts or in databases differs."""
    with application(ci) as client:
        assert client.execute(REGISTER).fetchone() != (None,)
        done = json.loads(ci.keel("db", "reset", JEEX.name, "--yes", "--json").stdout)
        assert any(line.endswith(f" of {JEEX.app_role}") for line in done["ended"])
        assert client.execute(REGISTER).fetchone() != (None,), (
            "the pooler's clients go on, and the address is free again"
        )
    ci.keel("drift")


def test_copies_are_dropped_by_name(ci: Ephemeral, copies: Copies) -> None:
    """No other than the product's; and the dumps were made next to them."""
    ci.keel("backup", "run", "--type", "dumps")
    url, other = copies
    name = database(url)
    assert "not the name of a scratch copy" in ci.keel("db", "scratch", "ruleiq", "--drop", name, check=False).stderr
    found = json.loads(ci.keel("db", "scratch", JEEX.name, "--list", "--json").stdout)
    assert name in [each["name"] for each in found]
    ci.keel("db", "scratch", JEEX.name, "--drop", name)
    ci.keel("db", "scratch", "ruleiq", "--drop-all")
    for gone in (url, other["urls"]["application"]):
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(gone)


async def _asks(url: str) -> None:
    client = await asyncpg.connect(url.replace("?ssl=", "?sslmode="))
    assert await client.fetchval("select current_database()") == database(url)
    await client.close()
