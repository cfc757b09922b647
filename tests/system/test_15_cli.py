"""Every command of `./keel` against a real environment."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import redis
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from db.url import conninfo
from environment.load import ROOT
from environment.products import catalogue
from environment.types import Group
from ops.hosts.docker import docker
from ops.hosts.session import Session
from tests.system.by_hand import by_hand
from tests.system.environments import Ephemeral

WHO = "select current_user, current_database(), pg_is_in_recovery()"


def status(dev: Ephemeral) -> tuple[int, dict[str, Any]]:
    """Exit status and document of `keel status --json`."""
    done = dev.keel("status", "--json", check=False)
    return done.returncode, json.loads(done.stdout)


@retry(retry=retry_if_result(lambda well: not well), stop=stop_after_delay(60), wait=wait_fixed(1))
def _await_well(dev: Ephemeral) -> bool:
    return status(dev)[0] == 0


def test_status_of_a_healthy_environment(dev: Ephemeral, environment: Session) -> None:
    """PLAT-42: primary, replica, PgBouncer, Redis, migration head; machine-readable."""
    code, found = status(dev)
    assert code == 0, found["verdict"]
    assert found["verdict"]["protected"]
    assert {member["role"] for member in found["members"]} == {"leader", "sync_standby"}
    assert [server["in_recovery"] for server in found["servers"]].count(False) == 1
    assert set(found["etcd"]) == {host.name for host in environment.manifest.carrying(Group.ETCD)}
    assert all(found["etcd"].values())
    assert "jeex_idea" in {pool["database"] for pool in found["pools"]}
    assert found["redis"][0]["limit_bytes"] == environment.manifest.redis.maxmemory * 2**20
    at_head = {head["product"]: head["current"] == head["head"] for head in found["heads"]}
    assert at_head == dict.fromkeys(catalogue(), True)
    assert found["hosts"][0]["versions"]["postgresql-18"].startswith("18.")


def test_status_is_read_by_people_too(dev: Ephemeral) -> None:
    shown = dev.keel("status").stdout
    assert "\x1b" not in shown, "no colours in a pipe"
    assert shown.splitlines()[-1].startswith(f"{dev.name}: protected: ")


def test_status_without_the_replica_is_unprotected(dev: Ephemeral, environment: Session) -> None:
    """PLAT-42: non-zero exit when unhealthy, and it says what is not."""
    leader = environment.leader().name
    replica = next(host.name for host in environment.manifest.carrying(Group.POSTGRES) if host.name != leader)
    environment.run(replica, "systemctl stop patroni.service")
    try:
        code, found = status(dev)
        assert code == 1
        assert not found["verdict"]["protected"]
        assert any(problem.startswith(f"{replica}: PostgreSQL is") for problem in found["verdict"]["problems"])
    finally:
        environment.run(replica, "systemctl start patroni.service")
    _await_well(dev)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ((), "jeex_user|jeex_idea|f"),
        (("--direct",), "jeex_user|jeex_idea|f"),
        (("--role", "readonly", "--replica"), "jeex_idea_readonly|jeex_idea|t"),
        (("--role", "migrator"), "jeex_idea_migrator|jeex_idea|f"),
        (("--role", "admin"), "keel_admin|jeex_idea|f"),
    ],
)
def test_psql_as_each_role_on_each_way(dev: Ephemeral, options: tuple[str, ...], answer: str) -> None:
    """JEEX-06: the application's role and a separate one for maintenance."""
    assert dev.keel("psql", "jeex_idea", *options, "--", "-Atc", WHO).stdout.strip() == answer


def test_psql_without_psql_on_this_machine(dev: Ephemeral, environment: Session, tmp_path: Path) -> None:
    """It runs on a host then, and leaves no file there."""
    for name in ("ssh", "env"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for options, answer in (((), "jeex_user|jeex_idea|f"), (("--direct",), "jeex_user|jeex_idea|f")):
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", "-e", dev.name, "psql", "jeex_idea", *options, "--", "-Atc", WHO],
            cwd=ROOT, env={**dev.variables, "PATH": str(tmp_path)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.strip() == answer, done.stderr
    for host in environment.manifest.hosts:
        assert "keel-psql" not in environment.run(host.name, "ls /dev/shm")


def test_the_lines_of_env_connect(dev: Ephemeral, environment: Session) -> None:
    """CF-37, PLAT-24: every URL works with the driver it names."""
    lines = dict(re.findall(r'^(\w+)="(.*)"$', dev.keel("env", "jeex_idea").stdout, re.MULTILINE))
    for name in ("DATABASE_SYNC_URL", "DATABASE_READONLY_URL"):
        with psycopg.connect(conninfo(lines[name])) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert asyncio.run(_select_1(lines["DATABASE_URL"].replace("+asyncpg", "").replace("ssl=", "sslmode="))) == 1
    with redis.Redis.from_url(lines["REDIS_URL"], ssl_ca_certs=str(environment.ca)) as cache:
        assert cache.ping()


async def _select_1(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("select 1")
    finally:
        await connection.close()


def test_drift_is_told_and_converge_repairs_the_host(dev: Ephemeral, environment: Session) -> None:
    """PLAT-03: configuration comes from code."""
    assert dev.keel("drift").returncode == 0
    environment.run("edge1", "echo '# by hand' >> /etc/haproxy/haproxy.cfg")
    drift = dev.keel("drift", "--json", check=False)
    assert drift.returncode == 3
    differing = "edge1: haproxy: file /etc/haproxy/haproxy.cfg (content "
    assert any(line.startswith(differing) for line in json.loads(drift.stdout)["hosts"])
    dry = dev.keel("converge", "--dry", "--host", "edge1", "--stage", "edge")
    assert "file /etc/haproxy/haproxy.cfg" in dry.stdout
    assert dev.keel("drift", check=False).returncode == 3, "a dry run changed something"
    dev.keel("converge", "--host", "edge1")
    assert dev.keel("drift").returncode == 0


def test_with_a_host_away_drift_cannot_tell_and_status_names_it(dev: Ephemeral) -> None:
    docker("pause", dev.container("ops1"))
    try:
        drift = dev.keel("drift", "--json", check=False)
        code, found = status(dev)
    finally:
        docker("unpause", dev.container("ops1"))
    assert drift.returncode == 2
    assert json.loads(drift.stdout)["unknown"] == ["ops1: unreachable"]
    assert code == 1
    assert any(problem.startswith("ops1: does not answer") for problem in found["verdict"]["problems"])


def test_two_controllers_do_not_meet(dev: Ephemeral, environment: Session) -> None:
    """The second is told by whom the host is being changed."""
    holder = "exec 9>>/run/keel.lock; flock 9; echo somebody > /run/keel.lock.owner; echo held; cat"
    with subprocess.Popen(
        environment.ssh("ops1", holder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        refused = dev.keel("converge", check=False)
        assert other.stdin
        other.stdin.close()
    assert refused.returncode == 2
    assert "ops1 is being changed by another controller: somebody" in refused.stderr


def test_databases_are_as_in_this_checkout(dev: Ephemeral, environment: Session) -> None:
    """PLAT-29: the comparison is empty, and sees a table that nobody declared."""
    assert dev.keel("db", "check").returncode == 0
    with by_hand(environment, "jeex_idea") as connection:
        connection.execute("create table by_hand ()")
        connection.commit()
        try:
            found = dev.keel("db", "check", "jeex_idea", check=False)
        finally:
            connection.execute("drop table by_hand")
    assert found.returncode == 3
    assert "by_hand" in found.stdout


def test_demo_rows_twice_are_the_same_rows(dev: Ephemeral, environment: Session) -> None:
    """PLAT-30: seeds are idempotent."""

    def rows() -> object:
        with by_hand(environment, "jeex_idea") as connection:
            return connection.execute("select id, email, updated_at from users order by id").fetchall()

    dev.keel("db", "seed", "jeex_idea", "--set", "demo")
    first = rows()
    assert first
    dev.keel("db", "seed", "jeex_idea", "--set", "demo")
    assert rows() == first


def test_verify(dev: Ephemeral) -> None:
    """PLAT-49: the suite by itself."""
    assert dev.keel("verify").stdout.strip().endswith(f"{dev.name}: verified")


def test_doctor_knows_this_environments_own_ports(dev: Ephemeral) -> None:
    assert "this environment's own" in dev.keel("doctor", "--only", "ports").stdout
