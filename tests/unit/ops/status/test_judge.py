"""The judgement of `keel status`: protected only when PostgreSQL waits for a standby that Patroni would promote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.status.facts import AlertFacts, HostFacts, RedisFacts, ServerFacts, Standby, WatchFacts
from ops.status.judge import judge
from roles.postgres.patroni import Member
from tests.unit.cli_fakes import LEADER, PRIMARY, REPLICA, SYNC_STANDBY, facts


def _primary(**changes: object) -> tuple[ServerFacts, ...]:
    return (PRIMARY.model_copy(update=changes), REPLICA)


def _standby(state: str, sync_state: str) -> tuple[ServerFacts, ...]:
    return _primary(standbys=(Standby(name="db2", state=state, sync_state=sync_state),))


def test_a_healthy_environment_is_protected_and_well() -> None:
    verdict = judge(facts())
    assert verdict.protected
    assert verdict.reason == "db2 confirms every commit of db1"
    assert verdict.problems == ()
    assert verdict.exit_status == 0


def test_a_quorum_of_standbys_protects() -> None:
    names = ("db2", "db3")
    servers = _primary(standbys=tuple(Standby(name=n, state="streaming", sync_state="quorum") for n in names))
    members = (LEADER, *(replace(SYNC_STANDBY, name=name, role="quorum_standby") for name in names))
    verdict = judge(facts(servers=servers, members=members, expected_members=("db1", *names)))
    assert verdict.protected
    assert verdict.reason == "db2 and db3 confirm every commit of db1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"synchronous_mode": False}, "synchronous mode is off"),
        ({"servers": _primary(synchronous_commit="off")}, "synchronous_commit is off"),
        ({"servers": _primary(synchronous_commit="local")}, "synchronous_commit is local"),
        ({"servers": _primary(standbys=())}, "no synchronous standby streams from db1"),
        ({"servers": _standby("catchup", "sync")}, "no synchronous standby streams from db1"),
        ({"servers": _standby("streaming", "async")}, "no synchronous standby streams from db1"),
        # PostgreSQL waits for db2, but Patroni would not promote it.
        ({"members": (LEADER, replace(SYNC_STANDBY, role="replica"))}, "no synchronous standby streams from db1"),
        # Patroni would promote db3, for which no commit waits.
        ({"members": (LEADER, replace(SYNC_STANDBY, name="db3"))}, "no synchronous standby streams from db1"),
        ({"servers": (REPLICA,)}, "no server accepts writes"),
        ({"servers": ()}, "no server accepts writes"),
        ({"servers": (PRIMARY, PRIMARY.model_copy(update={"host": "db2"}))}, "several servers accept writes: db1, db2"),
    ],
)
def test_unprotected_says_why_and_is_not_well(changes: dict[str, object], reason: str) -> None:
    verdict = judge(facts(**changes))
    assert not verdict.protected
    assert reason in verdict.reason
    assert verdict.exit_status == 1


def test_an_environment_without_replicas_is_unprotected_by_design() -> None:
    alone = _primary(standbys=())[:1]
    verdict = judge(facts(replicas=0, members=(LEADER,), expected_members=("db1",), servers=alone))
    assert not verdict.protected
    assert verdict.exit_status == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"hosts": (HostFacts(name="ops1", address="", groups=(), fault="does not answer"),)}, "ops1: does not answer"),
        (
            {"hosts": (HostFacts(name="ops1", address="", groups=(), failed_units=("cron.service",)),)},
            "ops1: failed units: cron.service",
        ),
        (
            {"hosts": (HostFacts(name="ops1", address="", groups=(), certificate_days=29),)},
            "ops1: a certificate ends in 29 days; `pulumi up --refresh` signs it again",
        ),
        ({"members": (LEADER,)}, "db2: is no member of the PostgreSQL cluster"),
        ({"members": (LEADER, replace(SYNC_STANDBY, state="stopped"))}, "db2: PostgreSQL is stopped"),
        ({"members": (LEADER, replace(SYNC_STANDBY, pending_restart=True))}, "db2: PostgreSQL waits for a restart"),
        ({"members": (LEADER, replace(SYNC_STANDBY, timeline=2))}, "the members are on different timelines"),
        ({"servers": (PRIMARY,)}, "db2: PostgreSQL does not answer on its own host"),
        ({"etcd": {"db1": True, "db2": False, "edge1": True}}, "db2: etcd does not answer"),
        ({"silent_poolers": ("edge1",)}, "edge1: PgBouncer does not answer"),
        ({"redis": (RedisFacts(host="edge1", fault="does not answer"),)}, "edge1: Redis: does not answer"),
        ({"paused": True}, "Patroni is paused: no failover happens"),
    ],
)
def test_every_problem_is_told_and_makes_the_exit_status_1(changes: dict[str, object], problem: str) -> None:
    """PLAT-42: primary, replica, PgBouncer, Redis; non-zero exit when unhealthy."""
    verdict = judge(facts(**changes))
    assert problem in verdict.problems
    assert verdict.exit_status == 1


def test_a_certificate_with_a_month_left_is_no_problem() -> None:
    """W15: and a host that does not say is none."""
    hosts = [HostFacts(name="ops1", address="", groups=(), certificate_days=days) for days in (30, None)]
    assert judge(facts(hosts=tuple(hosts))).problems == ()


ETCD_AWAY = {"db1": True, "db2": False, "edge1": False}


def test_without_etcd_the_primary_goes_on_and_it_is_said_for_how_long() -> None:
    """PLAT-42: whose absence would stop the writes, and why; of members no one knows, and none can take over."""
    verdict = judge(facts(etcd=ETCD_AWAY, members=()))
    assert verdict.problems == (
        "etcd has no majority (db2, edge1), so no server can take over: db1 goes on while Patroni answers it on db2, and stops "
        "writing when one does not",
    )
    assert (verdict.protected, verdict.reason) == (False, "etcd has no majority: none can take over from db1")
    three = judge(facts(etcd=ETCD_AWAY, members=(), expected_members=("db1", "db2", "db3")))
    assert "while Patroni answers it on db2 and db3, and" in three.problems[0]
    alone = judge(facts(etcd=dict.fromkeys(ETCD_AWAY, False), members=(), expected_members=("db1",), replicas=0))
    assert alone.problems == (
        "etcd has no majority (db1, db2, edge1), so no server can take over: db1, the only server, goes on",
    )


def test_without_etcd_and_a_member_writes_have_stopped() -> None:
    """PLAT-42: two causes, one sentence."""
    stopped = (PRIMARY.model_copy(update={"in_recovery": True}), REPLICA)
    problems = judge(facts(etcd=ETCD_AWAY, members=(), servers=stopped)).problems
    assert problems == (
        "no server accepts writes",
        "etcd has no majority (db2, edge1), so no server can take over, and the primary has stopped: it goes on only while "
        "Patroni answers it on every other member",
    )


def _watch(severity: str, seconds_ago: int = 30) -> WatchFacts:
    alert = AlertFacts(alert="archive_waiting", severity=severity, text="WAL waits", since="then")
    return WatchFacts(looked="then", seconds_ago=seconds_ago, alerts=(alert,))


def test_a_critical_alert_of_the_backup_host_is_a_problem() -> None:
    """PLAT-42: a warning is shown and changes nothing; that nobody looks is a problem too."""
    assert judge(facts(watch=_watch("critical"))).problems == ("WAL waits",)
    assert judge(facts(watch=_watch("warning"))).problems == ()
    assert judge(facts(watch=_watch("warning", 300))).problems == ()
    (problem,) = judge(facts(watch=_watch("warning", 301))).problems
    assert problem == "the backup host has not checked the archive since then"


@pytest.mark.parametrize("current", [None, "002"])
def test_a_database_behind_this_checkout_is_a_problem(current: str | None) -> None:
    """PLAT-42: migration head."""
    head = facts().heads[0].model_copy(update={"current": current})
    verdict = judge(facts(heads=(head,)))
    assert verdict.problems == (f"jeex_idea: at revision {current or 'none'}, this checkout has 003",)
    assert verdict.exit_status == 1


def test_a_delayed_replica_is_well() -> None:
    """Behind on purpose, on the archive or still on the timeline before; any other one would be a problem."""
    behind = Member("db3", "replica", "in archive recovery", 1, 10**9, False, delay=60)
    members = (replace(LEADER, timeline=2), replace(SYNC_STANDBY, timeline=2), behind)
    servers = (*facts().servers, REPLICA.model_copy(update={"host": "db3"}))
    found = facts(members=members, expected_members=("db1", "db2", "db3"), replicas=2, servers=servers)
    assert judge(found).well
    late = found.model_copy(update={"members": (*members[:2], replace(behind, delay=0))})
    assert judge(late).problems == ("db3: PostgreSQL is in archive recovery",)
