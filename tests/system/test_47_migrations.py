"""A migration that fails in `pulumi up`, a product held at an older revision, and the release gate: ruleIQ's story."""

from __future__ import annotations

import json

import psycopg
import pytest
from alembic import command

from db import migrate
from environment.products import catalogue
from environment.urls import product_urls
from ops.products.migrations import migrator
from tests.system.by_hand import by_hand
from tests.system.environments import Ephemeral

RULEIQ = catalogue()["ruleiq"]
IN_THE_WAY = "alter table business_profiles add handles_personal_data text"
OTHERS = sorted(set(catalogue()) - {"ruleiq"})


@pytest.fixture(scope="module")
def truncated(ci: Ephemeral) -> Ephemeral:
    """ruleIQ's database stepped back by hand to its truncated names, with something in the way of the next revision."""
    with ci.session() as session:
        with migrator(session, RULEIQ) as url:
            command.downgrade(migrate.config(RULEIQ, url), "007")
        execute(ci, IN_THE_WAY)
    return ci


def execute(ci: Ephemeral, statement: str) -> None:
    """As superuser in ruleIQ's database, committed."""
    with ci.session() as session, by_hand(session, "ruleiq") as connection:
        connection.execute(statement.encode())


def aspects(ci: Ephemeral, product: str) -> dict[str, list[str]]:
    """What `./keel db check` finds, by aspect."""
    found: dict[str, list[str]] = {}
    for finding in json.loads(ci.keel("db", "check", product, "--json", check=False).stdout)[product]:
        found.setdefault(finding["aspect"], []).append(finding["sentence"])
    return found


def test_a_failing_migration_stops_up(truncated: Ephemeral) -> None:
    """JEEX-25: product, revision, the database's words and the restore point; the other products are unharmed."""
    failed = truncated.up("--refresh", check=False)
    told = failed.stdout + failed.stderr
    assert failed.returncode != 0
    for part in (
        "ruleiq: revision 008_fix_truncated_column_names was not applied, the database is at 007_add_evidence_metadata",
        "already exists",
        "Restore point before",
    ):
        assert part in told, told[-4000:]
    assert {name: aspects(truncated, name) for name in OTHERS} == {name: {} for name in OTHERS}


def test_held_at_its_revision_up_succeeds(truncated: Ephemeral) -> None:
    """RIQ-26: held at 007 the environment is verified, and the release gate says what keeps it from production."""
    truncated.config["keel:products"]["ruleiq"]["revision"] = "007"
    truncated.save()
    truncated.up()
    found = aspects(truncated, "ruleiq")
    assert found.keys() == {"release"}
    assert len(found["release"]) == 9, "RIQ-23: nine names are truncated"
    assert truncated.keel("db", "check", "ruleiq", check=False).returncode == 3


def test_let_go_it_reaches_head(truncated: Ephemeral) -> None:
    """RIQ-23, RIQ-26, PLAT-23: without the hold the names become whole and the gate is open. What a client has prepared goes
    on with the new columns."""
    execute(truncated, "alter table business_profiles drop handles_personal_data")
    del truncated.config["keel:products"]["ruleiq"]["revision"]
    truncated.save()
    found = truncated.environment
    url = product_urls(found.manifest, found.roots, RULEIQ)["application"]
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as client:
        before = client.execute("select * from evidence_items").description
        truncated.up()
        after = client.execute("select * from evidence_items").description
    names = [{column.name for column in described or ()} for described in (before, after)]
    assert names[1] - names[0] >= {"approved_by", "approved_at"}
    assert aspects(truncated, "ruleiq") == {}
    truncated.up("--expect-no-changes")
