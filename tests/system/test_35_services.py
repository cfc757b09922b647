"""A service whose process dies is running again a moment later, started by systemd and by nobody else."""

from __future__ import annotations

import re

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from environment.roles import stages
from ops.hosts.session import Session
from roles.kit.declare import Target
from roles.order import of_stage
from tests.system.environments import Ephemeral

LONG_RUNNING = {
    "db1": ["etcd.service", "patroni.service", "keel-pgbackrest.service", "keel-share-cores.service", "cron.service"],
    "db2": ["etcd.service", "patroni.service", "keel-pgbackrest.service", "keel-share-cores.service"],
    "edge1": [
        "etcd.service",
        "haproxy.service",
        "pgbouncer.service",
        "redis-server.service",
        "ssh.service",
        "keel-watch-logins.service",
    ],
    "ops1": ["keel-pgbackrest.service", "cron.service"],
}


def main_process(session: Session, host: str, unit: str) -> str:
    """The unit's main process when it is active, else an empty string."""
    shown = dict(
        line.split("=", 1) for line in session.run(host, f"systemctl show -p ActiveState,MainPID {unit}").splitlines()
    )
    return shown["MainPID"] if shown["ActiveState"] == "active" and shown["MainPID"] != "0" else ""


@retry(
    retry=retry_if_result(lambda back: not back),
    stop=stop_after_delay(60),
    wait=wait_fixed(0.3),
    retry_error_callback=lambda state: False,
)
def is_back(session: Session, host: str, unit: str, before: str) -> bool:
    """True once the unit is active with another process."""
    now = main_process(session, host, unit)
    return bool(now) and now != before


@pytest.mark.family("killed service", "roles/")
@pytest.mark.parametrize(("host", "unit"), [(host, unit) for host, units in LONG_RUNNING.items() for unit in units])
def test_a_killed_service_comes_back(environment: Session, host: str, unit: str) -> None:
    """BAC-02, BAC-03: restart always, also after kill -9."""
    before = main_process(environment, host, unit)
    assert before, f"{unit} on {host} was not running"
    environment.run(host, f"kill -9 {before}")
    assert is_back(environment, host, unit, before)


def test_the_list_above_is_whole(environment: Session) -> None:
    """Every unit that a role declares on these hosts is killed above, but for those that run only at boot."""
    for host, units in LONG_RUNNING.items():
        target = Target(environment.manifest, environment.manifest.host(host), environment.roots)
        declared = {
            unit.name
            for stage in stages()
            for role in of_stage(stage)
            if role.runs_on(target.host)
            for unit in role.units(target)
        }
        services = {unit for unit in declared if not unit.endswith(".timer")}
        at_boot = {"keel-hosts.service", "keel-firewall.service"}
        assert services - at_boot - set(units) <= {"cron.service", "ssh.service"}


@pytest.mark.parametrize("ends", ["kill -9 {process}", "systemctl restart redis-server.service"])
def test_what_the_cache_holds_outlives_its_end(dev: Ephemeral, environment: Session, ends: str) -> None:
    """BAC-25, RIQ-20: what the append-only file has is there again."""
    url = dict(re.findall(r'^(\w+)="(.*)"$', dev.keel("env", "jeex_idea").stdout, re.MULTILINE))["REDIS_URL"]
    with redis.Redis.from_url(url, ssl_ca_certs=str(environment.ca)) as cache:
        cache.set("jeex_idea:outlives", "yes")
        assert cache.waitaof(1, 0, 5000)[0] == 1, "the append-only file was not written within 5 s"
        before = main_process(environment, "edge1", "redis-server.service")
        environment.run("edge1", ends.format(process=before))
        assert is_back(environment, "edge1", "redis-server.service", before)
    with redis.Redis.from_url(url, ssl_ca_certs=str(environment.ca), retry=Retry(ConstantBackoff(0.5), 60)) as cache:
        assert cache.get("jeex_idea:outlives") == b"yes"
        cache.delete("jeex_idea:outlives")
