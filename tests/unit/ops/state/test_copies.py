"""`./keel env new`: what a stack file gets from another one, what it never gets, and what is refused before it is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from environment import load
from environment.errors import KeelError, Refused
from environment.load import ROOT, others, parse, read_stack_file
from environment.rules.placement import published_ports
from ops.state import copies, networks, slots
from ops.state.slots import PORTS, Reservation, Slot
from tests.unit.stacks import config

LAST = slots.NUMBERS[-1]


@pytest.fixture(autouse=True)
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's stack files; the machine has no networks, and reservations of its own."""
    real = {name: config(name) for name in ("ci", "dev", "staging")}
    monkeypatch.setattr(load, "STACKS", tmp_path / "here" / "stacks")
    monkeypatch.setattr(slots, "FOLDER", tmp_path / "slots")
    monkeypatch.setattr(slots, "_held", {})
    monkeypatch.setattr(slots, "used", set)
    for name, settings in real.items():
        write(load.STACKS, name, settings)
    return load.STACKS


def write(folder: Path, name: str, settings: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"Pulumi.{name}.yaml"
    path.write_text(yaml.safe_dump({"config": dict(settings)}))
    return path


def files(folder: Path) -> dict[str, str]:
    """Everything below the folder but the lock, which says nothing."""
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize("like", ["ci", "dev"])
def test_a_copy_has_the_settings_and_a_network_and_ports_of_its_own(stacks: Path, like: str) -> None:
    """PLAT-47: kind, hosts, products and the rest are the other one's; each address is at the same place of the new network."""
    made = copies.new("pr-123", like, [])
    original = parse(config(like), like)
    assert made.settings.model_copy(update={"network": original.network, "hosts": original.hosts}) == original
    slot = Slot(LAST)
    network = made.settings.network
    assert network.cidr == slot.network and network.clients == (IPv4Network(f"{slot.network[1]}/32"),)
    assert {name: host.address.packed[-1] for name, host in made.settings.hosts.items()} == {
        name: host.address.packed[-1] for name, host in original.hosts.items()
    }
    ports = [port for _, port in published_ports(network, made.settings.hosts)]
    assert len(set(ports)) == len(ports) == len(original.hosts) + 3 and set(ports) <= set(slot.ports)
    assert parse(read_stack_file(made.path), "read", others("pr-123")) == made.settings
    assert copies.mark(made.path) is not None and copies.mark(stacks / f"Pulumi.{like}.yaml") is None


def test_what_belongs_to_one_environment_alone_is_not_copied(stacks: Path) -> None:
    """A recovery would find nothing, a bucket's backups are another's, and secrets are encrypted for another stack."""
    second = {"endpoint": "s3.example.com", "bucket": "backups"}
    alone = {
        "recovery": {"token": "first"},
        "repository": {"second": second, "processes": 1},
        "access": {"secure": "v1:x"},
    }
    write(stacks, "own", {**config("ci", alone), "other:setting": 1, "env:new": {"like": "ci", "made": "2026-01-01"}})
    made = copies.new("pr-123", "own", [])
    written = read_stack_file(made.path)
    assert written["keel:repository"] == {"processes": 1}
    assert not {"keel:recovery", "keel:access", "other:setting"} & written.keys()
    assert {left.partition(":")[2].partition(":")[0] for left in made.left_out} == {
        "recovery",
        "access",
        "repository.second",
    }


@pytest.mark.parametrize("name", ["Pr-1", "pr_1", "-pr", "pr-", "1pr", "", "p" * 32, "../pr", "pr.1", "pr 1", "pr\n"])
def test_a_bad_name_is_refused(stacks: Path, tmp_path: Path, name: str) -> None:
    """It would be a stack's, a file's and part of the hosts' names."""
    before = files(tmp_path)
    with pytest.raises(Refused, match=r"cannot name an environment: .*\. Nothing was changed$"):
        copies.new(name, "ci", [])
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("like", "patch", "reason"),
    [
        ("nowhere", {}, "there is no stack file .*nowhere.yaml to copy; there are ci, dev, like, staging"),
        ("staging", {}, "of the kind staging; only one of the kind dev or ci"),
        ("like", {"network.cidr": "10.89.0.0/23"}, "network of like is a /23"),
        ("like", {"hosts.ops9": {"address": "10.89.0.99", "groups": ["monitor"]}}, "92 ports in a row"),
        ("like", {"hosts.all1.memory": 1}, "1 setting"),
        (
            "like",
            {"environment.provider": "ssh", "hosts.all1.ssh": {"hostname": "h", "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"}},
            "machines that exist",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_copied_is_refused(
    stacks: Path, tmp_path: Path, like: str, patch: dict[str, Any], reason: str
) -> None:
    """PLAT-47: staging and production least of all."""
    write(stacks, "like", config("ci", patch))
    before = files(tmp_path)
    with pytest.raises(KeelError, match=reason):
        copies.new("pr-123", like, [])
    assert files(tmp_path) == before


def test_a_name_is_had_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's names and Pulumi's state are the same for all checkouts of a user."""
    copies.new("pr-1", "ci", [])
    before = files(tmp_path)
    with pytest.raises(Refused, match=r"an environment pr-1 already: the stack file .*here/stacks/Pulumi\.pr-1\.yaml"):
        copies.new("pr-1", "dev", [])
    with pytest.raises(Refused, match=r"an environment pr-2 already: Pulumi has its stack"):
        copies.new("pr-2", "dev", ["Pulumi has its stack"])
    write(tmp_path / "there", "ci", config("ci"))
    monkeypatch.setattr(load, "STACKS", tmp_path / "there")
    with pytest.raises(Refused, match=r"an environment pr-1 already: the stack file .*here/stacks/Pulumi\.pr-1\.yaml"):
        copies.new("pr-1", "ci", [])
    assert {path: text for path, text in files(tmp_path).items() if "there" not in path} == before


def test_no_network_and_no_port_of_another_stack_is_given(
    stacks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up or not: of this checkout, and of others in which one was made. A slot is skipped for its network or for one port."""
    last, *below = (Slot(LAST - number) for number in range(5))
    write(
        stacks,
        "network",
        config("ci", {"network.cidr": str(last.network.supernet()), "hosts.all1.address": str(last.network[11])}),
    )
    write(stacks, "port", config("dev", {"network.published": {"redis": below[0].ports[-1]}}))
    there = write(tmp_path / "there", "pr-9", config("ci"))
    write(there.parent, "hand-made", config("ci", {"network.published": {"ssh": below[1].port}}))
    slots.FOLDER.mkdir()
    monkeypatch.setattr(slots, "used", lambda: {below[3].network})
    with slots.given(slots.reserve(numbers=[below[2].number]), Reservation("pr-9", there, "ci", datetime.now(UTC))):
        pass
    assert last.number % 2  # so that the network above it is that of the slot below
    assert copies.new("pr-1", "ci", []).settings.network.cidr == Slot(below[3].number - 1).network
    there.unlink()  # the other stack file of its checkout is there still
    assert copies.new("pr-2", "ci", []).settings.network.cidr == below[2].network


@pytest.mark.parametrize("old", ["10.89.0.0/24", "192.168.7.64/26", "172.20.0.8/29"])
def test_each_address_keeps_its_place(old: str) -> None:
    """Networks of clients elsewhere stay; services that are not published are not published."""
    network = IPv4Network(old)
    patch = {
        "network": {"cidr": old, "clients": [f"{network[1]}/32", "203.0.113.0/24"], "published": {"redis": None}},
        "hosts.all1.address": str(network[3]),
    }
    moved = copies.moved(config("ci", patch), slot := Slot(7))
    there = IPv4Network((slot.network[0], network.prefixlen))
    assert moved["keel:hosts"]["all1"]["address"] == str(there[3])
    assert moved["keel:network"]["cidr"] == str(there)
    assert moved["keel:network"]["clients"] == [f"{there[1]}/32", "203.0.113.0/24"]
    assert moved["keel:network"]["published"]["redis"] is None
    ports = {port for _, port in published_ports(parse(moved, "moved").network, parse(moved, "moved").hosts)}
    assert len(ports) == 3 and ports < set(range(slot.port, slot.port + PORTS))


def test_git_does_not_see_it(stacks: Path) -> None:
    """The list of what git leaves out leaves out itself, and goes with the last stack file on it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", stacks, *arguments], capture_output=True, text=True, check=True).stdout

    git("init", "--quiet")
    before = git("status", "--porcelain", "--untracked-files=all")
    copies.new("pr-1", "ci", [])
    copies.new("pr-2", "ci", [])
    assert git("status", "--porcelain", "--untracked-files=all") == before
    copies.forget("pr-1", load.stack_file("pr-1"))
    assert git("status", "--porcelain", "--untracked-files=all") == before
    copies.forget("pr-2", load.stack_file("pr-2"))
    assert sorted(path.name for path in stacks.iterdir() if path.name != ".git") == [
        f"Pulumi.{name}.yaml" for name in ("ci", "dev", "staging")
    ]


def test_only_what_was_made_is_forgotten(stacks: Path) -> None:
    """A stack file of the repository stays, and so does one whose mark someone took out to keep it."""
    made = copies.new("pr-1", "ci", [])
    config_of = read_stack_file(made.path)
    del config_of[copies.MARK]
    write(stacks, "pr-1", config_of)
    assert not any(copies.forget(name, load.stack_file(name)) for name in ("pr-1", "ci", "nowhere"))
    assert made.path.exists() and (stacks / "Pulumi.ci.yaml").exists()


MAKE = """
import sys
from environment.errors import KeelError
from ops.state import copies, slots
sys.stdin.readline()
try:
    made = copies.new(sys.argv[1], "ci", [])
    print(made.settings.network.cidr, made.settings.network.published.ssh)
except KeelError as refused:
    print("refused", refused)
"""
HOLD = """
import sys
from ops.state import slots
sys.stdin.readline()
slot = slots.reserve(numbers=slots.NUMBERS[::-1])
print(slot.network, slot.port + 3, flush=True)
sys.stdin.readline()
"""


def test_processes_at_the_same_moment_get_different_ones(stacks: Path, tmp_path: Path) -> None:
    """PLAT-47: real processes of two checkouts and of test runs, let go at once; of those with one name, one gets it."""
    write(tmp_path / "there" / "stacks", "ci", config("ci"))
    wanted = [
        (MAKE, "pr-1", "here"),
        (MAKE, "pr-2", "there"),
        (MAKE, "same", "here"),
        (MAKE, "same", "there"),
        (MAKE, "same", "here"),
    ]
    wanted += [(HOLD, "", "here"), (HOLD, "", "there")]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, name], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache"), "KEEL_PROJECT": str(tmp_path / checkout)},
        )
        for script, name, checkout in wanted
    ]  # fmt: skip
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said: list[list[str]] = []
    for process in running:
        assert process.stdout and process.stderr
        said.append(process.stdout.readline().split() or [process.stderr.read()])
    for process in running:
        process.communicate("end\n")
    got = [tuple(line) for line in said if line[0] != "refused"]
    assert len(got) == 5 and len(said) == 7, said
    assert len({network for network, _ in got}) == len({port for _, port in got}) == 5
    assert len([*tmp_path.glob("*/stacks/Pulumi.same.yaml")]) == 1


def test_the_machines_networks_and_ports_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in place of them here: what was reserved has no route, and its ports can be listened on."""
    monkeypatch.setattr(slots, "used", networks.used)
    made = copies.new("pr-1", "ci", []).settings.network
    assert not [found for found in networks.used() if found.overlaps(made.cidr)]
    assert made.published.primary and networks.port_is_free(made.published.primary)
