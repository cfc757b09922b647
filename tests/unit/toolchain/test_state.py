"""Repeated, interrupted and simultaneous set-ups, and the environment they lead to."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from tests.unit.toolchain.fakes import FakeSystem, cache, machine, write
from toolchain import main, shellenv, steps
from toolchain.cache import scratch, whole
from toolchain.errors import SetupError
from toolchain.steps import Step, Way, take
from toolchain.system import Result


def test_what_a_killed_attempt_left_is_removed(tmp_path: Path) -> None:
    write(tmp_path / ".target.dead/half", "half")
    with whole(tmp_path / "target") as part:
        write(part / "file", "whole")
        assert not (tmp_path / "target").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    with pytest.raises(RuntimeError), scratch(tmp_path, "target"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_second_call_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []
    step = Step("thing", lambda: bool(calls), [Way("the way", lambda: None, lambda: calls.append(1))], "")
    system = machine(tmp_path)
    for _ in range(2):
        assert main.provide(system, cache(tmp_path), [step], docker=False, quiet=True) == 0
    assert calls == [1]
    assert capsys.readouterr().err.count("thing: the way") == 1


def test_what_another_set_up_did_meanwhile_is_not_done_again(tmp_path: Path) -> None:
    looks = iter([False, True])  # missing before waiting for the lock, there after it
    calls: list[int] = []
    step = Step("thing", lambda: next(looks), [Way("the way", lambda: None, lambda: calls.append(1))], "")
    assert main.provide(machine(tmp_path), cache(tmp_path), [step], docker=False, quiet=True) == 0
    assert not calls


def test_a_way_that_did_not_do_its_work_is_not_believed() -> None:
    step = Step("thing", lambda: False, [Way("the way", lambda: None, lambda: None)], "Do it by hand.")
    with pytest.raises(SetupError, match=r"thing is still missing(.|\n)*Do it by hand"):
        take(step)


def test_two_set_ups_at_once_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, entered = threading.Event(), threading.Event()
    monkeypatch.setattr("toolchain.cache.say", lambda text: waits.set() if "waiting" in text else None)

    def second() -> None:
        with cache(tmp_path).alone():
            entered.set()

    with cache(tmp_path).alone():
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(5)
        assert not entered.wait(0.2)
    thread.join(5)
    assert entered.is_set()


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stack files of each kind, under names that say another one."""
    monkeypatch.setattr("environment.kind.STACKS", tmp_path / "stacks")
    for name, stated in (
        ("dev", "dev"),
        ("pr-123", "ci"),
        ("city", "dev"),
        ("ci-17", "staging"),
        ("test", "production"),
    ):
        write(tmp_path / f"stacks/Pulumi.{name}.yaml", f"config:\n  keel:environment: {{kind: {stated}}}\n")


@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("stack", ["", "dev", "pr-123", "city"])
def test_the_published_passphrase_is_for_development(tmp_path: Path, stack: str) -> None:
    """PLAT-47: by the kind that the stack file says, whatever its name and whatever the caller's shell has for another one."""
    system = FakeSystem({"PATH": "/bin", "ENV": stack, "PULUMI_CONFIG_PASSPHRASE": "production's"})
    values = shellenv.variables(cache(tmp_path), system, main.REQUIREMENTS)
    assert values["PULUMI_CONFIG_PASSPHRASE"] == shellenv.PUBLISHED_PASSPHRASE


@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("stack", ["ci-17", "test", "not-there"])
def test_other_stacks_bring_their_own_passphrase(tmp_path: Path, stack: str) -> None:
    """PLAT-47: kinds that guard data, and those of which nothing is known."""
    caller = {"PATH": "/bin", "ENV": stack}
    system = FakeSystem(caller)
    assert "PULUMI_CONFIG_PASSPHRASE" not in shellenv.variables(cache(tmp_path), system, main.REQUIREMENTS)
    caller["PULUMI_CONFIG_PASSPHRASE"] = shellenv.PUBLISHED_PASSPHRASE  # from a shell for dev
    values = shellenv.variables(cache(tmp_path), system, main.REQUIREMENTS)
    assert values["PULUMI_CONFIG_PASSPHRASE"] is None
    assert "unset PULUMI_CONFIG_PASSPHRASE" in shellenv.lines(values)


@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize(("stack", "variable"), [("ci-17", "CI_17"), ("pr-123", "PR_123")])
def test_a_passphrase_for_one_stack_comes_first(tmp_path: Path, stack: str, variable: str) -> None:
    """Also for a stack of kind dev or ci that someone made with a passphrase of their own."""
    own = {f"PULUMI_CONFIG_PASSPHRASE_{variable}": "own", "PULUMI_CONFIG_PASSPHRASE": "another's"}
    system = FakeSystem({"PATH": "/bin", "ENV": stack, **own})
    values = shellenv.variables(cache(tmp_path), system, main.REQUIREMENTS)
    assert values["PULUMI_CONFIG_PASSPHRASE"] == "own"


def test_what_the_caller_says_to_other_programs_changes_nothing(tmp_path: Path) -> None:
    """PLAT-47 (B03, B14): a shell applies it, and libpq, Python and git see none of the caller's."""
    spoiled = {
        **dict.fromkeys(
            ("PGPORT", "PGHOSTADDR", "PGOPTIONS", "PGSERVICE", "PGTZ", "PGREQUIREAUTH", "PGSSLCERT"), "spoiled"
        ),
        **dict.fromkeys(("PYTHONPATH", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "GIT_DIR", "GIT_WORK_TREE"), "spoiled"),
    }
    values = shellenv.variables(cache(tmp_path), FakeSystem({"PATH": "/bin", **spoiled}), main.REQUIREMENTS)
    shell = f"{shellenv.lines(values)}\n/usr/bin/env"
    seen = subprocess.run(["/bin/sh", "-c", shell], env={"KEPT": "kept", **spoiled}, capture_output=True, text=True)
    assert "KEPT=kept" in seen.stdout and "spoiled" not in seen.stdout
    assert f"PYTHONPATH={main.CHECKOUT}" in seen.stdout


@pytest.mark.parametrize(
    ("endpoint", "used"), [("unix:///home/me/d.sock", "unix:///home/me/d.sock"), ("ssh://far", None)]
)
@pytest.mark.parametrize("how", ["variable", "file"])
def test_docker_and_its_provider_ask_one_engine_of_this_machine(
    tmp_path: Path, how: str, endpoint: str, used: str | None
) -> None:
    """B17: Pulumi's provider reads no context, so what leads to an engine of this machine becomes an address for both."""
    environ = {"PATH": "/bin", "HOME": "/me"} | ({"DOCKER_CONTEXT": "other"} if how == "variable" else {})
    system = FakeSystem(environ, tmp_path)
    if how == "file":
        write(system.path("/me/.docker/config.json"), '{"currentContext": "other"}')
    system.says["docker", "context", "inspect", "other", "--format", "{{.Endpoints.docker.Host}}"] = Result(0, endpoint)
    values = shellenv.variables(cache(tmp_path), system, main.REQUIREMENTS)
    assert values["DOCKER_HOST"] == (used or "unix:///var/run/docker.sock")
    assert values["DOCKER_CONTEXT"] is None


def test_what_keel_provides_is_not_taken_for_the_machines_own(tmp_path: Path) -> None:
    own = cache(tmp_path)
    path = f"{own.root}/venv-1/bin:/usr/bin:{own.root}/pulumi-1:/bin"
    assert own.without_own(path) == "/usr/bin:/bin"


def test_the_state_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the account's home, where Pulumi looks for it, whatever $HOME says."""
    monkeypatch.setattr(shellenv, "home", lambda: tmp_path)
    shellenv.make_state_folder({"HOME": str(tmp_path / "other")})
    assert (tmp_path / ".local/state/keel").stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(shellenv, "home", lambda: tmp_path / "third")
    shellenv.make_state_folder({"PULUMI_BACKEND_URL": "s3://state"})
    assert not (tmp_path / "other").exists() and not (tmp_path / "third").exists()


def test_first_way_skips_those_with_an_obstacle() -> None:
    blocked = Way("blocked", lambda: "it rains", lambda: None)
    free = Way("free", lambda: None, lambda: None)
    assert steps.Step("thing", lambda: False, [blocked, free], "").first_way() == free
