"""All hosts of an environment: the network, the image, and the containers as a chain, one at a time."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.host import Host, HostArgs
from components.step import AGAIN
from components.steps import HostImage, Leave
from environment import image, roles, unfinished
from environment.derive import Roots
from environment.errors import KeelError
from environment.manifest import Manifest
from environment.names import LABEL
from environment.names import network as network_name
from environment.types import Provider
from environment.unfinished import step_key

LEAVE = step_key("leave", "leave")
MADE_WITH = ["ipamConfigs[0].ipRange", "ipamConfigs[0].gateway"]
"""What a network has from its beginning: another one would replace the network, and every host with it."""


class NoHierarchy(KeelError):
    """This machine cannot run hosts in containers."""


class Hosts(pulumi.ComponentResource):
    """The hosts. ``identities`` maps each to what it is now (a container's id, a machine's address): a new one
    makes every stage run again."""

    identities: dict[str, pulumi.Input[str]]
    ready: list[pulumi.Resource]

    def __init__(self, manifest: Manifest, roots: Roots) -> None:
        super().__init__("keel:host:Hosts", manifest.identity.name, None)
        leave = Leave(
            "leave",
            "leave",
            {
                "manifest": manifest.model_dump(mode="json"),
                "hosts": {host.name: sorted(host.groups) for host in manifest.hosts},
                "addresses": {host.name: str(host.address) for host in manifest.hosts},
                AGAIN: unfinished.mark(manifest.identity.name, [LEAVE]),
            },
            pulumi.ResourceOptions(parent=self),
        )
        if manifest.identity.provider is Provider.SSH:
            self.identities = {host.name: f"{host.ssh.hostname}:{host.ssh.port}" for host in manifest.hosts}
            self.ready = [leave]
            self.register_outputs({})
            return
        require_cgroup_hierarchy()
        child = pulumi.ResourceOptions(parent=self, depends_on=[leave])
        network = docker.Network(
            "network",
            name=network_name(manifest.identity.name),
            driver="bridge",
            ipam_configs=[_addresses(manifest)],
            labels=[docker.NetworkLabelArgs(label=LABEL, value=manifest.identity.name)],
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=MADE_WITH)),
        )
        recipe = image.recipe(manifest.release, roles.packages(manifest.release.postgres))
        host_image = HostImage(
            "image",
            "image",
            {
                "manifest": manifest.slice(set()),
                "tag": image.tag(manifest.release, recipe),
                "dockerfile": recipe,
                "image": None,
            },
            child,
        )
        self.identities, self.ready = {}, [leave]
        for entry in manifest.hosts:
            args = HostArgs(
                manifest, entry, roots, host_image.image, network.name,
                unfinished.mark(manifest.identity.name, [LEAVE]),
            )  # fmt: skip
            host = Host(args, pulumi.ResourceOptions(parent=self, depends_on=list(self.ready[-1:])))
            self.identities[entry.name] = host.container_id
            self.ready.append(host.ready)
        self.register_outputs({})


def _addresses(manifest: Manifest) -> docker.NetworkIpamConfigArgs:
    """Whoever joins without an address of its own takes one of the range for containers, never one of a host. Docker would take
    the gateway's from there too."""
    cidr, containers = manifest.network.cidr, manifest.containers
    if not containers:
        return docker.NetworkIpamConfigArgs(subnet=str(cidr))
    gateway = str(cidr.network_address + 1)
    return docker.NetworkIpamConfigArgs(subnet=str(cidr), ip_range=str(containers), gateway=gateway)


def require_cgroup_hierarchy() -> None:
    """Raises NoHierarchy where the engine finds no cgroup v2 hierarchy to make a container's own branch in."""
    for candidate in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if Path(candidate, "cgroup.controllers").exists() or Path(candidate, "cgroup.procs").exists():
            return
    raise NoHierarchy("no cgroup v2 hierarchy under /sys/fs/cgroup: container hosts cannot run systemd here")
