"""What someone ordered on PgBouncer's console is found and undone: a SET, a PAUSE, a DISABLE. Nothing else counts as one."""

from __future__ import annotations

import pytest

from roles.order import ROLES
from roles.pgbouncer import console
from roles.pgbouncer.console import ClosedByHand, SetByHand
from roles.pgbouncer.role import CONFIG
from tests.roles.hosts import Host
from tests.roles.targets import manifest_of, target

EDGE = target(ROLES["pgbouncer"], "edge1", manifest_of("dev"))
FILE = next(file.content for file in ROLES["pgbouncer"].files(EDGE) if file.path == CONFIG).splitlines()
SHOWN = {
    "query_wait_timeout": ("30", "120", "yes"),
    "server_login_retry": ("0.100000", "15", "yes"),
    "client_idle_timeout": ("0", "0", "yes"),
    "server_check_query": ("select 1", "<empty>", "yes"),
    "verbose": ("0", "", "yes"),
    "conffile": ("/run/pgbouncer/7/pgbouncer.ini", "", "yes"),
    "peer_id": ("7", "0", "yes"),
    "listen_port": ("6433", "6432", "no"),
}
"""By a PgBouncer that has read dev's file: what holds, the default, and whether the console can change it."""


def by_hand(shown: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    """What counts as set by hand."""
    return SetByHand().process([*FILE, *("\x1f".join((name, *row)) for name, row in shown.items())])


def test_what_the_file_says_is_no_change_by_hand() -> None:
    """PLAT-48: neither a number written otherwise, nor what is each process's own, nor a PgBouncer that does not answer."""
    assert by_hand(SHOWN) == by_hand({}) == {}
    assert SetByHand().process(["psql: error: no such file"]) == SetByHand.default() == {}


def test_what_is_neither_the_file_s_nor_the_default_was_set_by_hand() -> None:
    shown = SHOWN | {"query_wait_timeout": ("31", "120", "yes"), "client_idle_timeout": ("1", "0", "yes")}
    assert by_hand(shown) == {"client_idle_timeout": "1", "query_wait_timeout": "31"}


def test_a_set_is_named_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-48: also where Keel has just changed the file: PgBouncer is compared with the file that is on the host."""
    wrong = {"query_wait_timeout": "31"}
    host = Host(SetByHand=wrong, ClosedByHand={})
    monkeypatch.setattr(console, "host", host)
    monkeypatch.setattr(console, "perform", host.perform)
    ROLES["pgbouncer"].activate(EDGE, frozenset({CONFIG}))
    wrong.clear()
    ROLES["pgbouncer"].activate(EDGE, frozenset())
    assert host.done == {
        "pgbouncer: no SET on its console (query_wait_timeout = 31)": ["systemctl reload pgbouncer.service"],
        "pgbouncer: no SET on its console (none)": [],
        "pgbouncer: its databases are open (open)": [],
    }
    assert host.questions[1][1]["config"] == CONFIG


def closed(*shown: str) -> dict[str, str]:
    """What counts as closed, of what PgBouncer shows."""
    return ClosedByHand().process(line.replace("|", "\x1f") for line in shown)


DATABASES = "name|host|paused|disabled"
STATE = "key|value"


def test_an_open_pooler_is_as_it_should_be() -> None:
    """PLAT-48: one that does not run is its unit's matter."""
    open_ = (DATABASES, "jeex_idea|/run|0|0", STATE, "active|yes", "paused|no", "suspended|no")
    assert closed(*open_) == closed() == ClosedByHand.default() == {}


def test_what_is_closed_to_clients_is_named_and_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-48: PAUSE and DISABLE of a database and of all."""
    found = closed(DATABASES, "a|/run|1|0", "b_ro|/run|0|1", "c|/run|0|0", STATE, "active|no", "paused|yes")
    assert found == {"a is paused": "RESUME a", "b_ro is disabled": "ENABLE b_ro", "all is paused": "RESUME"}
    host = Host(SetByHand={}, ClosedByHand=found)
    monkeypatch.setattr(console, "host", host)
    monkeypatch.setattr(console, "perform", host.perform)
    ROLES["pgbouncer"].activate(EDGE, frozenset())
    given = host.done["pgbouncer: its databases are open (a is paused, b_ro is disabled, all is paused)"]
    assert [command.partition(" -c ")[2] for command in given] == ["'RESUME a'", "'ENABLE b_ro'", "'RESUME'"]


def test_one_that_lets_no_one_in_is_resumed_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """SUSPEND takes the console's door too."""
    host = Host(SetByHand={}, ClosedByHand=closed("no answer", "no answer"))
    monkeypatch.setattr(console, "host", host)
    monkeypatch.setattr(console, "perform", host.perform)
    ROLES["pgbouncer"].activate(EDGE, frozenset())
    assert host.done["pgbouncer: its databases are open (its console is silent)"] == ["pkill -USR2 -x pgbouncer"]
