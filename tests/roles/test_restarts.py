"""How a cluster's members restart for a changed setting, against a cluster that behaves as Patroni's does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from environment import waiting
from environment.errors import Refused
from environment.manifest import Manifest
from environment.settings import Patroni
from environment.types import Preset
from environment.waiting import NotReached
from roles.order import ROLES
from roles.postgres import cluster, patroni, restarts, switchover
from roles.postgres.parameters import LEADER_FIRST
from roles.postgres.patroni import Member
from roles.postgres.switchover import Reach
from tests.roles.hosts import Clock
from tests.roles.targets import manifest_of, target

STARTS = 2.0
"""Seconds until a server that was restarted runs."""
LOOP = 2.0
"""Seconds until Patroni knows that what it waits for was replayed."""


class Cluster:
    """Three members that wait for a restart to change ``setting`` from ``old`` to ``new``; the first one leads.

    A replica that runs with less than its primary of what it must not have less of is an error, and so is a client's question
    that finds no leader.
    """

    def __init__(
        self,
        setting: str = "shared_buffers",
        old: int = 1,
        new: int = 2,
        names: tuple[str, ...] = ("db1", "db2", "db3"),
    ) -> None:
        self.clock = Clock()
        self.clock.each = self.check
        self.setting, self.old, self.new = setting, old, new
        self.value = dict.fromkeys(names, old)
        self.pending = dict.fromkeys(names, True)
        self.ready = dict.fromkeys(names, 0.0)
        self.leader, self.lowered_at = names[0], 0.0
        self.asks_again: set[str] = set()
        """Members that still wait after a restart."""
        self.restarted_by_switchover = True
        self.order: list[str] = []
        self.edges = {"edge1", "edge2"}
        self.held: set[str] = set()
        """Edges whose clients wait."""
        self.told: list[str] = []

    def members(self) -> list[dict[str, Any]]:
        synchronous = next((name for name in self.value if name != self.leader and self.runs(name)), "")
        return [
            {
                "name": name,
                "role": "leader" if name == self.leader else "sync_standby" if name == synchronous else "replica",
                "state": ("running" if name == self.leader else "streaming") if self.runs(name) else "starting",
                **self.waits(name),
            }
            for name in self.value
        ]  # fmt: skip

    def waits(self, name: str) -> dict[str, Any]:
        if not self.pending[name]:
            return {}
        reason = {self.setting: {"old_value": str(self.old), "new_value": str(self.new)}}
        return {"pending_restart": True, "pending_restart_reason": reason}

    def runs(self, name: str) -> bool:
        return self.clock.now >= self.ready[name]

    def check(self) -> None:
        if self.setting in LEADER_FIRST and self.runs(self.leader):
            less = [name for name in self.value if self.runs(name) and self.value[name] < self.value[self.leader]]
            assert not less, f"{less} has less {self.setting} than its primary"

    def restart(self, name: str) -> None:
        assert all(map(self.runs, self.value)), "a restart while another member is away"
        self.order.append(f"restart {name}")
        self.ready[name] = self.clock.now + STARTS
        if name == self.leader:
            assert self.held == self.edges, "clients of the pooler see an error"
            self.lowered_at = self.clock.now
        # A replica starts with the lower value once it has replayed that its primary has it.
        early = name != self.leader and self.new < self.old and self.clock.now < self.lowered_at + STARTS + LOOP
        if name not in self.asks_again and not (early and self.setting in LEADER_FIRST):
            self.value[name], self.pending[name] = self.new, False

    def switchover(self, leader: str, candidate: str) -> None:
        assert leader == self.leader and self.runs(candidate)
        assert self.held == self.edges, "clients of the pooler see an error"
        self.order.append(f"switchover {leader} to {candidate}")
        self.leader = candidate
        self.ready[leader] = self.clock.now + STARTS
        if self.restarted_by_switchover:
            self.value[leader], self.pending[leader] = self.new, False

    def ask(self, host: str, path: str, data: Mapping[str, Any] | None = None) -> str:
        """Patroni's REST API."""
        if data is None:
            assert path == "/cluster" and host in self.value
            return json.dumps({"members": self.members()})
        if path == "/restart":
            self.restart(host)
        else:
            assert (path, host) == ("/switchover", data["leader"])
            self.switchover(data["leader"], data["candidate"])
        return ""

    def run(self, host: str, command: str) -> str:
        """Shell on any host: what the switchover needs in addition to Patroni."""
        if command == switchover.CHECKPOINT:
            assert host == self.leader
            return ""
        assert host in self.edges
        if command == switchover.HOLD:
            self.held.add(host)
            return "held\n"
        self.held.discard(host)
        return '{"held": 1.5, "drained": true, "moved": true, "open": []}'

    @property
    def reach(self) -> Reach:
        return Reach(self.ask, self.run)

    def look(self) -> list[Member]:
        return patroni.members_of(PRODUCTION, self.ask("db1", "/cluster"))

    def restart_all(self, manifest: Manifest | None = None) -> None:
        restarts.restart_all(
            manifest or PRODUCTION,
            self.reach,
            next(iter(self.value)),
            lambda: self.clock.sleep(LOOP + 1),
            self.told.append,
        )


PRODUCTION = manifest_of("production")
"""Two replicas, one of them synchronous."""


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the cluster's time pass."""

    def put(found: Cluster) -> Cluster:
        monkeypatch.setattr(waiting, "time", found.clock)
        return found

    return put


REPLICAS_FIRST = ["restart db2", "restart db3", "switchover db1 to db2"]
PRIMARY_FIRST = ["restart db1", "restart db2", "restart db3"]


@pytest.mark.parametrize("setting", sorted(LEADER_FIRST))
@pytest.mark.parametrize(
    ("old", "new", "order"), [(100, 200, REPLICAS_FIRST), (200, 100, PRIMARY_FIRST)], ids=["raised", "lowered"]
)
def test_no_replica_ever_has_less_than_its_primary(
    patch: Any, setting: str, old: int, new: int, order: list[str]
) -> None:
    """It would stop. To raise such a value replicas restart first, to lower it the primary does, in its place."""
    found = patch(Cluster(setting, old, new))
    found.restart_all()
    assert found.order == order
    assert not any(found.pending.values())


@pytest.mark.parametrize(
    ("host", "delays", "order"),
    [("db1", {}, ["switchover db1 to db2"]), ("db2", {}, []), ("db1", {"db2": 60, "db3": 60}, [])],
    ids=["the primary", "a replica", "nobody may lead instead"],
)
def test_a_primary_moves_before_its_unit_restarts(
    patch: Any, host: str, delays: dict[str, int], order: list[str]
) -> None:
    """PLAT-37: a new release of what runs Patroni, or changed walls."""
    found = patch(Cluster())
    restarts.move_from(with_postgres(apply_delay=delays), found.reach, host, found.told.append)
    assert found.order == order


def test_a_patroni_that_does_not_answer_restarts_all_the_same(patch: Any) -> None:
    found = patch(Cluster())

    def refuses(host: str, path: str, data: Mapping[str, Any] | None = None) -> str:
        raise Refused("Patroni on db1 refused /cluster")

    restarts.move_from(PRODUCTION, Reach(refuses, found.run), "db1", found.told.append)
    assert found.told == ["db1 stays the primary: Patroni on db1 refused /cluster"]


def with_postgres(**settings: Any) -> Manifest:
    """Production with other settings of the server."""
    manifest = manifest_of("production")
    return manifest.model_copy(update={"postgres": manifest.postgres.model_copy(update=settings)})


@pytest.mark.parametrize(
    ("new", "order"),
    [
        ({"shared_buffers": 512}, "replicas first, then a switchover, the old primary last"),
        ({"max_connections": 900}, "replicas first, then a switchover, the old primary last"),
        ({"max_connections": 90}, "the primary first, without a switchover: a replica must not have less than its primary"),
        ({"shared_buffers": 512, "apply_delay": {"db2": 60, "db3": 60}}, "replicas first, the primary last, without a switchover"),
    ],
)  # fmt: skip
def test_the_order_is_announced_as_it_comes(patch: Any, new: dict[str, Any], order: str) -> None:
    """PLAT-03: a preview says the order in which members restart."""
    old, changed = with_postgres(), with_postgres(**new)
    (effect,) = restarts.effects(old, changed)
    assert (effect.service, effect.does, effect.order) == ("PostgreSQL", "restarts", order)
    name = next(iter(new))
    found = patch(Cluster(name, old=getattr(old.postgres, name), new=new[name]))
    found.restart_all(changed)
    words = " ".join(found.order)
    assert words.startswith("restart db1") is order.startswith("the primary first")
    assert ("switchover" in words) is ("then a switchover" in order)


@pytest.mark.parametrize(("number", "first"), [(16, "replicas first"), (4, "the primary first")])
def test_a_parameter_that_was_not_set_is_compared_with_postgresqls_own(number: int, first: str) -> None:
    """PLAT-03: max_worker_processes is 8 where no one says another number."""
    (effect,) = restarts.effects(PRODUCTION, with_postgres(parameters={"max_worker_processes": number}))
    assert (effect.does, effect.order.partition(",")[0]) == ("restarts", first)


def test_what_becomes_explicit_restarts_nothing() -> None:
    """PLAT-03: a release that writes down what the server has by itself, in another form too, announces no restart."""
    before = with_postgres(parameters={})
    effects = restarts.effects(before, with_postgres(parameters={"max_worker_processes": "8", "max_wal_size": "1GB"}))
    assert [(each.service, each.does) for each in effects] == [("Patroni", "reloads")]
    (effect,) = restarts.effects(before, with_postgres(parameters={"max_wal_size": "2GB"}))
    assert (effect.service, effect.does) == ("PostgreSQL", "reloads")


def test_the_cost_of_a_lost_host_is_announced() -> None:
    """PLAT-03, JEEX-31: where its timing changes, and not where another of Patroni's settings does."""
    slower = PRODUCTION.model_copy(update={"patroni": Patroni(ha=Preset.BALANCED)})
    (effect,) = restarts.effects(PRODUCTION, slower)
    assert (effect.service, effect.does) == ("Patroni", "reloads")
    assert effect.order.startswith(
        "a lost primary host costs at most 30 s of lease and 8 s; the primary gives up after 10 s"
    )
    farther = PRODUCTION.model_copy(update={"patroni": Patroni(maximum_lag_on_failover=1)})
    assert [each.order for each in restarts.effects(PRODUCTION, farther)] == [""]


def test_these_are_postgresqls_own() -> None:
    """PostgreSQL's manual, "Hot Standby", administrator's overview."""
    assert sorted(LEADER_FIRST) == [
        "max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_wal_senders", "max_worker_processes",
    ]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 1)])
def test_for_any_other_setting_the_leader_comes_last_and_hands_over(patch: Any, old: int, new: int) -> None:
    """Writes stop for a switchover, not for a restart."""
    found = patch(Cluster("shared_buffers", old, new))
    found.restart_all()
    assert found.order == REPLICAS_FIRST


@pytest.mark.parametrize(
    ("reasons", "lowered"),
    [
        ({"max_connections": (100, 99)}, True),
        ({"max_connections": (100, 100)}, False),
        ({"max_connections": (99, 100)}, False),
        ({"max_connections": (9, 10)}, False),
        ({"shared_buffers": (100, 50), "max_wal_senders": (10, 5)}, True),
        ({"shared_buffers": (100, 50)}, False),
        ({}, False),
        (None, False),
    ],
)
def test_lowered_and_raised_differ_by_number(reasons: dict[str, tuple[int, int]] | None, lowered: bool) -> None:
    """Not by text, in which 9 is more than 10."""
    reported = {name: {"old_value": str(old), "new_value": str(new)} for name, (old, new) in (reasons or {}).items()}
    leader = {"name": "db1", "role": "leader", "state": "running"}
    told = json.dumps(
        {"members": [leader | {"pending_restart_reason": reported if reasons is not None else None}, leader]}
    )
    assert [member.lowers for member in patroni.members_of(PRODUCTION, told)] == [lowered, False]


def test_a_leader_that_a_switchover_did_not_restart_is_restarted(patch: Any) -> None:
    found = patch(Cluster())
    found.restarted_by_switchover = False
    found.restart_all()
    assert found.order == [*REPLICAS_FIRST, "restart db1"]


def test_who_does_not_wait_is_not_restarted(patch: Any) -> None:
    """A replica alone; then none at all."""
    found = patch(Cluster())
    found.pending |= {"db1": False, "db2": False}
    found.restart_all()
    assert found.order == ["restart db3"]
    found.restart_all()
    assert found.order == ["restart db3"]


def test_a_server_without_replicas_restarts_in_its_place(patch: Any) -> None:
    """Clients wait until it serves again, and go on then."""
    found = patch(Cluster(names=("db1",)))
    found.edges = {"all1"}
    found.restart_all(manifest_of("ci"))
    assert found.order == ["restart db1"]
    assert found.held == set()


def test_a_replica_that_asks_again_is_given_five_rounds(patch: Any) -> None:
    """Then the refusal names it; the others are done."""
    found = patch(Cluster())
    found.asks_again = {"db3"}
    with pytest.raises(restarts.StillWaiting, match=r"^db3 still wait\(s\) for a restart after 5 rounds"):
        found.restart_all()
    assert found.order.count("restart db3") == 5
    assert found.order.count("restart db2") == 1 and found.order.count("switchover db1 to db2") == 1


def test_one_that_is_done_in_the_fifth_round_is_well(patch: Any) -> None:
    found = patch(Cluster())
    found.asks_again = {"db3"}
    restart = found.restart

    def learn(name: str) -> None:
        if found.order.count("restart db3") == 4:
            found.asks_again = set()
        restart(name)

    found.restart = learn
    found.restart_all()
    assert found.order.count("restart db3") == 5


def test_nothing_restarts_while_a_member_is_away(patch: Any) -> None:
    """Two would be."""
    found = patch(Cluster())
    found.ready["db3"] = 59.0
    found.restart_all()
    assert found.order == REPLICAS_FIRST
    found = patch(Cluster())
    found.ready["db3"] = 61.0
    with pytest.raises(
        NotReached, match=r"waited 60 s for every member to run before the restarts: .*db3 \(replica, starting\)"
    ):
        found.restart_all()
    assert found.order == []


def test_a_restart_that_does_not_come_back_names_its_member(patch: Any) -> None:
    found = patch(Cluster())
    restart = found.restart

    def die(name: str) -> None:
        restart(name)
        found.ready[name] = float("inf")

    found.restart = die
    with pytest.raises(NotReached, match=r"waited 60 s for db2 to run after its restart: the members are .*db2"):
        found.restart_all()
    assert found.order == ["restart db2"]


def test_a_candidate_is_awaited_for_half_a_minute(patch: Any) -> None:
    """A standby that has just restarted is synchronous again a loop later."""
    found = patch(Cluster())
    real = found.members
    found.members = lambda: [
        m | {"role": "replica"} if m["role"] == "sync_standby" and found.clock.now < 29 else m for m in real()
    ]
    assert patroni.await_candidate(PRODUCTION, found.look) == "db2"
    found.clock.now = 0.0
    found.members = lambda: [m | {"role": "replica"} if m["role"] == "sync_standby" else m for m in real()]
    with pytest.raises(NotReached, match="waited 30 s for a synchronous replica to switch over to: the members are"):
        patroni.await_candidate(PRODUCTION, found.look)
    assert 29 < found.clock.now < 31


def test_a_candidate_streams(patch: Any) -> None:
    """One that reads the archive is behind; without synchronous mode any replica will do."""
    settings = PRODUCTION.postgres.model_copy(update={"synchronous": False})
    relaxed = PRODUCTION.model_copy(update={"postgres": settings})
    found = patch(Cluster())
    found.members = lambda: [
        {"name": "db1", "role": "leader", "state": "running"},
        {"name": "db2", "role": "replica", "state": "running"},
        {"name": "db3", "role": "replica", "state": "streaming"},
    ]
    assert patroni.await_candidate(relaxed, found.look) == "db3"
    found.members = lambda: [{"name": name, "role": "replica", "state": "streaming"} for name in ("db2", "db3")]
    assert patroni.await_candidate(relaxed, found.look) == "db2", "the first of two"


def test_a_switchover_is_over_when_the_candidate_leads(patch: Any) -> None:
    found = patch(Cluster())
    restarts._restart_leader(PRODUCTION, found.reach, found.look, "db1", found.told.append)
    assert found.leader == "db2" and found.clock.now >= STARTS, "the old leader runs again"
    assert found.held == set()
    found = patch(Cluster())
    found.switchover = lambda *_: None
    with pytest.raises(NotReached, match=r"waited 60 s for db2 to lead .*: the members are db1"):
        restarts._restart_leader(PRODUCTION, found.reach, found.look, "db1", found.told.append)
    assert found.held == set(), "clients go on"


def test_a_member_that_still_waits_is_watched_for_ten_seconds_only(patch: Any) -> None:
    """The next round sees it; that is no failure of the restart."""
    found = patch(Cluster())
    found.asks_again = {"db2"}
    restarts._restart(found.ask, found.look, "db2")
    assert STARTS + 10 <= found.clock.now < STARTS + 11


def test_a_member_that_is_done_is_waited_for_no_longer(patch: Any) -> None:
    """The others may still ask for theirs."""
    found = patch(Cluster())
    restarts._restart(found.ask, found.look, "db2")
    assert STARTS <= found.clock.now < STARTS + 1


STATES = [
    (["running", "streaming", "streaming"], True),
    (["running", "running", "streaming"], False),
    (["running", "starting", "streaming"], False),
    (["running", "stopped", "streaming"], False),
    (["running", "streaming", "in archive recovery"], False),
    (["starting", "streaming", "streaming"], False),
]


@pytest.mark.parametrize(("states", "well"), STATES)
def test_a_cluster_is_healthy_when_one_leads_and_the_others_stream(states: list[str], well: bool) -> None:
    roles = ("leader", "sync_standby", "replica")
    members = [
        Member(f"db{n}", role, state, 1, 0, False) for n, (role, state) in enumerate(zip(roles, states, strict=True), 1)
    ]
    assert patroni.healthy(members) is well
    assert not patroni.healthy(members[1:]), "none leads"


def test_what_patroni_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked, and Patroni's words, or else curl's."""

    class Refusing:
        said = ""

        def run_shell_command(self, _: object) -> tuple[bool, Any]:
            return False, type("Output", (), {"stdout": self.said, "stderr": "curl: (7)"})

    refusing = Refusing()
    monkeypatch.setattr(cluster, "host", refusing)
    for said, words in (("no good candidate", "no good candidate"), ("", r"curl: \(7\)")):
        refusing.said = said
        with pytest.raises(Refused, match=f"^Patroni on db2 refused /cluster: {words}"):
            cluster._ask(target(ROLES["postgres"], "db1", PRODUCTION), "db2", "/cluster")
