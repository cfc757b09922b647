"""What runs, as `docker inspect` prints it, in the form in which Pulumi's program asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"
NETWORK = "docker:index/network:Network"
COMMAND = {CONTAINER: "container", VOLUME: "volume", NETWORK: "network"}
"""Type → docker's command for it."""

Inspected = dict[str, Any]
Properties = dict[str, Any]


class Difference(NamedTuple):
    """One property that is not as the program asks for it."""

    found: Any
    wanted: Any


def differences(kind: str, inspected: Inspected, wanted: Properties) -> dict[str, Difference]:
    """Property → what runs and what the program asks for, where the two are not the same.

    ``kind`` is the resource's type, ``wanted`` its inputs. Order in lists means nothing. What a container was given for its
    first boot only (`uploads`), and what Pulumi alone knows (how long it waits), is not compared.
    """
    compared = {
        name: (_comparable(look(inspected, wanted)), _comparable(wanted.get(name)))
        for name, look in LOOKS[kind].items()
    }
    return {name: Difference(found, asked) for name, (found, asked) in compared.items() if found != asked}


def _comparable(value: Any) -> Any:
    """Without Pulumi's notes on defaults; lists in one order."""
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items() if key != "__defaults"}
    if isinstance(value, list):
        return sorted(map(_comparable, value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _of_the_host(name: str, scale: int = 1) -> Callable[[Inspected, Properties], Any]:
    def look(inspected: Inspected, _wanted: Properties) -> Any:
        value = inspected["HostConfig"].get(name)
        return value // scale if isinstance(value, int) else value

    return look


def _configured(name: str) -> Callable[[Inspected, Properties], Any]:
    return lambda inspected, _wanted: inspected["Config"].get(name)


def _environment(inspected: Inspected, wanted: Properties) -> list[str]:
    """Of the variables that are asked for; the image brings its own."""
    there = inspected["Config"].get("Env") or []
    return [variable for variable in wanted.get("envs") or [] if variable in there]


def _labels(labels: dict[str, str] | None, wanted: Properties) -> list[Properties]:
    """Of the labels that are asked for; the image brings its own."""
    asked = {entry["label"] for entry in wanted.get("labels") or []}
    return [{"label": key, "value": value} for key, value in (labels or {}).items() if key in asked]


def _mounts(inspected: Inspected, _wanted: Properties) -> list[Properties]:
    return [
        {
            "type": mount["Type"],
            "source": mount["Name"] if mount["Type"] == "volume" else mount["Source"],
            "target": mount["Destination"],
        }
        for mount in inspected["Mounts"]
    ]


def _ports(inspected: Inspected, _wanted: Properties) -> list[Properties]:
    return [
        {
            "internal": int(inside.partition("/")[0]),
            "external": int(binding["HostPort"]),
            "ip": binding["HostIp"],
            "protocol": inside.partition("/")[2],
        }
        for inside, bindings in (inspected["HostConfig"].get("PortBindings") or {}).items()
        for binding in bindings
    ]


def _networks(inspected: Inspected, _wanted: Properties) -> list[Properties]:
    return [
        {"name": name, "ipv4Address": (network.get("IPAMConfig") or {}).get("IPv4Address")}
        for name, network in inspected["NetworkSettings"]["Networks"].items()
    ]


def _addresses(inspected: Inspected, wanted: Properties) -> list[Properties]:
    """Of what is asked for; newer engines say a network's gateway unasked."""
    asked = {key for entry in wanted.get("ipamConfigs") or [] for key in entry}
    names = {"subnet": "Subnet", "ipRange": "IPRange", "gateway": "Gateway"}
    return [
        {ours: entry[theirs] for ours, theirs in names.items() if ours in asked and entry.get(theirs)}
        for entry in inspected["IPAM"]["Config"]
    ]


LOOKS: dict[str, dict[str, Callable[[Inspected, Properties], Any]]] = {
    CONTAINER: {
        "image": lambda inspected, _: inspected["Image"],
        "hostname": _configured("Hostname"),
        "memory": _of_the_host("Memory", 2**20),
        "memorySwap": _of_the_host("MemorySwap", 2**20),
        "cpuPeriod": _of_the_host("CpuPeriod"),
        "cpuQuota": _of_the_host("CpuQuota"),
        "shmSize": _of_the_host("ShmSize", 2**20),
        "restart": lambda inspected, _: inspected["HostConfig"]["RestartPolicy"]["Name"],
        "stopSignal": _configured("StopSignal"),
        "stopTimeout": _configured("StopTimeout"),
        "cgroupnsMode": _of_the_host("CgroupnsMode"),
        "envs": _environment,
        "securityOpts": _of_the_host("SecurityOpt"),
        "capabilities": lambda inspected, _: {
            "adds": inspected["HostConfig"].get("CapAdd") or [],
            "drops": inspected["HostConfig"].get("CapDrop") or [],
        },
        "tmpfs": _of_the_host("Tmpfs"),
        "mounts": _mounts,
        "ports": _ports,
        "networksAdvanced": _networks,
        "labels": lambda inspected, wanted: _labels(inspected["Config"].get("Labels"), wanted),
    },
    NETWORK: {
        "driver": lambda inspected, _: inspected["Driver"],
        "ipamConfigs": _addresses,
        "labels": lambda inspected, wanted: _labels(inspected.get("Labels"), wanted),
    },
    VOLUME: {"labels": lambda inspected, wanted: _labels(inspected.get("Labels"), wanted)},
}
"""Type → property of its inputs → how it is read off what runs."""
