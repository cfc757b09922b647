"""What a killed run left is recognised by its dead process, and a living one is left alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from environment.load import ROOT, InvalidStack
from ops.hosts.docker import DockerFailed
from ops.state import clear_killed, stack


class Pulumi:
    """Stands for the pulumi command: remembers its calls and hands out a state."""

    def __init__(self, state: dict[str, object]) -> None:
        self.state, self.imported = state, ""
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str, given: str | None = None, backend: Path | None = None) -> str:
        self.calls.append(arguments)
        self.imported = given or self.imported
        return json.dumps(self.state)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    monkeypatch.setattr(clear_killed, "_remove_unrecorded", lambda *_: None)
    monkeypatch.setattr(clear_killed, "_notice_missing", lambda *_: None)
    return tmp_path


def lock(backend: Path, pid: int, hostname: str) -> None:
    folder = backend / ".pulumi" / "locks" / "organization" / "keel" / "dev"
    folder.mkdir(parents=True)
    owner = {"pid": pid, "username": "ann", "hostname": hostname, "timestamp": "2026-01-01T00:00:00Z"}
    (folder / "1.json").write_text(json.dumps(owner))


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_dead_lock_is_removed(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = Pulumi({"deployment": {}})
    monkeypatch.setattr(stack, "pulumi", pulumi)
    lock(backend, dead_process(), socket.gethostname())
    clear_killed.main("dev")
    assert ("cancel", "--yes", "-s", "dev") in pulumi.calls


def test_only_locks_of_this_project_count(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another project may have a stack of the same name in the same folder."""
    pulumi = Pulumi({"deployment": {}})
    monkeypatch.setattr(stack, "pulumi", pulumi)
    lock(backend, os.getpid(), "elsewhere")
    (backend / ".pulumi/locks/organization/keel").rename(backend / ".pulumi/locks/organization/other")
    clear_killed.main("dev")
    assert ("cancel", "--yes", "-s", "dev") not in pulumi.calls


def test_a_lock_of_another_machine_is_respected(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "pulumi", Pulumi({"deployment": {}}))
    lock(backend, dead_process(), "elsewhere")
    with pytest.raises(stack.Busy, match=r"ann@elsewhere .*Nothing was changed"):
        clear_killed.main("dev")


def test_a_process_number_used_again_by_another_program_is_dead(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = Pulumi({"deployment": {}})
    monkeypatch.setattr(stack, "pulumi", pulumi)
    lock(backend, os.getpid(), socket.gethostname())
    clear_killed.main("dev")
    assert ("cancel", "--yes", "-s", "dev") in pulumi.calls


def test_attributes_that_were_being_written_are_removed(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-36: with empty ones Pulumi says "failed to load checkpoint: EOF", without them it reads the state. Whole ones stay."""
    folder = backend / ".pulumi" / "stacks" / "keel"
    folder.mkdir(parents=True)
    contents = {"dev.json": "", "dev.json.attrs": "", "dev.json.bak.attrs": '{"md5": ', "ci.json.attrs": '{"md5": "x"}'}
    for name, text in contents.items():
        (folder / name).write_text(text)
    left: list[set[str]] = []

    def pulumi(*_: str) -> str:
        left.append({path.name for path in folder.iterdir()})
        return "{}"

    monkeypatch.setattr(stack, "pulumi", pulumi)
    assert list(stack.take("dev")) == []
    assert left == [{"dev.json", "ci.json.attrs"}], "before Pulumi is asked"


def test_pending_operations_are_dropped_and_nothing_else(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = [{"urn": "a", "id": "1"}]
    pulumi = Pulumi({"deployment": {"resources": resources, "pending_operations": [{"type": "creating"}]}})
    monkeypatch.setattr(stack, "pulumi", pulumi)
    clear_killed.main("dev")
    assert json.loads(pulumi.imported) == {"deployment": {"resources": resources}}


def test_a_clean_state_is_not_imported(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi = Pulumi({"deployment": {"resources": []}})
    monkeypatch.setattr(stack, "pulumi", pulumi)
    clear_killed.main("dev")
    assert pulumi.imported == ""


def test_containers_of_a_lost_state_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state without any of the running containers is another backend or a loss, unless a run was killed on its way to one."""
    removed: list[tuple[str, ...]] = []

    def docker(*arguments: str) -> str:
        if arguments[0] == "ps":
            return "abc"
        if arguments[:2] == ("network", "ls"):
            return "n unrecorded"
        if "rm" in arguments[:2]:
            removed.append(arguments)
        return ""

    monkeypatch.setattr(clear_killed, "docker", docker)
    network = {"urn": "network", "id": "n"}
    for resources, interrupted in (([], False), ([], True), ([network], False)):
        with pytest.raises(
            clear_killed.Unrecorded, match=r"knows none of them\. Nothing was changed.*keel --env dev adopt"
        ):
            clear_killed._remove_unrecorded("dev", resources, interrupted)
    assert removed == []
    clear_killed._remove_unrecorded("dev", [network, {"urn": "db1", "id": "abc"}], False)
    assert removed == [("network", "rm", "unrecorded")]
    clear_killed._remove_unrecorded("dev", [network], True)
    assert removed[1:] == [("rm", "-f", "abc"), ("network", "rm", "unrecorded")]


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack file has every host but one."""
    monkeypatch.setattr(clear_killed, "_leaves", lambda _environment, host: host == "left")


def test_a_host_that_leaves_stays_stopped_and_one_that_cannot_start_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-36: its ports may be another's by now; the update ends what was begun, with the old stack file as with the new."""
    asked: list[tuple[str, ...]] = []

    def docker(*arguments: str) -> str:
        asked.append(arguments)
        if arguments[:2] == ("start", "b"):
            raise DockerFailed("docker start: port is already allocated")
        return "a exited\nb created\nc exited" if arguments[0] == "ps" else ""

    monkeypatch.setattr(clear_killed, "docker", docker)
    names = {"a": "left", "b": "db2", "c": "edge1"}
    made = [{"type": "docker:index/container:Container", "id": i, "urn": f"urn::{name}"} for i, name in names.items()]
    clear_killed._notice_missing("dev", {"deployment": {"resources": made}})
    assert [each for each in asked if each[0] == "start"] == [("start", "b"), ("start", "c")]
    assert "left to the update: docker start: port is already allocated" in capsys.readouterr().out


def test_stopped_containers_are_started_and_what_is_lost_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-36: also volumes and networks, for a refresh fails where a volume has vanished."""
    started: list[tuple[str, ...]] = []

    def docker(*arguments: str) -> str:
        if arguments[0] == "start":
            started.append(arguments)
        return {"ps": "a running\nb exited", "volume": "kept", "network": ""}.get(arguments[0], "")

    pulumi = Pulumi({})
    monkeypatch.setattr(clear_killed, "docker", docker)
    monkeypatch.setattr(stack, "pulumi", pulumi)
    container, volume, network = (
        f"docker:index/{kind}" for kind in ("container:Container", "volume:Volume", "network:Network")
    )
    resources = [
        {"type": network, "id": "n", "urn": "urn::n"},
        {"type": volume, "id": "kept", "urn": "urn::kept"},
        {"type": volume, "id": "lost", "urn": "urn::lost"},
        *({"type": container, "id": i, "urn": f"urn::{i}", "dependencies": ["urn::kept", "urn::lost"]} for i in "abc"),
        {"type": "step", "urn": "urn::ready", "propertyDependencies": {"container": ["urn::c"], "image": None}},
    ]
    clear_killed._notice_missing("dev", {"version": 3, "deployment": {"resources": resources}})
    assert started == [("start", "b")]
    left = json.loads(pulumi.imported)["deployment"]["resources"]
    assert [resource["urn"] for resource in left] == ["urn::kept", "urn::a", "urn::b", "urn::ready"]
    assert left[1]["dependencies"] == ["urn::kept"]
    assert left[3]["propertyDependencies"] == {"container": [], "image": []}


DISCARDED: list[dict[str, object]] = [
    {"type": "docker:index/network:Network", "id": "n", "urn": "urn::n"},
    {"type": "docker:index/volume:Volume", "id": "data", "urn": "urn::data"},
    {"type": "docker:index/volume:Volume", "id": "lost", "urn": "urn::lost"},
    {"type": "docker:index/container:Container", "id": "a", "urn": "urn::a", "dependencies": ["urn::data"]},
    {"type": "docker:index/container:Container", "id": "b", "urn": "urn::b", "dependencies": ["urn::lost"]},
    {"type": "step", "urn": "urn::ready", "id": "ready/a", "dependencies": ["urn::a"]},
]
"""What a state records of an environment."""


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Docker has all of it but a lost volume, and one container that nobody recorded; the list gets what changes something."""
    done: list[tuple[str, ...]] = []

    def docker(*arguments: str) -> str:
        answers = {
            "ps": "a running\nb exited\nother running", "volume ls": "data", "network ls": "n", "network inspect": "backend-1 ",
        }  # fmt: skip
        if listed := answers.get(" ".join(arguments[: 1 if arguments[0] == "ps" else 2])):
            return listed
        done.append(arguments)
        return ""

    monkeypatch.setattr(clear_killed, "docker", docker)
    monkeypatch.setattr(clear_killed, "_remove_unrecorded", lambda *_: None)
    monkeypatch.setattr(stack, "take", lambda _: [])
    return done


def test_what_is_thrown_away_is_removed_at_once_and_forgotten(
    there: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command for all containers, so that Docker removes them side by side; volumes and network when nothing uses them. An
    application's container is not removed with its network."""
    pulumi = Pulumi({"deployment": {"resources": DISCARDED}})
    monkeypatch.setattr(stack, "pulumi", pulumi)
    clear_killed.main("dev", discard=True)
    assert there == [
        ("rm", "-fv", "a", "b"), ("volume", "rm", "data"),
        ("network", "disconnect", "--force", "n", "backend-1"), ("network", "rm", "n"),
    ]  # fmt: skip
    ready = {**DISCARDED[-1], "dependencies": []}
    assert json.loads(pulumi.imported)["deployment"]["resources"] == [ready]


def test_before_an_up_nothing_is_thrown_away(there: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make up` calls starts what stopped, and the data stays where it is."""
    monkeypatch.setattr(stack, "pulumi", Pulumi({"deployment": {"resources": DISCARDED}}))
    clear_killed.main("dev")
    assert there == [("start", "b")]


@pytest.mark.parametrize("option", ["retainOnDelete", "protect"])
def test_an_environment_that_keeps_something_is_never_discarded(
    there: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Pulumi's state tells, whatever the stack is called and its file says now."""
    kept = [{**resource, option: resource["urn"] == "urn::data"} for resource in DISCARDED]
    monkeypatch.setattr(stack, "pulumi", Pulumi({"deployment": {"resources": kept}}))
    clear_killed.main("dev", discard=True)
    assert there == [("start", "b")]


@pytest.mark.parametrize("like", ["dev", "ci", "staging", "production"])
@pytest.mark.parametrize("flags", [None, "--yes --skip-preview", ""])
def test_only_a_destroy_without_a_question_discards(like: str, flags: str | None) -> None:
    """Nothing is removed before the answer to a question, and nothing of staging or production by force."""
    given = [] if flags is None else [f"DOWN_FLAGS={flags}"]
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "down", f"ENV={like}", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, last = (line.split() for line in done.stdout.splitlines())
    assert ("--discard" in first) == (like in ("dev", "ci") and "--yes" in second)
    assert first[1:5] == ["python", "-m", "ops.state.clear_killed", like]
    assert second[2:6] == ["pulumi", "destroy", "-s", like]
    assert last[2:] == ["python", "-m", "ops.state.remove", like]


def test_an_environment_that_is_not_there_is_not_begun(backend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `make down`, or a mistyped name: Pulumi would make a stack of it, and a stack file."""
    monkeypatch.setattr(stack, "pulumi", pulumi := Pulumi({}))
    with pytest.raises(InvalidStack, match="an existing stack"):
        clear_killed.main("pr-gone")
    assert not pulumi.calls
