"""What Patroni's log says of orders and of changed configurations (W12)."""

from __future__ import annotations

import logging
import time
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest

from keel_host.programs import recorded_patroni


class Connection:
    """A client that has shown a certificate."""

    def getpeercert(self) -> dict[str, Any]:
        return {"subject": ((("commonName", "edge1.haproxy"),),)}


class Handler:
    """As Patroni's: what the server says of a request goes through one method."""

    client_address = ("10.88.0.21", 40001)

    def __init__(self, command: str | None, request: object) -> None:
        self.request, self.said = request, list[str]()
        if command:
            self.command = command

    def log_message(self, text: str, *values: object) -> None:
        self.said.append(text % values)


@pytest.mark.parametrize(
    ("command", "request_", "logged"),
    [
        ("PATCH", Connection(), ["order from 10.88.0.21 (edge1.haproxy): '\"PATCH /config\" 401'"]),
        ("PATCH_config", Connection(), ["order from 10.88.0.21 (edge1.haproxy): '\"PATCH_config /config\" 401'"]),
        ("DELETE", object(), ["order from 10.88.0.21 (no certificate): '\"DELETE /config\" 401'"]),
        ("GET", Connection(), []),
        ("GET_patroni", Connection(), []),
        (None, Connection(), []),
    ],
)
def test_an_order_is_logged_with_where_it_came_from(
    caplog: pytest.LogCaptureFixture, command: str | None, request_: object, logged: list[str]
) -> None:
    """W12: address, certificate, what was asked and what was answered; a health check is none. Patroni's own line stays."""

    class Recorded(Handler):
        pass

    recorded_patroni.record_orders(Recorded)
    handler = Recorded(command, request_)
    with caplog.at_level(logging.INFO):
        handler.log_message('"%s /config" %s', command, 401)
    assert caplog.messages == logged
    assert handler.said == [f'"{command} /config" 401']


class Configuration:
    """As Patroni's: it says whether something changed."""

    def __init__(self, held: dict[str, Any]) -> None:
        self._held = held

    @property
    def dynamic_configuration(self) -> dict[str, Any]:
        return deepcopy(self._held)

    def set_dynamic_configuration(self, new: dict[str, Any]) -> bool:
        changed, self._held = new != self._held, new
        return changed


def test_a_change_is_logged_with_its_difference(caplog: pytest.LogCaptureFixture) -> None:
    """W12: what was and what is, value by value; nothing where nothing changed, nor of the first that is read."""

    class Recorded(Configuration):
        pass

    recorded_patroni.record_changes(Recorded)
    before = {"ttl": 30, "pause": None, "postgresql": {"parameters": {"work_mem": "4MB", "wal_level": "replica"}}}
    after = {"ttl": 20, "postgresql": {"parameters": {"wal_level": "replica", "archive_command": "true"}}}
    with caplog.at_level(logging.INFO):
        assert Recorded({}).set_dynamic_configuration(before) is True
        assert Recorded(before).set_dynamic_configuration(deepcopy(before)) is False
        assert caplog.messages == []
        assert Recorded(before).set_dynamic_configuration(after) is True
    assert caplog.messages == [
        "configuration changed: postgresql.parameters.archive_command: nothing -> true",
        "configuration changed: postgresql.parameters.work_mem: 4MB -> nothing",
        "configuration changed: ttl: 30 -> 20",
    ]


def test_a_server_that_stops_is_looked_at_often(caplog: pytest.LogCaptureFixture) -> None:
    """PLAT-37: and a release of Patroni without that number runs all the same."""
    stopping = SimpleNamespace(STOP_POLLING_INTERVAL=1)
    recorded_patroni.look_often(stopping)
    assert stopping.STOP_POLLING_INTERVAL < 1 and not caplog.messages
    recorded_patroni.look_often(SimpleNamespace())
    assert "no STOP_POLLING_INTERVAL" in caplog.text


class Ha:
    """As Patroni's on the primary, whose server runs for so many looks; nothing wakes it."""

    cluster = object()

    def __init__(self, looks: int, leads: bool = True) -> None:
        self.pauses: list[float] = []
        self.state_handler = SimpleNamespace(is_running=iter([True] * looks + [False] * 9).__next__)
        self._leads = leads

    def has_lock(self, info: bool) -> bool:
        assert not info
        return self._leads

    def watch(self, timeout: float) -> bool:
        self.pauses.append(timeout)
        time.sleep(timeout)
        return False


def test_a_crash_ends_the_pause_between_two_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-31: of the primary, where it ran before; else the pause is as long as it was, and no check follows the other at once."""

    class Watching(Ha):
        pass

    monkeypatch.setattr(recorded_patroni, "LOOKS", 0.01)
    recorded_patroni.notice_crashes(Watching)
    crashed = Watching(3)
    assert crashed.watch(5) is True and len(crashed.pauses) == 3
    for still in (Watching(0), Watching(1, leads=False)):
        assert still.watch(0.05) is False and still.pauses == [0.05]
    well = Watching(999)
    began = time.monotonic()
    assert well.watch(0.05) is False and time.monotonic() - began >= 0.05
