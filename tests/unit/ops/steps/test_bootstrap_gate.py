"""The step `recovery`: a new cluster is told from a lost one, and what brings a lost one back is ordered once."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from environment.errors import Refused
from environment.recovery import target
from keel_host import pgbackrest
from ops.backup import choice, recovery_order, repository
from ops.cluster import etcd as etcd_store
from ops.hosts.session import Unreachable
from ops.steps import bootstrap_gate
from roles import paths
from tests.unit.hosts import ANY, Hosts, hosts, nothing
from tests.unit.ops.backup.test_restore_plan import STANZA
from tests.unit.ops.steps.test_drain import ILL

ORDERED = {"recovery": {"token": "first", "to": "latest"}}
SILENT = {"repo": [{"key": 1, "status": {"code": 99, "message": "no answer"}}]}


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Between which backup and which end the archive was looked at."""
    done: list[Any] = []
    monkeypatch.setattr(choice, "begin_with", lambda _s, held, _end: held.backups[-1])
    monkeypatch.setattr(choice, "check_whole", lambda _s, _h, begin, end: done.append((begin.label, end)))
    return done


def lost(folder: Path, monkeypatch: pytest.MonkeyPatch, patch: dict[str, Any], **told: Any) -> Hosts:
    """Empty members, and what the repository tells."""
    session = hosts(folder, patch)
    session.says.update({(ANY, "global/pg_control"): "\n", ("ops1", f"test -e {paths.RECOVERIES}/"): ""})
    monkeypatch.setattr(repository, "stanza", lambda _: pgbackrest.stanza({**STANZA, **told}))
    monkeypatch.setattr(
        bootstrap_gate,
        "order",
        lambda _s, token, end, more: session.ran.append((token, end.value, more)),  # type: ignore[arg-type]
    )
    return session


def test_where_a_member_holds_data_nothing_is_asked_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-36: not even whether it answers."""
    session = hosts(tmp_path)
    session.says.update({("db1", "pg_control"): "", ("db2", "pg_control"): "yes\n"})
    monkeypatch.setattr(repository, "stanza", pytest.fail)
    assert bootstrap_gate.apply(session, {}, pytest.fail) == {}


def test_a_member_that_cannot_be_asked_is_not_taken_for_empty(tmp_path: Path) -> None:
    """PLAT-36."""
    session = hosts(tmp_path)
    session.says.update({("db1", "pg_control"): "", ("db2", "pg_control"): Unreachable("db2")})
    with pytest.raises(Unreachable, match="db2"):
        bootstrap_gate.apply(session, {}, pytest.fail)


def test_a_new_cluster_is_made_where_the_repository_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = lost(tmp_path, monkeypatch, ORDERED, status={"code": 1, "message": "missing stanza path"}, backup=[])
    assert bootstrap_gate.apply(session, {}, pytest.fail) == {}


@pytest.mark.parametrize(
    ("patch", "told", "used", "words"),
    [
        (
            {},
            {},
            "",
            r"no database host of dev holds data, and the repository holds dev; its newest backup is C\. .*first-rebuild",
        ),
        ({}, {"backup": []}, "", r"holds dev, but no backup\. An empty cluster"),
        ({}, {"backup": [], **SILENT}, "", r"what repository 1: no answer holds is not known"),
        ({}, SILENT, "", r"its newest backup is C"),
        (ORDERED, {}, "yes\n", r"keel:recovery.token 'first' has brought it back once already.*a-new-token"),
        (
            ORDERED,
            {"backup": []},
            "",
            r"the repository holds dev, but no backup of it: there is nothing to recover from",
        ),
    ],
)
def test_an_empty_cluster_is_not_made_over_a_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patch: dict[str, Any], told: dict[str, Any], used: str, words: str
) -> None:
    """PLAT-36: a token acts once; what is said names the command."""
    session = lost(tmp_path, monkeypatch, patch, **told)
    session.says["ops1", f"test -e {paths.RECOVERIES}/first "] = used
    session.says["ops1", f"test -e {paths.RECOVERIES}/"] = used
    with pytest.raises(Refused, match=f"(?s){words}"):
        bootstrap_gate.apply(session, {}, pytest.fail)


@pytest.mark.parametrize("to", ["latest", "2026-11-22T11:30:00Z"])
def test_an_order_brings_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: list[Any], to: str) -> None:
    """PLAT-36: as much as there is, or a moment of which nothing is missing."""
    session = lost(tmp_path, monkeypatch, {"recovery": {"token": "first", "to": to}})
    assert bootstrap_gate.apply(session, {}, nothing) == {}
    assert tuple(session.ran[-1]) == ("first", target(to).value, ("--repo=1", "--set=C"))
    assert chosen == ([] if to == "latest" else [("C", target(to))])


@pytest.mark.parametrize("take_over", [False, True])
def test_the_order_lies_on_every_member_once_nothing_runs(tmp_path: Path, take_over: bool) -> None:
    """PLAT-36: what a member holds is laid aside where the caller says so, and otherwise where it is no server's."""
    session = hosts(tmp_path)
    session.says.update({(ANY, "systemctl"): "", (ANY, paths.RECOVERY_ORDER): "", (ANY, "etcdctl"): ""})
    recovery_order.order(session, "first", target("latest"), ("--repo=1",), take_over)
    stopped, ordered = session.ran[:2], session.ran[2:4]
    assert sorted(stopped) == [(host, recovery_order.STOP, 900) for host in ("db1", "db2")]
    assert sorted((host, timeout) for host, _, timeout in ordered) == [("db1", 3600), ("db2", 3600)]
    content = shlex.quote(json.dumps({"token": "first", "options": ["--type=default", "--repo=1"]}))
    for _, command, _ in ordered:
        assert f"echo {content} > {paths.RECOVERY_ORDER} && chown postgres: {paths.RECOVERY_ORDER}" in command
        assert ("[ -e $left ] && [ ! -e $left/global/pg_control ]" in command) is not take_over
    assert "del --prefix /keel/dev/" in session.ran[-1].command


def test_a_running_server_is_given_no_order(tmp_path: Path) -> None:
    session = hosts(tmp_path)
    session.says[ANY, "systemctl"] = subprocess.CalledProcessError(1, "ssh")
    with pytest.raises(subprocess.CalledProcessError):
        recovery_order.order(session, "first", target("latest"), ())
    assert not session.asked(paths.RECOVERY_ORDER)


@pytest.mark.parametrize(
    ("etcd", "asked"),
    [((True, True, True), "db1"), ((False, True, True), "db2"), ((False, False, True), "edge1"), ((False,) * 3, "db1")],
)
def test_a_store_that_is_well_forgets_the_cluster(tmp_path: Path, etcd: tuple[bool, ...], asked: str) -> None:
    session = hosts(tmp_path)
    session.says[ANY, "del --prefix"] = ""
    for host, well in zip(("db1", "db2", "edge1"), etcd, strict=True):
        session.says[host, "endpoint health"] = "" if well else ILL
    etcd_store.forget_cluster(session)
    assert session.asked("del --prefix") == [(asked, 60)]
    places = ",".join(f"https://10.88.0.{last}:2379" for last in (11, 12, 21))
    assert f"--endpoints={places} " in session.ran[-1].command


def test_all_hosts_are_asked_at_once_and_a_minute_is_enough(tmp_path: Path) -> None:
    session = hosts(tmp_path)
    session.says.update({("db1", "date"): " one\n", ("db2", "date"): "two"})
    assert recovery_order.everywhere(session, ["db1", "db2"], "date") == ["one", "two"]
    assert {timeout for _, _, timeout in session.ran} == {60}


@pytest.mark.parametrize(("said", "used"), [("yes\n", True), ("\n", False)])
def test_a_token_is_used_once_it_has_brought_something_back(tmp_path: Path, said: str, used: bool) -> None:
    session = hosts(tmp_path)
    session.says["ops1", f"test -e {paths.RECOVERIES}/first && echo yes || true"] = said
    assert recovery_order.is_used(session, "first") is used
