"""The state is gone while everything runs: it is written again, and the next `up` replaces and restarts nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from ops.hosts import changes, lock
from ops.hosts.docker import docker
from tests.system.environments import Ephemeral
from tests.system.fingerprint import fingerprint

SERVICES = "etcd patroni pgbouncer haproxy redis-server"


def running(trio: Ephemeral) -> dict[str, object]:
    """Everything that a replacement or a restart would change, and what the databases hold."""
    found: dict[str, object] = {}
    with trio.session() as session:
        for host in session.manifest.hosts:
            found[host.name] = (
                docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}", trio.container(host.name)),
                session.run(host.name, f"systemctl show -p Id,MainPID,ExecMainStartTimestampMonotonic {SERVICES}"),
                session.run(
                    host.name, "psql -U postgres -XAtc 'select pg_postmaster_start_time()' 2>/dev/null || true"
                ),
            )
        assert all(str(found[host]).count("+00") for host in ("db1", "db2", "db3")), found
        return found | fingerprint(session)


@pytest.fixture(scope="module")
def known(trio: Ephemeral) -> dict[str, object]:
    """What ran; then Pulumi's state is lost."""
    found = running(trio)
    shutil.rmtree(trio.project / "state")
    (trio.project / "state").mkdir()
    return found


def test_other_controllers_are_kept_off_while_a_command_is_at_work(trio: Ephemeral) -> None:
    """A restore, and an `up` that would only touch the databases, are refused by the lock that commands hold on the hosts."""
    trio.up()
    trio.config["keel:databases"] = {"undeclared": "report"}
    trio.save()
    try:
        with trio.session() as session, lock.held(session, ["db2"]):
            restore = trio.keel("restore", "--to", "latest", "--yes", check=False)
            up = trio.up(check=False)
    finally:
        del trio.config["keel:databases"]
        trio.save()
    for refused in (restore, up):
        told = refused.stdout + refused.stderr
        assert refused.returncode != 0
        assert f"db2 is being changed by another controller: {changes.controller()}. Nothing was changed" in told, told[
            -3000:
        ]


def test_up_refuses_and_names_the_way(trio: Ephemeral, known: dict[str, object]) -> None:
    refused = trio.recover(check=False)
    assert refused.returncode != 0 and f"./keel --env {trio.name} adopt" in refused.stderr


def test_a_missing_or_strange_container_is_refused(trio: Ephemeral, known: dict[str, object]) -> None:
    """Both are told at once, and nothing is written."""
    container, other = trio.container("edge1"), trio.container("edge9")
    docker("rename", container, other)
    try:
        refused = trio.keel("adopt", "--yes", check=False)
    finally:
        docker("rename", other, container)
    assert refused.returncode == 2
    assert f"not there: container {container}" in refused.stderr
    assert f"container {other} is not in the stack file" in refused.stderr
    assert recorded(trio) == []


@pytest.fixture
def smaller(trio: Ephemeral) -> Iterator[str]:
    """A container that somebody gave less memory."""
    container = trio.container("ops1")
    docker("update", "--memory", "900m", "--memory-swap", "900m", container)
    yield container
    docker("update", "--memory", "1024m", "--memory-swap", "1024m", container)


def test_what_is_not_as_the_stack_file_wants_it_is_shown(
    trio: Ephemeral, known: dict[str, object], smaller: str
) -> None:
    """What runs and what is wanted, and what the next `up` would make of it; without an answer nothing is written."""
    refused = trio.keel("adopt", check=False)
    rows = [line.split() for line in refused.stdout.splitlines()]
    assert [smaller, "memory", "900", "1024"] in rows, refused.stdout
    told = [line for line in refused.stdout.splitlines() if line.startswith("the next `up` would")]
    assert len(told) == 1 and told[0].endswith("container ops1"), told
    assert refused.returncode == 2 and "Add --yes" in refused.stderr
    assert recorded(trio) == []


def test_adopting_replaces_and_restarts_nothing(trio: Ephemeral, known: dict[str, object]) -> None:
    """The same containers, processes and passwords after `adopt` and `up`; a second `up` has nothing to do."""
    adopted = trio.keel("adopt", "--yes")
    assert "the next `up` replaces and restarts nothing" in adopted.stdout
    trio.recover()
    up = trio.up().stdout
    assert running(trio) == known, up
    trio.up("--expect-no-changes")
    trio.pulumi("preview", "--refresh", "--expect-no-changes")


def test_a_state_that_is_there_is_not_written_over(trio: Ephemeral) -> None:
    refused = trio.keel("adopt", "--yes", check=False)
    assert refused.returncode == 2 and "there is nothing to adopt" in refused.stderr
    assert len(recorded(trio)) > 20


def recorded(trio: Ephemeral) -> list[object]:
    """The resources of the state."""
    state = json.loads(trio.pulumi("stack", "export").stdout)
    return state["deployment"].get("resources") or []
