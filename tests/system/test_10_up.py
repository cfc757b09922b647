"""A cold start of both topologies, beside whatever runs on the machine, and the second run that changes nothing."""

from __future__ import annotations

import json

import pytest

from environment.products import catalogue
from ops.hosts.session import Session
from tests.system.environments import Ephemeral


def lock_stamps(session: Session) -> dict[str, str]:
    """Host → when a converge last took its lock: any role that ran would have moved it."""
    return {host.name: session.run(host.name, "stat -c %y /run/keel.lock.owner") for host in session.manifest.hosts}


def test_cold_start_of_dev(dev: Ephemeral) -> None:
    """PLAT-28, PLAT-48, PLAT-49: `pulumi up` from nothing ends with its verification passed."""
    output = dev.up().stdout
    assert "Verification verification created" in output


def test_cold_start_of_ci(ci: Ephemeral) -> None:
    """PLAT-47, ADA-28: one host carries everything; only the stack file differs."""
    assert "Verification verification created" in ci.up().stdout


def test_a_second_up_changes_nothing_and_runs_no_role(dev: Ephemeral, environment: Session) -> None:
    """PLAT-48: no change, and no converge touched a host."""
    before = lock_stamps(environment)
    dev.up("--expect-no-changes")
    assert lock_stamps(environment) == before


def test_no_drift_right_after(dev: Ephemeral) -> None:
    """PLAT-48: hosts and databases are looked at, and nothing is out of place."""
    dev.pulumi("preview", "--refresh", "--expect-no-changes")


def test_the_same_for_ci(ci: Ephemeral) -> None:
    """PLAT-48 on the smallest topology."""
    ci.up("--expect-no-changes")
    ci.pulumi("preview", "--refresh", "--expect-no-changes")


@pytest.mark.parametrize("like", ["dev", "ci"])
def test_every_operation_is_idempotent(like: str, request: pytest.FixtureRequest) -> None:
    """PLAT-48: all roles again, digests ignored, change nothing at all."""
    ephemeral: Ephemeral = request.getfixturevalue(like)
    outcome = json.loads(ephemeral.keel("converge", "--all", "--json").stdout)
    assert outcome["operations"] > 50 and outcome["changes"] == []


def test_outputs_name_drivers_and_hide_passwords(dev: Ephemeral) -> None:
    """PLAT-24: application through the pooler, migration direct, drivers named, passwords secret."""
    shown = json.loads(dev.pulumi("stack", "output", "--json").stdout)
    assert shown["urls"] == dict.fromkeys(catalogue(), "[secret]")
    urls = json.loads(dev.pulumi("stack", "output", "--json", "--show-secrets").stdout)["urls"]["jeex_idea"]
    published = dev.environment.manifest.endpoints
    assert urls["application_asyncpg"].startswith("postgresql+asyncpg://jeex_user:")
    assert f":{published.pgbouncer}/jeex_idea" in urls["application_asyncpg"]
    assert urls["migration"].startswith("postgresql+psycopg://jeex_idea_migrator:")
    assert f":{published.primary}/jeex_idea" in urls["migration"]


def test_no_secret_in_the_state_in_clear(dev: Ephemeral) -> None:
    """PLAT-11: neither a derived password nor a private key is readable in the state or the stack file."""
    roots = dev.environment.roots
    secrets = [roots.password(role) for role in ("jeex_user", "jeex_idea_migrator", "postgres", "keel_pgbouncer")]
    texts = [
        path.read_text() for path in dev.project.rglob("*") if path.is_file() and path.suffix in (".json", ".yaml")
    ]
    assert len(texts) > 2
    for text in texts:
        assert "OPENSSH PRIVATE KEY" not in text
        assert not [secret for secret in secrets if secret in text]
