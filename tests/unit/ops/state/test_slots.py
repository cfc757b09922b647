"""Networks and ports of tests are reserved: no other process gets them while this one lives."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ops.state import networks, slots


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of the test's own, and no networks of Docker."""
    monkeypatch.setattr(slots, "FOLDER", tmp_path)
    monkeypatch.setattr(slots, "_held", {})
    monkeypatch.setattr(slots, "used", lambda: {IPv4Network("10.91.2.0/25"), IPv4Network("172.17.0.0/16")})
    monkeypatch.setattr(slots, "port_is_free", lambda port: True)


def test_each_reservation_is_another_slot_and_skips_dockers_networks() -> None:
    assert [slots.reserve().number for _ in range(3)] == [1, 3, 4]


def test_another_process_gets_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    held = slots._held
    first = slots.reserve()
    monkeypatch.setattr(slots, "_held", {})  # another process has none of this one's handles
    assert slots.reserve().number == 3
    held[first.number].close()  # the first process ends
    assert slots.reserve().number == 1


def test_a_port_that_is_taken_excludes_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = slots.Slot(1).port + slots.PORTS - 1
    monkeypatch.setattr(slots, "port_is_free", lambda port: port != busy)
    assert slots.reserve().number == 3


def test_none_left_is_an_error_that_says_so() -> None:
    numbers = range(1, 3)
    slots.reserve(numbers=numbers)
    with pytest.raises(slots.NoSlot, match="none of 2 networks with 32 ports each is free"):
        slots.reserve(numbers=numbers)


def test_ranges_do_not_overlap_and_stay_below_outgoing_ports() -> None:
    first, last = slots.Slot(slots.NUMBERS[0]), slots.Slot(slots.NUMBERS[-1])
    assert slots.Slot(2).port - first.port == slots.PORTS
    assert first.port >= 1024 and last.port + slots.PORTS <= 32768


def test_free_means_that_a_program_could_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert not networks.port_is_free(port)
    assert networks.port_is_free(port)
