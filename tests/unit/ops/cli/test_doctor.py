"""`keel doctor`: what it makes of a machine. The machine is fake, the looks at it are real."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from ops.cli.app import app
from ops.status import machine as looks
from tests.unit.cli_fakes import environment
from tests.unit.toolchain.fakes import DOCKER_VERSION, FakeSystem, machine, write
from toolchain import engine
from toolchain.preflight import ALWAYS_FREE
from toolchain.system import Result

GIB = 2**30


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "dev")


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _look(
    check: str, system: FakeSystem, patch: dict[str, object] | None = None, stack: str = "dev"
) -> list[tuple[str, str]]:
    return list(looks.CHECKS[check](system, stack, environment(patch, stack).settings))


def _with_memory(tmp_path: Path, mebibytes: int) -> FakeSystem:
    system = machine(tmp_path)
    write(system.path("/proc/meminfo"), f"MemTotal:  {mebibytes * 1024} kB\nMemFree: 1 kB\n")
    return system


# Limits of 2 GiB twice and 1 GiB twice; of them two shared buffers and Redis, 256 MiB each, are taken for certain.
# ci has one host, with one of each.
@pytest.mark.parametrize(
    ("stack", "mebibytes", "level"),
    [
        ("dev", 6144, "ok"), ("dev", 6143, "warn"), ("dev", 768, "warn"), ("dev", 767, "fail"),
        ("ci", 2048, "ok"), ("ci", 2047, "warn"), ("ci", 512, "warn"), ("ci", 511, "fail"),
    ],
)  # fmt: skip
def test_memory_is_compared_with_what_the_hosts_may_use(tmp_path: Path, stack: str, mebibytes: int, level: str) -> None:
    [(found, text)] = _look("memory", _with_memory(tmp_path, mebibytes), stack=stack)
    assert found == level
    assert f"{mebibytes} MiB" in text
    assert level == "ok" or "keel:" in text, "it names the setting to change"


@pytest.mark.parametrize(
    ("free", "level"), [(4 * GIB + ALWAYS_FREE, "ok"), (4 * GIB + ALWAYS_FREE - 1, "warn"), (GIB, "fail")]
)
def test_disk_leaves_room_for_the_wal_that_slots_hold_back(tmp_path: Path, free: int, level: str) -> None:
    """Two members keep up to 2 GiB each for a replica that is away."""
    [(found, text)] = _look("disk", machine(tmp_path, free=free))
    assert found == level
    assert f"{free // 2**20} MiB" in text or level == "fail"


def test_no_cgroup_hierarchy_is_a_failure_with_its_remedy(tmp_path: Path) -> None:
    system = machine(tmp_path)
    write(system.path("/proc/mounts"), "")
    [(level, text)] = _look("kernel", system)
    assert level == "fail"
    assert "mount -t cgroup2" in text


def test_no_docker_is_no_failure_for_make_up_provides_it(tmp_path: Path) -> None:
    [(level, text)] = _look("docker", machine(tmp_path))
    assert level == "warn"
    assert "make up" in text
    there = machine(tmp_path, programs={"docker": "/docker"})
    there.says[DOCKER_VERSION] = Result(0, "20.10")
    assert _look("docker", there)[0][0] == "ok"


def test_a_taken_port_is_told_with_its_setting_and_who_has_it(tmp_path: Path, busy_port: int) -> None:
    patch: dict[str, object] = {"network.published": {"pgbouncer": busy_port}}
    found = _look("ports", machine(tmp_path), patch)
    [(level, text)] = [one for one in found if str(busy_port) in one[1]]
    assert level == "fail"
    assert f"port {busy_port}" in text
    assert "keel:network.published.pgbouncer" in text
    assert "ok" not in dict(found), "all are told to be free beside the one that is not"


def test_ports_that_nobody_has_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "taken_ports", lambda *_: [])
    [(level, _)] = _look("ports", machine(tmp_path))
    assert level == "ok"


@pytest.mark.parametrize(("seconds", "level"), [(0.001, "ok"), (0.010, "warn"), (0.100, "fail")])
def test_fsync_latency_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, level: str) -> None:
    monkeypatch.setattr(looks, "fsync_latency", lambda _: seconds)
    [(found, text)] = _look("fsync", machine(tmp_path))
    assert found == level
    assert f"{seconds * 1000:.2f} ms" in text


@pytest.mark.parametrize("there", [True, False])
def test_the_disk_of_the_volumes_is_measured_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    system, measured = machine(tmp_path), list[Path]()
    if there:
        engine.data_root(system).mkdir(parents=True)

    def latency(folder: Path) -> float:
        measured.append(folder)
        return 0.0

    monkeypatch.setattr(looks, "fsync_latency", latency)
    _look("fsync", system)
    assert measured[0].is_dir()
    assert (measured == [engine.data_root(system)]) == there


def test_fsync_latency_counts_what_the_disk_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    clock = iter(range(1000))
    monkeypatch.setattr("os.fdatasync", lambda file: written.append(os.fstat(file).st_size))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert looks.fsync_latency(tmp_path) == 1
    assert written == [8192] * 100, "the finding says 8 kB and a hundred"


def test_a_clock_before_the_authority_begins_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "CA_NOT_BEFORE", datetime(9999, 1, 1, tzinfo=UTC))
    [(level, text)] = _look("clock", machine(tmp_path))
    assert level == "fail"
    assert "no certificate would be valid" in text


@pytest.mark.parametrize(("state", "level"), [(0, "ok"), (4, "ok"), (5, "warn"), (6, "ok")])
def test_a_clock_that_the_kernel_calls_wrong_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: int, level: str
) -> None:
    """adjtimex(2): 5 alone is TIME_ERROR; 1 to 4 announce leap seconds."""
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(adjtimex=lambda _: state))
    [(found, text)] = _look("clock", machine(tmp_path))
    assert found == level
    assert ("not synchronised" in text) == (level == "warn")


def test_machines_that_exist_are_not_measured_on_this_one() -> None:
    """Staging's hosts are elsewhere: this machine's disk, memory and ports say nothing about them."""
    result = CliRunner().invoke(app, ["--env", "staging", "doctor"])
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["clock"]


def test_a_check_that_does_not_exist_is_refused_before_any_is_made() -> None:
    result = CliRunner().invoke(app, ["doctor", "--only", "clock", "--only", "nope"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"there is no check 'nope'; there are {', '.join(looks.CHECKS)}" in " ".join(result.stderr.split())


@pytest.mark.parametrize(("level", "status"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_only_a_failure_makes_the_exit_status_1(monkeypatch: pytest.MonkeyPatch, level: str, status: int) -> None:
    monkeypatch.setitem(looks.CHECKS, "ports", lambda *_: iter([(level, "a sentence")]))
    result = CliRunner().invoke(app, ["doctor", "--only", "ports"])
    assert result.stdout.split() == [level, "ports", "a", "sentence"]
    assert result.exit_code == status
