"""One setting's way from the stack file to its effective value, and settings that are refused."""

from __future__ import annotations

from ops.hosts.session import Session
from tests.system.environments import Ephemeral
from tests.system.services import announced, happened, moments


def effective(session: Session, host: str, name: str) -> str:
    """The value that the server on ``host`` uses."""
    return session.run(host, f"psql -U postgres -XAtc 'show {name}'").strip()


def test_a_reloaded_setting(dev: Ephemeral, environment: Session) -> None:
    """ADA-01, JEEX-05: preview names settings, both values and what that does where; up does that and nothing else."""
    written = "stat -c %Y.%i /etc/patroni/config.yml"
    before, file = moments(environment), environment.run("db1", written)
    dev.config["keel:postgres"]["work_mem"] = 7
    dev.config["keel:repository"] = {**dev.config.get("keel:repository", {}), "retention_days": 29}
    dev.save()
    preview = dev.pulumi("preview", "--diff")
    shown = preview.stdout + preview.stderr
    assert "postgres.work_mem: 8 => 7: PostgreSQL reloads on db1, db2" in shown
    assert "repository.retention_days: 30 => 29: nothing reloads or restarts" in shown
    dev.up()
    assert [effective(environment, host, "work_mem") for host in ("db1", "db2")] == ["7MB", "7MB"]
    assert announced(shown) == happened(before, moments(environment))
    assert environment.run("db1", written) == file, "no file of Patroni's holds a parameter"


def test_a_setting_that_needs_a_restart(dev: Ephemeral, environment: Session) -> None:
    """PLAT-03: replicas restart first, the leader after a switchover, and both use the new value."""
    leader, before = environment.leader().name, moments(environment)
    dev.config["keel:postgres"]["shared_buffers"] = 192
    dev.save()
    preview = dev.pulumi("preview", "--diff")
    shown = preview.stdout + preview.stderr
    assert "postgres.shared_buffers: 256 => 192: PostgreSQL restarts on db1, db2" in shown
    dev.up()
    assert [effective(environment, host, "shared_buffers") for host in ("db1", "db2")] == ["192MB", "192MB"]
    assert environment.leader().name != leader
    assert announced(shown) == happened(before, moments(environment))


def test_bad_settings_are_refused_all_at_once(dev: Ephemeral) -> None:
    """PLAT-20: a preview names each refused setting with its path and what is allowed, and changes nothing."""
    good = dev.config["keel:postgres"]
    dev.config["keel:postgres"] = {**good, "max_connections": 40, "wal_levle": "replica"}
    dev.config["keel:patroni"] = {"ttl": 10}
    dev.save()
    refused = dev.pulumi("preview", check=False)
    dev.config["keel:postgres"] = good
    del dev.config["keel:patroni"]
    dev.save()
    assert refused.returncode != 0
    told = refused.stdout + refused.stderr
    assert "keel:postgres.wal_levle" in told and "keel:patroni.ttl = 10" in told
    assert "Traceback" not in told
    dev.up("--expect-no-changes")
