"""A run that was killed is finished by the next one; two runs at once do not meet."""

from __future__ import annotations

import subprocess

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from ops.cluster.patroni import members
from ops.hosts.docker import docker
from tests.system.environments import COMMAND, Ephemeral


def test_a_second_controller_leaves(twin: Ephemeral) -> None:
    """The second run is told who is at work and changes nothing."""
    twin.config["keel:haproxy"] = {"check_interval_ms": 900}
    twin.save()
    first = twin.start()
    assert first.stdout
    for line in first.stdout:
        if "Converge" in line or "Ready" in line:
            break
    second = twin.recover(check=False)
    plain = twin.up(check=False)
    first.communicate(timeout=COMMAND)
    del twin.config["keel:haproxy"]
    twin.save()
    assert first.returncode == 0
    assert second.returncode != 0 and f"process {first.pid}" in second.stderr
    assert plain.returncode != 0 and "locked" in plain.stdout + plain.stderr


def test_a_controller_with_another_state_is_kept_off_the_hosts(twin: Ephemeral) -> None:
    """The lock on the hosts stops a run whose state knows nothing of the first, and names its owner."""
    with twin.session() as session:
        holder = subprocess.Popen(
            session.ssh("db1", "exec 9>>/run/keel.lock; flock 9; echo somebody@elsewhere > /run/keel.lock.owner; echo held; cat"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout and holder.stdout.readline().strip() == "held"
        refused = twin.keel("converge", "--all", check=False)
        holder.kill()
        holder.wait()
    assert refused.returncode != 0
    assert "db1 is being changed by another controller: somebody@elsewhere" in refused.stdout + refused.stderr


def test_a_host_removed_by_hand_is_made_again_with_its_data(twin: Ephemeral) -> None:
    """PLAT-48: `make up` notices that the container is gone; the volumes hold what the member had."""
    with twin.session() as session:
        before = session.run("db2", "cat /var/lib/postgresql/*/main/PG_VERSION; ls /var/lib/etcd/member")
    docker("rm", "-f", twin.container("db2"))
    assert "what is gone is created again" in twin.recover().stdout
    twin.up()
    with twin.session() as session:
        assert session.run("db2", "cat /var/lib/postgresql/*/main/PG_VERSION; ls /var/lib/etcd/member") == before
        assert {member.name: member.well for member in members(session)} == {"db1": True, "db2": True}


@retry(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(120), wait=wait_fixed(1),
       retry_error_callback=lambda state: False)  # fmt: skip
def well(ephemeral: Ephemeral) -> bool:
    """True once `./keel status` has no objection."""
    return ephemeral.keel("status", check=False).returncode == 0


@pytest.mark.family("restart of a host", "roles/", "components/host.py")
@pytest.mark.parametrize("host", ["db1", "db2", "edge1", "ops1"])
def test_a_restarted_host_comes_back_by_itself(twin: Ephemeral, host: str) -> None:
    """BAC-02, PLAT-49: after `docker restart` nobody does anything, and the verification passes."""
    docker("restart", "-t", "20", twin.container(host))
    assert well(twin)
    told = twin.keel("verify", check=False)
    assert told.returncode == 0, told.stdout + told.stderr
