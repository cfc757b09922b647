"""A SET on PgBouncer's console is found and undone; nothing else counts as one."""

from __future__ import annotations

import pytest

from roles.order import ROLES
from roles.pgbouncer import console
from roles.pgbouncer.console import SetByHand
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
    host = Host(SetByHand=wrong)
    monkeypatch.setattr(console, "host", host)
    monkeypatch.setattr(console, "perform", host.perform)
    ROLES["pgbouncer"].activate(EDGE, frozenset({CONFIG}))
    wrong.clear()
    ROLES["pgbouncer"].activate(EDGE, frozenset())
    assert host.done == {
        "pgbouncer: no SET on its console (query_wait_timeout = 31)": ["systemctl reload pgbouncer.service"],
        "pgbouncer: no SET on its console (none)": [],
    }
    assert host.questions[0][1]["config"] == CONFIG
