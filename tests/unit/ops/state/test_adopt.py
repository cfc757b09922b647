"""From a plan for an empty state and what runs to a state in which that is recorded as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ops.state import adopt, stack
from ops.state.docker_diff import CONTAINER, NETWORK, VOLUME, Difference, _comparable, differences
from ops.state.from_plan import UNKNOWN, Adoption, Found, Resource
from tests.unit.cli_fakes import session

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"key"'}
WANTED: dict[str, Any] = {
    "__defaults": ["start"],
    "name": "keel-dev-db1",
    "image": UNKNOWN,
    "hostname": "db1",
    "memory": 2048,
    "memorySwap": 2048,
    "cpuPeriod": 100000,
    "cpuQuota": 200000,
    "shmSize": 256,
    "restart": "unless-stopped",
    "stopSignal": "SIGRTMIN+3",
    "stopTimeout": 60,
    "cgroupnsMode": "private",
    "envs": ["container=docker"],
    "securityOpts": ["seccomp=unconfined"],
    "capabilities": {"__defaults": [], "adds": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "drops": ["CAP_MKNOD"]},
    "tmpfs": {"/run": "", "/tmp": ""},
    "mounts": [
        {"__defaults": [], "type": "volume", "source": "keel-dev-db1-etcd", "target": "/var/lib/etcd"},
    ],
    "ports": [{"__defaults": ["protocol"], "internal": 22, "external": 2201, "ip": "127.0.0.1", "protocol": "tcp"}],
    "networksAdvanced": [{"__defaults": [], "name": "keel-dev", "ipv4Address": "10.88.0.11"}],
    "labels": [{"__defaults": [], "label": "keel.environment", "value": "dev"}],
    "uploads": SECRET,
    "start": True,
}


def inspected() -> dict[str, Any]:
    """What `docker container inspect` tells of such a container."""
    return {
        "Id": "c1",
        "Image": "sha256:new",
        "Config": {
            "Hostname": "db1",
            "Env": ["PATH=/bin", "container=docker"],
            "Labels": {"keel.environment": "dev", "keel.image": "host"},
            "StopSignal": "SIGRTMIN+3",
            "StopTimeout": 60,
        },
        "HostConfig": {
            "Memory": 2048 * 2**20,
            "MemorySwap": 2048 * 2**20,
            "CpuPeriod": 100000,
            "CpuQuota": 200000,
            "ShmSize": 256 * 2**20,
            "RestartPolicy": {"Name": "unless-stopped"},
            "CgroupnsMode": "private",
            "SecurityOpt": ["seccomp=unconfined"],
            "CapAdd": ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"],
            "CapDrop": ["CAP_MKNOD"],
            "Tmpfs": {"/run": "", "/tmp": ""},
            "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2201"}]},
        },
        "Mounts": [
            {"Type": "volume", "Name": "keel-dev-db1-etcd", "Source": "/docker/etcd", "Destination": "/var/lib/etcd"},
        ],
        "NetworkSettings": {"Networks": {"keel-dev": {"IPAMConfig": {"IPv4Address": "10.88.0.11"}}}},
    }


def planned(kind: str, name: str, asked: dict[str, Any] | None = None, **goal: Any) -> dict[str, Any]:
    """A resource of a plan."""
    given = {"inputDiff": {"adds": asked}} if asked is not None else {"inputDiff": {}}
    state = {**(asked or {}), "id": UNKNOWN}
    return {"goal": {"type": kind, "name": name, "custom": asked is not None, **given, **goal}, "state": state}


PLAN = {
    "ready": planned("pulumi-python:dynamic/keel:Ready", "db1-ready", {"container": UNKNOWN}, provider=f"python::{UNKNOWN}"),
    "container": planned(
        CONTAINER, "db1", WANTED, parent="host", provider=f"docker::{UNKNOWN}",
        dependencies=["drain", "volume", "network", "image"], propertyDependencies={"image": ["image"], "memory": None},
    ),
    "drain": planned(
        "pulumi-python:dynamic/keel:Drain", "db1-drain",
        {"action": "drain", "name": "db1-drain", "host": "db1", "image": UNKNOWN, "specification": {"memory": 2048}, "__provider": SECRET},
        parent="host", provider=f"python::{UNKNOWN}", dependencies=["image"],
    ),
    "image": planned(
        "pulumi-python:dynamic/keel:HostImage", "image", {"action": "image", "name": "image", "tag": "keel-host:1"},
        parent="stack", provider=f"python::{UNKNOWN}",
    ),
    "volume": planned(VOLUME, "db1-etcd", {"name": "keel-dev-db1-etcd"}, parent="host", provider=f"docker::{UNKNOWN}"),
    "network": planned(NETWORK, "network", {"name": "keel-dev"}, parent="stack", provider=f"docker::{UNKNOWN}"),
    "host": planned("keel:host:Host", "db1", parent="stack"),
    "docker": planned("pulumi:providers:docker", "default", {"version": "5"}),
    "python": planned("pulumi:providers:pulumi-python", "default", {}),
    "stack": planned("pulumi:pulumi:Stack", "keel-dev"),
}  # fmt: skip
"""In no useful order, as Pulumi writes it."""
FOUND = {"container": Found("c1", "sha256:new"), "volume": Found("keel-dev-db1-etcd"), "network": Found("n1")}


def recorded(found: dict[str, Found], image: str | None = "sha256:new") -> dict[str, Resource]:
    """The state's resources by their URN, in its order."""
    return {resource["urn"]: resource for resource in Adoption(PLAN, found, image).resources()}


def test_what_is_as_the_program_wants_it_does_not_differ() -> None:
    """Pulumi's notes on defaults, the order of lists, and what the image brings along are no differences."""
    assert differences(CONTAINER, inspected(), {**WANTED, "image": "sha256:new"}) == {}


@pytest.mark.parametrize(
    ("wanted", "there", "differs"),
    [
        ({"subnet": "10.88.0.0/24"}, {"Subnet": "10.88.0.0/24", "Gateway": "10.88.0.1"}, False),
        (
            {"subnet": "10.88.0.0/24", "ipRange": "10.88.0.128/25"},
            {"Subnet": "10.88.0.0/24", "IPRange": "10.88.0.128/25"},
            False,
        ),
        ({"subnet": "10.88.0.0/24", "ipRange": "10.88.0.128/25"}, {"Subnet": "10.88.0.0/24"}, True),
    ],
)
def test_a_network_is_compared_with_what_is_asked_for(wanted: Any, there: dict[str, str], differs: bool) -> None:
    """Newer engines name a gateway that nobody asked for; one that an earlier release made has no range for containers."""
    found = {"Driver": "bridge", "IPAM": {"Config": [there]}, "Labels": {}}
    assert bool(differences(NETWORK, found, {"driver": "bridge", "ipamConfigs": [wanted], "labels": []})) is differs


CHANGES = {
    "image": ("Image", "sha256:old"),
    "hostname": ("Config.Hostname", "other"),
    "stopTimeout": ("Config.StopTimeout", 10),
    "envs": ("Config.Env", []),
    "labels": ("Config.Labels", {}),
    "memory": ("HostConfig.Memory", 512 * 2**20),
    "cpuQuota": ("HostConfig.CpuQuota", 50000),
    "restart": ("HostConfig.RestartPolicy", {"Name": "no"}),
    "capabilities": ("HostConfig.CapAdd", ["CAP_NET_ADMIN"]),
    "tmpfs": ("HostConfig.Tmpfs", None),
    "ports": ("HostConfig.PortBindings", {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "2201"}]}),
    "mounts": ("Mounts", []),
    "networksAdvanced": ("NetworkSettings.Networks", {"bridge": {"IPAMConfig": None}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_replaces_a_container_is_seen(name: str) -> None:
    path, value = CHANGES[name]
    there = inspected()
    *way, last = path.split(".")
    place = there
    for step in way:
        place = place[step]
    place[last] = value
    assert set(differences(CONTAINER, there, {**WANTED, "image": "sha256:new"})) == {name}


def test_everything_that_runs_is_recorded_and_no_step_that_works_when_it_is_made() -> None:
    made = recorded(FOUND)
    assert made.keys() == PLAN.keys() - {"ready"}
    assert {urn: made[urn]["id"] for urn in FOUND} == {
        "container": "c1",
        "volume": "keel-dev-db1-etcd",
        "network": "n1",
    }
    assert (made["image"]["id"], made["drain"]["id"]) == ("image/image", "drain/db1-drain")
    assert made["image"]["outputs"]["image"] == made["drain"]["inputs"]["image"] == "sha256:new"
    assert made["container"]["inputs"] == {**WANTED, "image": "sha256:new"}


def test_every_resource_follows_what_it_refers_to() -> None:
    """Pulumi refuses a state in which one comes before its parent, its provider or what it depends on."""
    seen: dict[str, Resource] = {}
    for urn, resource in recorded(FOUND).items():
        assert {*resource["dependencies"], *filter(None, [resource.get("parent")])} <= seen.keys()
        if "provider" in resource:
            provider, _, made = resource["provider"].rpartition("::")
            assert seen[provider]["id"] == made != UNKNOWN
        seen[urn] = resource


def test_nothing_unknown_is_recorded() -> None:
    assert UNKNOWN not in json.dumps(recorded(FOUND))


def test_a_difference_is_recorded_as_it_runs_and_drains_the_host() -> None:
    """A wanted value that was recorded would never be carried out; a host that is to be replaced is drained first."""
    made = recorded({**FOUND, "container": Found("c1", "sha256:old", {"memory": Difference(512, 2048)})})
    assert made["container"]["inputs"]["memory"] == made["container"]["outputs"]["memory"] == 512
    assert made["container"]["inputs"]["image"] == made["drain"]["inputs"]["image"] == "sha256:old"
    assert made["image"]["outputs"]["image"] == "sha256:new"
    assert made["drain"]["inputs"]["specification"] == {"memory": 2048, "found": {"memory": 512}}
    assert made["drain"]["outputs"]["specification"] == made["drain"]["inputs"]["specification"]


def test_an_image_that_was_not_built_is_left_to_the_next_up() -> None:
    made = recorded(FOUND, image=None)
    assert "image" not in made
    assert made["container"]["dependencies"] == ["drain", "volume", "network"]
    assert made["container"]["propertyDependencies"] == {"image": [], "memory": []}


def test_what_is_missing_is_left_to_the_next_up_with_its_drain() -> None:
    """A drain that is created does nothing; the one of a running host would wait for it."""
    made = recorded({urn: found for urn, found in FOUND.items() if urn != "container"})
    assert made.keys() == PLAN.keys() - {"ready", "container", "drain"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Docker has, by name, and the containers that carry the label."""
    there: dict[str, Any] = {
        "keel-dev-db1": {**inspected(), "State": {"Running": True}},
        "keel-dev-db1-etcd": {"Name": "keel-dev-db1-etcd", "Labels": None},
        "keel-dev": {"Id": "n1", "Driver": "bridge", "IPAM": {"Config": []}, "Labels": None},
        "listed": "keel-dev-db1",
    }
    monkeypatch.setattr(adopt, "inspect", lambda _kind, name: there.get(name))
    monkeypatch.setattr(adopt, "image_id", lambda _tag: "sha256:new")
    monkeypatch.setattr(adopt, "docker", lambda *arguments: there["listed"] if arguments[0] == "ps" else "keel-dev")
    return there


def test_what_is_found_carries_its_ids_and_differences(machine: dict[str, Any]) -> None:
    machine["keel-dev-db1"]["Image"] = "sha256:old"
    adoption = adopt._found("dev", PLAN, make_missing=False)
    assert {urn: found.id for urn, found in adoption.found.items()} == {
        "container": "c1",
        "volume": "keel-dev-db1-etcd",
        "network": "n1",
    }
    assert adopt.Row("keel-dev-db1", "image", "sha256:old", "sha256:new") in adopt.rows(adoption)
    assert adopt.hosts(adoption) == ["db1"]


def test_stopped_missing_and_strange_ones_are_refused_at_once(machine: dict[str, Any]) -> None:
    machine["keel-dev-db1"]["State"]["Running"] = False
    machine["listed"] = "keel-dev-db1\nkeel-dev-db3"
    del machine["keel-dev-db1-etcd"]
    with pytest.raises(adopt.NotAdoptable) as refused:
        adopt._found("dev", PLAN, make_missing=False)
    told = str(refused.value)
    assert "Nothing was changed" in told
    for what in (
        "docker start keel-dev-db1",
        "not there: volume keel-dev-db1-etcd",
        "container keel-dev-db3 is not in the stack file",
    ):
        assert what in told


def test_missing_ones_are_left_out_when_that_is_meant(machine: dict[str, Any]) -> None:
    del machine["keel-dev-db1-etcd"]
    assert "volume" not in adopt._found("dev", PLAN, make_missing=True).found


def test_a_machine_without_the_environment_has_nothing_to_adopt(machine: dict[str, Any]) -> None:
    del machine["keel-dev-db1"]
    with pytest.raises(adopt.NotAdoptable, match=r"nothing to adopt. `make up ENV=dev` creates it"):
        adopt._found("dev", PLAN, make_missing=True)


def test_a_state_with_containers_is_not_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"deployment": {"resources": [{"type": CONTAINER, "urn": "container", "id": "c1"}]}}
    monkeypatch.setattr(stack, "take", lambda _name: [])
    monkeypatch.setattr(stack, "read", lambda _name: state)
    session: Any = type("Session", (), {"manifest": type("M", (), {"identity": type("I", (), {"name": "dev"})})})
    with pytest.raises(adopt.NotAdoptable, match=r"records 1 container.*Nothing was changed"):
        adopt.look(session, lambda _text: None)


def test_what_the_next_up_does_to_containers_is_told_and_steps_are_not() -> None:
    front = "urn:pulumi:dev::keel::keel:host:Hosts"
    steps = [
        {"op": "replace", "urn": f"{front}${CONTAINER}::db1"},
        {"op": "same", "urn": f"{front}${VOLUME}::db1-etcd"},
        {"op": "create", "urn": f"{front}$pulumi-python:dynamic/keel:Ready::db1-ready"},
    ]
    assert list(adopt._ahead(steps)) == ["replace container db1"]


def test_pulumi_works_aside_until_the_state_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan, refresh and the trial of the next `up` are in a folder of the session; outputs are never printed in clear."""
    asked: list[Any] = []
    state: dict[str, Any] = {"version": 3, "deployment": None}
    steps = [{"op": "replace", "urn": f"urn:pulumi:dev::keel::a${CONTAINER}::db1"}]
    aside = tmp_path / "pulumi"

    def pulumi(*arguments: str, given: str | None = None, backend: Path | None = None) -> str:
        asked.append((arguments, backend == aside))
        if "--save-plan" in arguments:
            Path(arguments[arguments.index("--save-plan") + 1]).write_text(json.dumps({"resourcePlans": PLAN}))
        if given is not None:
            state.update(json.loads(given))
        return json.dumps({"steps": steps} if "--json" in arguments else state)

    told: list[str] = []
    monkeypatch.setattr(stack, "pulumi", pulumi)
    monkeypatch.setattr(stack, "take", lambda name: [f"ann@{name}"])
    monkeypatch.setattr(adopt, "_found", lambda name, plan, make_missing: (name, plan, make_missing))
    opened = session(tmp_path)
    for make_missing in (False, True):
        found: Any = adopt.look(opened, told.append, make_missing=make_missing)
        assert found == ("dev", PLAN, make_missing)
        shutil.rmtree(aside)
    assert told[:2] == ["the run of ann@dev was killed; its lock is removed", "what the program would make"]
    plan = ("preview", "-s", "dev", "--save-plan", str(aside / "plan.json"), "--show-secrets", "--suppress-outputs")
    assert asked[:3] == [
        (("stack", "export", "-s", "dev"), False), (("stack", "init", "dev", "--no-select"), True), (plan, True),
    ]  # fmt: skip
    asked.clear()
    rehearsed = adopt.rehearse(opened, Adoption(PLAN, FOUND, "sha256:new"), told.append)
    assert rehearsed.ahead == ["replace container db1"]
    assert [one["urn"] for one in rehearsed.state["deployment"]["resources"]] == [*recorded(FOUND)]
    assert [(arguments[0], arguments[1], there) for arguments, there in asked] == [
        ("stack", "export", True), ("stack", "import", True), ("refresh", "-s", True), ("preview", "-s", True),
        ("stack", "export", True),
    ]  # fmt: skip
    asked.clear()
    adopt.write(opened, rehearsed.state)
    assert asked == [(("stack", "import", "-s", "dev"), False)]


def test_what_the_state_still_says_is_kept_beside_the_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How its secrets are encrypted, above all."""
    written: list[Any] = []
    monkeypatch.setattr(stack, "read", lambda *_: {"deployment": {"secrets_providers": "x", "resources": ["old"]}})
    monkeypatch.setattr(stack, "write", lambda _name, state, _backend: written.append(state))
    monkeypatch.setattr(stack, "pulumi", lambda *_, **__: '{"steps": []}')
    adopt.rehearse(session(tmp_path), Adoption({}, {}, None), lambda _: None)
    assert written == [{"deployment": {"secrets_providers": "x", "resources": []}}]


def test_ids_are_those_of_what_runs_and_of_an_image_not_built_the_tag(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume has no id but its name; what a container should run is then shown by its tag."""
    monkeypatch.setattr(adopt, "image_id", lambda _: None)
    found = adopt._found("dev", PLAN, make_missing=False).found
    assert {urn: made.id for urn, made in found.items()} == {
        "container": "c1", "volume": "keel-dev-db1-etcd", "network": "n1",
    }  # fmt: skip
    assert found["container"].differences["image"] == Difference("sha256:new", "keel-host:1, not built yet")


def test_a_value_that_is_no_text_is_shown_as_json() -> None:
    assert (adopt._text("dev"), adopt._text({"b": 1, "a": None})) == ("dev", '{"a": null, "b": 1}')


def test_lists_of_tables_are_compared_in_one_order() -> None:
    """Whatever order their keys have."""
    one = [{"b": 1, "a": 2}, {"a": 1, "c": 1}]
    assert _comparable(one) == _comparable([{"c": 1, "a": 1}, {"a": 2, "b": 1}])
