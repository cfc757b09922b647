"""One product's database migrated, reset and copied by commands, with real clients, next to `pulumi up`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import psycopg

from db import migrate
from environment.load import ROOT
from environment.products import catalogue
from environment.urls import product_urls
from ops.products.migrations import migrator
from tests.system.environments import Ephemeral

JEEX = catalogue()["jeex_idea"]
REGISTER = "select auth.register_user('ada@keel.invalid', 'Ada')"
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


def test_one_product_is_migrated_and_no_other(ci: Ephemeral) -> None:
    """PLAT-26, PLAT-28: from an older revision to head; Pulumi finds nothing to do afterwards."""
    before = revisions(ci)
    with ci.session() as session, migrator(session, JEEX) as url:
        migrate.downgrade(JEEX, url, BEFORE)
    done = json.loads(ci.keel("db", "migrate", JEEX.name, "--json").stdout)
    assert (done["before"], done["after"], done["differences"]) == (BEFORE, HEAD, [])
    assert revisions(ci) == before
    ci.up("--expect-no-changes")


def test_a_reset_that_was_killed_is_done_again_or_mended_by_up(ci: Ephemeral) -> None:
    """PLAT-36: by the same command, and by the next `up`, which verifies all of it."""
    interrupted(ci)
    assert json.loads(ci.keel("db", "reset", JEEX.name, "--yes", "--json").stdout)["after"] == HEAD
    interrupted(ci)
    ci.up()
    assert revisions(ci)[JEEX.name] == HEAD


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
    ci.up("--expect-no-changes")
