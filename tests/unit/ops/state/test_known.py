"""Which environments there are, which of them may be removed as forgotten, and what the end of `make down` leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from environment import kind, load
from environment.errors import Refused
from environment.kind import Kind
from ops.cli.app import app
from ops.hosts.docker import DockerFailed
from ops.state import clear_killed, copies, known, remove, slots, stack
from ops.state.known import Known, environments
from ops.state.slots import Reservation
from tests.unit.ops.state.test_copies import write
from tests.unit.stacks import config

MARK = {"like": "ci", "made": "2026-01-31T09:30:00+00:00"}
NOW = datetime.now(UTC).replace(microsecond=0)


class Machine:
    """Stands for Docker and Pulumi: what they list, and what was removed."""

    def __init__(self) -> None:
        self.lists = {"ps": "", "volume": "", "network": ""}
        self.stacks: dict[str, list[dict[str, str]]] = {}
        self.removed: list[tuple[str, ...]] = []

    def docker(self, *arguments: str) -> str:
        if "rm" in arguments:
            self.removed.append(arguments)
            return ""
        if (label := f"label=keel.environment={arguments[-3].rpartition('=')[2]}") in arguments:
            return "\n".join(
                f"id-{n}"
                for n, line in enumerate(self.lists[arguments[0]].splitlines())
                if line.split("\t")[0] in label
            )
        return self.lists[arguments[0]]

    def pulumi(self, *arguments: str, **_: object) -> str:
        if arguments[:2] == ("stack", "ls"):
            return json.dumps([{"name": name} for name in self.stacks])
        if arguments[:2] == ("stack", "export"):
            return json.dumps({"deployment": {"resources": self.stacks[arguments[-1]]}})
        assert arguments[:2] == ("stack", "rm")
        del self.stacks[arguments[-1]]
        return ""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Two checkouts' stack files, reservations of the test's own, and a machine that has nothing yet."""
    real, made = {name: config(name) for name in ("ci", "staging")}, Machine()
    for module in (load, kind):
        monkeypatch.setattr(module, "STACKS", tmp_path / "here")
    monkeypatch.setattr(slots, "FOLDER", tmp_path / "slots")
    monkeypatch.setattr(slots, "_held", {})
    monkeypatch.setattr(slots, "used", set)
    monkeypatch.setattr(slots, "port_is_free", lambda _: True)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/state")
    monkeypatch.setattr(stack, "pulumi", made.pulumi)
    for module in (known, clear_killed):
        monkeypatch.setattr(module, "docker", made.docker)
    for name, settings in real.items():
        write(tmp_path / "here", name, settings)
    return made


def given(path: Path, days: int) -> None:
    """A reservation for the stack file at ``path``, made so many days ago."""
    name = path.name.split(".")[1]
    with slots.given(slots.reserve(numbers=[int(name[-1])]), Reservation(name, path, "ci", NOW - timedelta(days=days))):
        pass


def keel(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["env", *arguments])


def forgotten(machine: Machine, tmp_path: Path) -> None:
    """`pr-1` of this checkout, `pr-2` of another one, `pr-3` of one that is gone, and `anna`, of which only Docker knows."""
    copies.new("pr-1", "ci", [])
    given(write(tmp_path / "there", "pr-2", {**config("ci"), copies.MARK: MARK}), 3)
    given(tmp_path / "gone" / "Pulumi.pr-3.yaml", 3)
    machine.lists["ps"] = (
        "pr-1\trunning\t2026-01-31 09:30:00 +0000 UTC\npr-3\trunning\t2026-01-31 09:30:00 +0000 UTC\n"
        "pr-3\texited\t2026-01-31 09:30:00 +0000 UTC\nanna\trunning\t2026-01-31 10:30:00.5 +0100 CET"
    )
    machine.lists["volume"] = "pr-3\t-\t-"
    machine.stacks = {"pr-3": [], "pr-1": []}


def test_each_is_listed_with_what_is_known_of_it(machine: Machine, tmp_path: Path) -> None:
    """PLAT-47: stack files, reservations of other checkouts, what Docker has. A reservation without either is none."""
    forgotten(machine, tmp_path)
    given(tmp_path / "gone" / "Pulumi.pr-4.yaml", 9)
    found = {each.name: each for each in environments()}
    assert list(found) == ["anna", "ci", "pr-1", "pr-2", "pr-3", "staging"]
    assert found["anna"] == Known("anna", made=datetime(2026, 1, 31, 9, 30, tzinfo=UTC), items=found["anna"].items)
    assert [(found[name].kind, found[name].like, found[name].is_elsewhere) for name in ("pr-1", "pr-2", "pr-3")] == [
        (Kind.CI, "ci", False), (Kind.CI, "ci", True), (None, "ci", False),
    ]  # fmt: skip
    assert (found["ci"].like, found["ci"].made, found["staging"].kind) == (None, None, Kind.STAGING)
    assert found["pr-3"].made == NOW - timedelta(days=3) and found["pr-3"].holds == "2 containers, 1 volume"
    listed = {each["name"]: each for each in json.loads(keel("list", "--json").stdout)}
    assert {name for name, each in listed.items() if each["up"]} == {"anna", "pr-1"}
    assert listed["pr-3"] | {"age_seconds": 0} == {
        "name": "pr-3", "kind": None, "like": "ci", "made": found["pr-3"].made.isoformat(), "age_seconds": 0, "up": False,
        "running": 1, "containers": 2, "network": found["pr-3"].network, "stack_file": None, "in_state": True,
    }  # fmt: skip
    assert 3 * 86400 <= listed["pr-3"]["age_seconds"] < 3 * 86400 + 3600
    shown = keel("list").stdout
    assert (
        "1 of 2" in shown
        and "3 d" in shown
        and "not here" in shown
        and str(tmp_path / "there" / "Pulumi.pr-2.yaml") in shown
    )


def test_a_forgotten_one_goes_with_all_of_it(machine: Machine, tmp_path: Path) -> None:
    """PLAT-48: also where its checkout is gone: containers, volumes, the stack, the reservation. Nothing else does."""
    forgotten(machine, tmp_path)
    asked = keel("remove", "--older-than", "2d")
    assert asked.exit_code == 2 and "someone has to type pr-3 to remove it" in asked.stderr and not machine.removed
    done = keel("remove", "--older-than", "2d", "--yes")
    assert done.exit_code == 0 and done.stdout.endswith("pr-3: removed\n"), done.output
    assert machine.removed == [("rm", "-fv", "id-1", "id-2"), ("volume", "rm", "id-0")]
    assert set(machine.stacks) == {"pr-1"} and {found.environment for _, found in slots.reservations()} == {
        "pr-1",
        "pr-2",
    }
    machine.lists["ps"] = machine.lists["volume"] = ""
    assert keel("remove", "pr-1", "pr-2", "--yes").exit_code == 0
    assert not [*slots.reservations()] and not [*tmp_path.glob("*/Pulumi.pr-*")] and not machine.stacks
    assert [path.name for path in sorted((tmp_path / "here").iterdir())] == ["Pulumi.ci.yaml", "Pulumi.staging.yaml"]


def test_what_was_not_made_by_it_is_not_removed(machine: Machine, tmp_path: Path) -> None:
    """PLAT-48: a stack file of the repository, one whose data is kept, one that is not there: all are named, and none goes."""
    forgotten(machine, tmp_path)
    refused = keel("remove", "ci", "staging", "nowhere", "pr-1", "--yes")
    assert refused.exit_code == 2 and not machine.removed and set(machine.stacks) == {"pr-3", "pr-1"}
    for reason in ("ci was not made by ./keel env new", "staging is of the kind staging", "no environment nowhere"):
        assert reason in refused.stderr
    assert "kind cannot be known" in keel("remove", "anna").stderr


def test_one_that_is_being_changed_is_left(machine: Machine, tmp_path: Path) -> None:
    copies.new("pr-1", "ci", [])
    folder = tmp_path / "state" / ".pulumi" / "locks" / "organization" / "keel" / "pr-1"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text(json.dumps({"pid": 1, "username": "a", "hostname": "other", "timestamp": ""}))
    refused = keel("remove", "pr-1", "--yes")
    assert refused.exit_code == 2 and "pr-1 is being changed by a@other" in refused.stderr
    assert load.stack_file("pr-1").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["pr-1", "--older-than", "2d"], ["--older-than", "2"], ["--older-than", "-2d"]]
)
def test_what_is_to_go_is_said_in_one_way(machine: Machine, arguments: list[str]) -> None:
    refused = keel("remove", *arguments)
    assert refused.exit_code == 2 and "Nothing was changed" in refused.stderr


def test_nothing_is_forgotten(machine: Machine) -> None:
    assert keel("remove", "--older-than", "1w", "--yes").stdout.startswith("no environment")


def test_a_name_that_docker_or_pulumi_has_is_refused(machine: Machine, tmp_path: Path) -> None:
    """PLAT-47: the stack file of `anna` is in a checkout that made it by hand."""
    forgotten(machine, tmp_path)
    refused = keel("new", "anna", "--like", "ci")
    assert refused.exit_code == 2 and "Docker has 1 container of it" in refused.stderr
    machine.stacks["lost"] = []
    assert "Pulumi has its stack" in keel("new", "lost", "--like", "ci").stderr
    made = json.loads(keel("new", "pr-5", "--like", "ci", "--json").stdout)
    assert made["kind"] == made["like"] == "ci" and Path(made["stack_file"]) == load.stack_file("pr-5")


def test_where_docker_does_not_answer_nothing_is_removed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its containers would stay, and nothing would say whose they are. The list does without."""
    copies.new("pr-1", "ci", [])
    monkeypatch.setattr(known, "docker", failing)
    refused = keel("remove", "pr-1", "--yes")
    assert refused.exit_code == 2 and "Cannot connect" in refused.stderr and load.stack_file("pr-1").exists()
    assert "pr-1" in keel("list").stdout


def failing(*_: str) -> str:
    raise DockerFailed("docker ps: Cannot connect to the Docker daemon")


def test_another_stack_is_not_deleted_with_it(machine: Machine, tmp_path: Path) -> None:
    """Its name may be the project's, and another project's stack in the backend may have it too."""
    kept = [
        f".pulumi/{path}/file"
        for path in ("stacks/keel", "history/keel/dev", "backups/other/keel", "locks/organization/keel/dev")
    ]
    gone = [f".pulumi/{path}" for path in ("history/keel/keel", "backups/keel/keel", "locks/organization/keel/keel")]
    for path in kept:
        (tmp_path / "state" / path).parent.mkdir(parents=True)
        (tmp_path / "state" / path).touch()
    for path in gone:
        (tmp_path / "state" / path).mkdir(parents=True)
    machine.stacks = {"keel": []}
    stack.delete("keel")
    assert all((tmp_path / "state" / path).exists() for path in kept)
    assert not [path for path in gone if (tmp_path / "state" / path).exists()]


def test_the_end_of_down(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """PLAT-48: the stack goes where data need not survive, once it holds nothing; the stack file if it was made."""
    copies.new("pr-1", "ci", [])
    machine.stacks = {"pr-1": [{"urn": "left"}], "ci": [], "staging": []}
    for name in ("pr-1", "ci", "staging", "nowhere"):
        remove.after_down(name)
    assert set(machine.stacks) == {"pr-1", "staging"} and "its stack stays" in capsys.readouterr().out
    assert {path.name.split(".")[1] for path in load.STACKS.glob("Pulumi.*.yaml")} == {"pr-1", "ci", "staging"}
    machine.stacks["pr-1"] = []
    remove.after_down("pr-1")
    assert set(machine.stacks) == {"staging"} and not load.stack_file("pr-1").exists()


def test_an_edited_copy_that_keeps_data_is_kept(machine: Machine) -> None:
    made = copies.new("pr-1", "ci", [])
    made.path.write_text(made.path.read_text().replace("kind: ci", "kind: staging"))
    with pytest.raises(Refused, match="of the kind staging, which keeps its data"):
        remove.chosen(["pr-1"])
