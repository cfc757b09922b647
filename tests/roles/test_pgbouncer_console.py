"""A SET on PgBouncer's console is found and undone; nothing else counts as one."""

from __future__ import annotations

from typing import Any

import pytest

from roles.order import ROLES
from roles.pgbouncer import console
from roles.pgbouncer.console import Held, HeldSettings
from roles.pgbouncer.role import CONFIG
from tests.roles.hosts import Host
from tests.roles.targets import manifest_of, target

EDGE = target(ROLES["pgbouncer"], "edge1", manifest_of("dev"))
HELD = {
    "query_wait_timeout": Held("30", "120"),
    "server_login_retry": Held("0.100000", "15"),
    "client_idle_timeout": Held("0", "0"),
    "server_check_query": Held("select 1", "<empty>"),
    "verbose": Held("0", ""),
    "conffile": Held("/run/pgbouncer/7/pgbouncer.ini", ""),
    "peer_id": Held("7", "0"),
}
"""Of a PgBouncer that has read the files of dev."""


def done(monkeypatch: pytest.MonkeyPatch, held: dict[str, Held], changed: frozenset[str] = frozenset()) -> Any:
    """What the role does on an edge that holds this."""
    host = Host(HeldSettings=held)
    monkeypatch.setattr(console, "host", host)
    monkeypatch.setattr(console, "perform", host.perform)
    ROLES["pgbouncer"].activate(EDGE, changed)
    return host.done


def test_what_the_files_say_is_no_change_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-48: neither a number written otherwise, nor what is each process's own, nor a PgBouncer that does not answer."""
    nothing: dict[str, list[str]] = {"pgbouncer: no SET on its console (none)": []}
    assert done(monkeypatch, HELD) == nothing
    assert done(monkeypatch, {}) == nothing


def test_a_set_is_named_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-48: of a setting in the file, and of one that is left at its default."""
    held = HELD | {"query_wait_timeout": Held("31", "120"), "client_idle_timeout": Held("1", "0")}
    name = "pgbouncer: no SET on its console (client_idle_timeout = 1, query_wait_timeout = 31)"
    assert done(monkeypatch, held) == {name: ["systemctl reload pgbouncer.service"]}
    assert done(monkeypatch, held, frozenset({CONFIG})) == {}, "it reads its new files anyway"


def test_what_the_console_shows_is_read() -> None:
    rows = ["verbose\x1f0\x1f\x1fyes", "listen_port\x1f6432\x1f6432\x1fno", "psql: error: no such file"]
    assert HeldSettings().process(rows) == {"verbose": Held("0", "")}
