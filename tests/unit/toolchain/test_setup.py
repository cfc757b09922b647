"""Set-up refuses a machine on which it cannot work, in one clear sentence and before anything was changed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from tests.unit.toolchain.fakes import DOCKER_VERSION, GO_ENV, FakeSystem, cache, machine, write
from toolchain import main, preflight, pulumi_cli, venv
from toolchain.steps import GB, Need
from toolchain.system import Result

SETUP = main.CHECKOUT / "tools/setup"
PERMISSION_DENIED = Result(1, "", "permission denied while trying to connect to the Docker daemon socket")


def refused(system: FakeSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What set-up says on a machine it refuses, having checked that it changed nothing."""
    where = cache(tmp_path)
    wanted = main.plan(system, where, docker=True, suites=["forky"])
    assert main.provide(system, where, wanted, docker=True, quiet=True) == main.REFUSED
    assert not where.root.exists()
    assert not system.worked
    assert not system.daemons
    said = capsys.readouterr().err
    assert said.endswith("Nothing was changed.\n")
    return said


def usable(tmp_path: Path, **details: object) -> FakeSystem:
    """A machine with Go and a Docker engine that answers: set-up would go ahead."""
    system = machine(tmp_path, programs={"go": "/go", "docker": "/docker", "debootstrap": "/d"}, **details)
    system.says.update(
        {
            DOCKER_VERSION: Result(0, "20.10"),
            GO_ENV: Result(0, "go1.26.8\nlocal"),
            ("go", "env", "GOMODCACHE"): Result(0, str(tmp_path)),
            ("docker", "image", "inspect", "--format", "{{.Id}}", "debian:forky"): Result(1, ""),
        }
    )
    return system


def test_no_docker_and_no_right_to_install_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = machine(tmp_path, root_user=False, programs={"apt-get": "/apt-get"})
    said = refused(system, tmp_path, capsys)
    assert "Docker engine is missing and cannot be provided here" in said
    assert "installing packages needs root" in said
    assert "Install Docker" in said
    assert "base image" not in said


def test_docker_that_refuses_this_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = usable(tmp_path, root_user=False)
    system.says.update({DOCKER_VERSION: PERMISSION_DENIED, ("docker", "version"): PERMISSION_DENIED})
    assert "it runs, but /var/run/docker.sock refuses this user" in refused(system, tmp_path, capsys)


def test_too_little_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(usable(tmp_path, free=3 * GB), tmp_path, capsys)
    assert "too little disk" in said
    assert "3.0 GB are free" in said


def test_disk_space_is_summed_per_file_system(tmp_path: Path) -> None:
    needs = [Need(tmp_path / "a/b", 2 * GB), Need(tmp_path / "c", 2 * GB)]
    assert preflight.disk(machine(tmp_path, free=4 * GB), needs) is None
    assert preflight.disk(machine(tmp_path, free=3 * GB), needs) is not None


def test_disk_is_looked_at_even_when_everything_is_there(tmp_path: Path) -> None:
    (finding,) = preflight.machine(usable(tmp_path, free=GB))
    assert "too little disk: 2.0 GB are needed and 1.0 GB are free" in finding


def test_no_usable_cgroup_hierarchy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = usable(tmp_path)
    write(system.path("/proc/mounts"), "cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n")
    assert "no cgroup v2 hierarchy is mounted" in refused(system, tmp_path, capsys)


@pytest.mark.parametrize(
    ("mounts", "finding"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0", None),
        ("tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0", None),
        ("cgroup2 /sys/fs/cgroup cgroup2 ro,nosuid 0 0", "mounted read-only"),
        ("cgroup2 /mnt/elsewhere cgroup2 rw 0 0", "no cgroup v2 hierarchy"),
        ("", "no cgroup v2 hierarchy"),
    ],
    ids=["v2", "hybrid", "read-only", "elsewhere", "none"],
)
def test_cgroup_hierarchies(tmp_path: Path, mounts: str, finding: str | None) -> None:
    system = machine(tmp_path)
    write(system.path("/proc/mounts"), mounts)
    found = preflight.cgroups(system)
    assert (found is None) if finding is None else (found is not None and finding in found)


@pytest.mark.parametrize(("host", "local"), [("unix:///run/docker.sock", True), ("tcp://10.0.0.1", False)])
def test_an_engine_on_another_machine_is_refused(tmp_path: Path, host: str, local: bool) -> None:
    system = machine(tmp_path)
    findings = preflight.machine(FakeSystem({"DOCKER_HOST": host}, system.root))
    assert [finding.startswith(f"DOCKER_HOST points at another machine ({host})") for finding in findings] == (
        [] if local else [True]
    )


@pytest.mark.parametrize(
    ("said", "finding"),
    [
        (Result(0, "unix:///home/me/d.sock"), None),
        (Result(0, "ssh://far"), "Docker's context other points at another machine (ssh://far)"),
        (Result(1, "", "context not found"), "Docker's context other is one that Docker does not know"),
    ],
)
def test_a_context_that_leads_to_another_machine_is_refused(tmp_path: Path, said: Result, finding: str | None) -> None:
    """B17: by name, and not as ports that are taken. DOCKER_HOST goes before a context, as it does for Docker."""
    system = FakeSystem({"DOCKER_CONTEXT": "other"}, machine(tmp_path).root)
    system.says["docker", "context", "inspect", "other", "--format", "{{.Endpoints.docker.Host}}"] = said
    findings = preflight.machine(system)
    assert [found.partition(",")[0] for found in findings] == ([] if finding is None else [finding])
    both = FakeSystem({"DOCKER_CONTEXT": "other", "DOCKER_HOST": "unix:///run/docker.sock"}, system.root)
    assert preflight.machine(both) == []


@pytest.mark.parametrize(
    ("told", "obstacle"),
    [
        (Result(0, "go1.26.8\nlocal"), None),
        (Result(0, "go1.27rc1\nlocal"), None),
        (Result(0, "go1.24.1\nauto"), None),
        (Result(0, "go1.24.1\nlocal"), "Go 1.26 or newer is needed and /go is go1.24.1"),
        (Result(0, "go1.19.8\n"), "Go 1.26 or newer is needed and /go is go1.19.8"),
        (Result(127, ""), "Go 1.26 or newer is not on PATH"),
    ],
    ids=["new", "candidate", "fetches-toolchain", "old-and-local", "debian-12", "none"],
)
def test_go_is_needed_for_a_build(tmp_path: Path, told: Result, obstacle: str | None) -> None:
    system = machine(tmp_path, programs={"go": "/go"}, says={GO_ENV: told})
    assert pulumi_cli.CLI.obstacle(system) == obstacle


def test_no_pulumi_and_no_go_and_no_vendor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = usable(tmp_path)
    system.says[GO_ENV] = Result(127, "")
    said = refused(system, tmp_path, capsys)
    assert "no pulumi on PATH; the official installer: https://get.pulumi.com" in said
    assert "Go 1.26 or newer is not on PATH" in said
    assert "plugin" not in said


def test_a_python_without_ensurepip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venv, "has_ensurepip", lambda: False)
    said = refused(usable(tmp_path), tmp_path, capsys)
    assert "has no ensurepip, and this is not a Debian or Ubuntu machine" in said
    assert "apt-get install python3-venv" in said


def test_python_3_10_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """A real run of tools/run by an interpreter that takes itself for Python 3.10."""
    write(tmp_path / "old/sitecustomize.py", "import sys\nsys.version_info = (3, 10, 13, 'final', 0)\n")
    environment = os.environ | {
        "PYTHON": sys.executable,
        "PYTHONPATH": str(tmp_path / "old"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    command = [str(SETUP.with_name("run")), "echo", "reached"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Keel needs Python 3.11 or newer; this is 3.10.13 (")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_no_python_at_all_is_said_in_one_sentence() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHON": "python-that-is-not-there"}
    command = [str(SETUP.with_name("run")), "true"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Keel needs Python 3.11 or newer and finds no python-that-is-not-there")


def test_the_version_gate_parses_on_old_pythons_and_accepts_new_ones() -> None:
    ast.parse(SETUP.read_text(), feature_version=(3, 7))
    loader = SourceFileLoader("setup_script", str(SETUP))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    script = module_from_spec(spec)
    loader.exec_module(script)
    assert script.too_old((3, 11, 0), "python3") is None
    assert "this is 3.7.16" in script.too_old((3, 7, 16), "python3")


def test_a_check_takes_no_step(tmp_path: Path) -> None:
    """`make up` looks at everything first: what is missing is not provided by the look."""
    system, where = usable(tmp_path), cache(tmp_path)
    wanted = main.plan(system, where, docker=True, suites=["forky"])
    assert not all(step.done() for step in wanted)
    assert main.provide(system, where, wanted, docker=True, quiet=True, check=True) == 0
    assert not where.root.exists()
    assert not system.worked
