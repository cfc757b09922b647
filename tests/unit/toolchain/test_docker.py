"""The engine and the base image: what is there, then what can be started, installed or pulled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.fakes import DOCKER_VERSION, cache, machine, write
from toolchain import base_image, engine
from toolchain.errors import SetupError
from toolchain.steps import take
from toolchain.system import Result


def test_an_installed_engine_is_started_as_a_process_where_systemd_does_not_run(tmp_path: Path) -> None:
    system = machine(tmp_path, programs={"docker": "/docker", "dockerd": "/dockerd"})
    system.says.update({DOCKER_VERSION: Result(1, ""), ("docker", "version"): Result(1, "", "Cannot connect")})
    write(system.path("/proc/1/comm"), "init\n")
    take(engine.step(system, cache(tmp_path)))
    assert system.daemons == [("dockerd",)]
    assert not system.worked


def test_an_engine_that_is_starting_already_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = machine(tmp_path, programs={"docker": "/docker", "dockerd": "/dockerd"})
    system.says.update({DOCKER_VERSION: Result(1, ""), ("docker", "version"): Result(1, "", "Cannot connect")})
    write(system.path("/var/run/docker.pid"), "77")
    write(system.path("/proc/77/comm"), "dockerd\n")
    monkeypatch.setattr(engine, "START_SECONDS", 0.0)
    with pytest.raises(SetupError, match="does not answer after 0 s: Cannot connect"):
        engine.start(system, cache(tmp_path))
    assert not system.daemons


def test_systemd_starts_the_engine_where_it_runs_the_machine(tmp_path: Path) -> None:
    def started(args: tuple[str, ...]) -> None:
        system.says[DOCKER_VERSION] = Result(0, "20.10")

    system = machine(tmp_path, effects={"systemctl": started})
    write(system.path("/proc/1/comm"), "systemd\n")
    engine.start(system, cache(tmp_path))
    assert system.worked == [("systemctl", "enable", "--now", "docker")]
    assert not system.daemons


def test_a_missing_engine_is_installed_from_debian(tmp_path: Path) -> None:
    system = machine(tmp_path, programs={"apt-get": "/apt-get"}, effects={"apt-get": lambda args: None})
    take(engine.step(system, cache(tmp_path)))
    assert system.worked[-1] == ("apt-get", "install", "-q", "-y", "docker.io")
    assert system.daemons == [("dockerd",)]


def test_the_base_image_is_pulled_where_the_registry_answers(tmp_path: Path) -> None:
    inspect = ("docker", "image", "inspect", "--format", "{{.Id}}", "debian:trixie")

    def pulled(args: tuple[str, ...]) -> None:
        system.says[inspect] = Result(0, "sha256:…")

    system = machine(
        tmp_path,
        programs={"docker": "/docker"},
        reachable=frozenset({base_image.REGISTRY}),
        says={inspect: Result(1, "")},
        effects={"docker": pulled},
    )
    take(base_image.step(system, cache(tmp_path), "trixie"))
    assert system.worked == [("docker", "pull", "debian:trixie")]
