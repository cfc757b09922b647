"""A container as a host: volumes, a drain before, the container, a gate after (design, principle 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker

from components.step import AGAIN
from components.steps import Drain, Ready
from components.volumes import full_name, of_host
from environment import names
from environment.derive import Roots, private_openssh, public_openssh
from environment.manifest import HostEntry, Manifest
from environment.names import AUTHORIZED_KEYS, HOST_KEY, LABEL
from environment.sizing import CONTAINER_SHM


@dataclass(frozen=True)
class HostArgs:
    """What a host is made of."""

    manifest: Manifest
    entry: HostEntry
    roots: Roots
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    again: str | None = None


class Host(pulumi.ComponentResource):
    """One container host. ``ready`` is what the next host, and everything on the hosts, waits for."""

    ready: Ready
    container_id: pulumi.Output[str]

    def __init__(self, args: HostArgs, opts: pulumi.ResourceOptions) -> None:
        name, environment = args.entry.name, args.manifest.identity.name
        super().__init__("keel:host:Host", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        cluster = args.manifest.slice({"patroni", "postgres"})
        specification = _specification(args)

        volumes: list[docker.Volume] = []
        for volume, _ in of_host(args.entry):
            volumes.append(
                docker.Volume(
                    f"{name}-{volume}",
                    name=full_name(args.manifest, args.entry, volume),
                    labels=[docker.VolumeLabelArgs(label=LABEL, value=environment)],
                    opts=pulumi.ResourceOptions(
                        parent=self,
                        # In the order of the chain: a repository without any database means loss, not a killed start.
                        depends_on=[*(opts.depends_on or []), *volumes],  # type: ignore[misc]
                        retain_on_delete=args.manifest.identity.kind.guarded,
                    ),
                )
            )
        drain = Drain(
            "drain",
            f"{name}-drain",
            {"manifest": cluster, "host": name, "image": args.image, "specification": specification},
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=opts.depends_on)),
        )
        container = docker.Container(
            name,
            image=args.image,
            name=names.container(environment, name),
            hostname=name,
            **_hardware(args),
            mounts=[
                docker.ContainerMountArgs(type="volume", source=volume.name, target=path)
                for volume, (_, path) in zip(volumes, of_host(args.entry), strict=True)
            ],
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=args.network, ipv4_address=str(args.entry.address))
            ],
            ports=[
                docker.ContainerPortArgs(internal=inside, external=outside, ip="127.0.0.1")
                for inside, outside in sorted(args.manifest.published(args.entry).items())
            ],
            uploads=_identity(args),
            labels=[docker.ContainerLabelArgs(label=LABEL, value=environment)],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[drain],
                delete_before_replace=True,
                # The identity is for the first boot; afterwards the role `base` keeps it.
                ignore_changes=["uploads"],
            ),
        )
        self.container_id = container.id
        self.ready = Ready(
            "ready",
            f"{name}-ready",
            {
                "manifest": args.manifest.model_dump(mode="json"),
                "host": name,
                "container": container.id,
                "container_name": container.name,
                "aliases": list(args.manifest.aliases(args.entry)) or None,
                # What leaves is stopped; where it is to stay after all, this starts it again.
                AGAIN: args.again,
            },
            child,
        )
        self.register_outputs({"container": container.id})


def _hardware(args: HostArgs) -> dict[str, Any]:
    """What systemd needs of a container (tried; toolchain notes) and its limits (BAC-03)."""
    return {
        "memory": args.entry.memory,
        "memory_swap": args.entry.memory,
        "cpu_period": 100000,
        "cpu_quota": int(args.entry.cpus * 100000),
        "shm_size": CONTAINER_SHM,
        "restart": "unless-stopped",
        "stop_signal": "SIGRTMIN+3",
        "stop_timeout": 60,
        "destroy_grace_seconds": 60,
        # Its cgroups are its own: the image mounts them (environment/host-image.Dockerfile.j2), nothing of the machine's is.
        "cgroupns_mode": "private",
        "envs": ["container=docker"],
        # Where the machine has AppArmor, its profile for containers forbids every mount, and systemd mounts.
        "security_opts": ["apparmor=unconfined", "seccomp=unconfined"],
        # Root inside could lift the list of devices that its cgroup may open, but makes none to open.
        "capabilities": docker.ContainerCapabilitiesArgs(adds=["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], drops=["CAP_MKNOD"]),
        "tmpfs": {"/run": "", "/run/lock": "", "/tmp": ""},  # noqa: S108 - in the container
        # A stopped container is started again (the step `ready`), never taken for gone and made anew.
        "must_run": False,
    }


def _identity(args: HostArgs) -> list[docker.ContainerUploadArgs]:
    """The host's own SSH key, which the controller pins, and the controller's public key."""
    private = private_openssh(args.roots.ssh_key(args.entry.name))
    controller = public_openssh(args.roots.ssh_key("controller"))
    return [
        docker.ContainerUploadArgs(file=HOST_KEY, content=pulumi.Output.secret(private), permissions="0600"),
        docker.ContainerUploadArgs(file=AUTHORIZED_KEYS, content=f"{controller}\n", permissions="0600"),
    ]


def _specification(args: HostArgs) -> dict[str, Any]:
    """What replaces the container when it changes, readable in a preview. Docker changes the memory of one that runs."""
    return {
        "address": str(args.entry.address),
        "cpus": args.entry.cpus,
        "groups": [group.value for group in args.entry.groups],
        "published": {str(k): v for k, v in args.manifest.published(args.entry).items()},
    }
