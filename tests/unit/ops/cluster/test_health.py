"""What Patroni and etcd are asked, and how their answers are read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ops.cluster import etcd, patroni
from ops.hosts.session import Unreachable
from roles.postgres.patroni import CURL, Member
from tests.unit.hosts import hosts

MEMBER = {"name": "db1", "role": "leader", "state": "running"}
SILENT = [Unreachable("db1"), subprocess.CalledProcessError(7, "curl"), subprocess.TimeoutExpired("curl", 70), "<html>"]


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({}, Member("db1", "leader", "running", None, None, False)),
        ({"timeline": 3, "lag": 0}, Member("db1", "leader", "running", 3, 0, False)),
        ({"lag": "unknown", "pending_restart": True}, Member("db1", "leader", "running", None, None, True)),
    ],
)
def test_a_member_is_read_as_patroni_tells_it(tmp_path: Path, told: dict[str, object], read: Member) -> None:
    session = hosts(tmp_path)
    session.says["db1", "/cluster"] = json.dumps({"members": [MEMBER | told]})
    assert patroni.members(session) == [read]


@pytest.mark.parametrize("silence", SILENT, ids=str)
def test_the_next_member_is_asked_where_one_is_silent(tmp_path: Path, silence: str | BaseException) -> None:
    session = hosts(tmp_path)
    session.says["db1", "/cluster"] = silence
    session.says["db2", "/cluster"] = json.dumps({"members": [MEMBER]})
    assert [member.name for member in patroni.members(session)] == ["db1"]
    session.says["db2", "/cluster"] = Unreachable("db2")
    assert patroni.members(session) == []


@pytest.mark.parametrize(
    ("state", "delay", "well"),
    [
        ("running", 0, False),
        ("running", 60, False),
        ("streaming", 0, True),
        ("starting", 0, False),
        ("stopped", 0, False),
        ("start failed", 0, False),
        ("in archive recovery", 0, False),
        ("in archive recovery", 1, True),
        ("starting", 60, False),
        ("streaming", 60, True),
    ],
)
def test_a_replica_is_well_once_it_streams(state: str, delay: int, well: bool) -> None:
    assert Member("db2", "replica", state, 1, 0, False, delay).well is well


@pytest.mark.parametrize(("state", "well"), [("running", True), ("starting", False), ("in archive recovery", False)])
def test_a_primary_is_well_once_it_runs(state: str, well: bool) -> None:
    assert Member("db1", "leader", state, 1, None, False).well is well


@pytest.mark.parametrize(("role", "leads"), [("leader", True), ("standby_leader", True), ("replica", False)])
def test_who_leads(role: str, leads: bool) -> None:
    assert Member("db1", role, "running", 1, None, False).leads is leads


def test_a_question_is_asked_again_and_a_command_is_not(tmp_path: Path) -> None:
    """Both with the host's certificate, and an end."""
    session = hosts(tmp_path)
    session.says["db1", "curl"] = "yes"
    assert patroni.ask(session, "db1", "/patroni") == "yes"
    patroni.asking(session)("db1", "/restart", {})
    curl = CURL
    given = subprocess.run(["sh", "-c", f"echo {curl}"], capture_output=True, text=True, check=True).stdout
    assert "netrc" in curl and "netrc" not in given, "curl refuses to do without a file that it was told of"
    assert " --cacert /etc/keel/ca.crt --cert " in curl and " -k " not in curl
    assert curl.endswith("echo /etc/keel/tls/patroni-to-patroni || echo /etc/keel/tls/postgres)/key.pem")
    at = f"https://{session.manifest.host('db1').address}:8008"
    assert [(command, timeout) for _, command, timeout in session.ran] == [
        (f"{curl} -f --retry 3 --retry-all-errors --retry-delay 1 --max-time 20 {at}/patroni", 70),
        (f"{curl} --fail-with-body --max-time 60 -X POST -d '{{}}' {at}/restart", 70),
    ]


def test_an_order_that_is_refused_says_why(tmp_path: Path) -> None:
    """A question that fails, or a host that is away, is another matter."""
    session = hosts(tmp_path)
    session.says["db1", "curl"] = subprocess.CalledProcessError(22, "curl", output="no good candidates\n")
    with pytest.raises(patroni.PatroniRefused, match=r"^Patroni on db1 refused /switchover: no good candidates$"):
        patroni.ask(session, "db1", "/switchover", {})
    with pytest.raises(subprocess.CalledProcessError):
        patroni.ask(session, "db1", "/cluster")
    session.says["db1", "curl"] = subprocess.CalledProcessError(7, "curl", output="")
    with pytest.raises(subprocess.CalledProcessError):
        patroni.ask(session, "db1", "/switchover", {})


def test_an_etcd_member_is_well_when_it_says_so(tmp_path: Path) -> None:
    """Each is asked on its own host, for itself."""
    session = hosts(tmp_path)
    address = session.manifest.host("db1").address
    session.says["db1", f"--endpoints=https://{address}:2379 "] = "is healthy"
    session.says["db2", "endpoint health"] = subprocess.CalledProcessError(1, "etcdctl")
    session.says["edge1", "endpoint health"] = Unreachable("edge1")
    assert etcd.health(session) == {"db1": True, "db2": False, "edge1": False}
    assert {timeout for _, _, timeout in session.ran} == {20}
