"""What `./keel status` shows of a mixed environment, line by line."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from ops.cli.status import show
from ops.status.facts import AlertFacts, Facts, HeadFacts, HostFacts, PoolFacts, RedisFacts, WatchFacts
from ops.status.judge import judge
from roles.postgres.patroni import Member
from tests.unit.cli_fakes import LEADER, SYNC_STANDBY, facts

LINES = """\
Hosts
host address groups state versions
db1 10.0.0.1 database etcd up etcd-server 3.5, postgresql-18 18.6
db2 10.0.0.2 database failed units
edge1 10.0.0.3 edge unreachable
PostgreSQL
member role state timeline lag (bytes) version
db1 leader running 1 - 18.6
db2 sync_standby streaming 1 0 18.6
db3 replica streaming - unknown no answer
db4 replica streaming 2 delayed by 60 min no answer
PgBouncer pools
edge database user clients waiting servers idle waited (s)
edge1 jeex_idea jeex_user 3 0 1 2 0
edge1 (leaving) jeex_idea jeex_user 1 0 0 0 0
Services
service where state
etcd db1 healthy
etcd db2 healthy
etcd edge1 no answer
redis edge1 1.5 of 256 MiB, 7 clients
redis edge2 refused
revision jeex_idea 003, at head
revision ruleiq none, head is 002
Alerts of the backup host
severity alert since what
critical archive_waiting 08:00 9 segments
"""
WATCH = WatchFacts(
    looked="08:01", seconds_ago=5,
    alerts=(AlertFacts(alert="archive_waiting", severity="critical", text="9 segments", since="08:00"),),
)  # fmt: skip
MIXED = facts(
    hosts=(
        HostFacts(
            name="db1", address="10.0.0.1", groups=("database", "etcd"),
            versions={"postgresql-18": "18.6", "etcd-server": "3.5"},
        ),
        HostFacts(name="db2", address="10.0.0.2", groups=("database",), failed_units=("patroni.service",)),
        HostFacts(name="edge1", address="10.0.0.3", groups=("edge",), fault="no route"),
    ),
    members=(
        LEADER, SYNC_STANDBY, Member("db3", "replica", "streaming", None, None, False),
        Member("db4", "replica", "streaming", 2, 512, False, delay=60),
    ),
    etcd={"db1": True, "db2": True, "edge1": False},
    pools=(
        *facts().pools,
        PoolFacts(
            edge="edge1", database="jeex_idea", user="jeex_user", clients_active=1, clients_waiting=0,
            servers_active=0, servers_idle=0, waited_seconds=0, leaving=True,
        ),
    ),
    redis=(
        RedisFacts(host="edge1", used_bytes=3 * 2**19, limit_bytes=2**28, clients=7),
        RedisFacts(host="edge2", fault="refused"),
    ),
    heads=(
        HeadFacts(product="jeex_idea", current="003", head="003"), HeadFacts(product="ruleiq", current=None, head="002"),
    ),
    watch=WATCH,
)  # fmt: skip


def shown(found: Facts, *, colours: bool = False) -> list[str]:
    """The lines with words in them, single spaces between these."""
    console = Console(file=StringIO(), width=200, force_terminal=colours, color_system="standard" if colours else None)
    show(found, judge(found), console)
    assert isinstance(console.file, StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    return [line for line in lines if line.strip("─ ")]


def test_every_table_and_then_each_problem() -> None:
    """PLAT-42: hosts, members with lag and delay, pools, services, revisions, alerts; the verdict comes last."""
    problems = [f"problem: {problem}" for problem in judge(MIXED).problems]
    assert len(problems) > 5
    assert shown(MIXED) == [*LINES.splitlines(), *problems, "dev: protected: db2 confirms every commit of db1"]


@pytest.mark.parametrize(
    ("found", "colour"),
    [
        (facts(watch=WATCH.model_copy(update={"alerts": ()})), 32),
        (facts(watch=WATCH.model_copy(update={"alerts": ()}), replicas=0), 33),
        (facts(synchronous_mode=False), 31),
    ],
)
def test_the_verdicts_colour(found: Facts, colour: int) -> None:
    """Green is protected, yellow is well without a replica to be protected by, red is neither."""
    assert shown(found, colours=True)[-1].startswith(f"\x1b[{colour}m")
