"""What a container that acts as a host reaches of the machine."""

from __future__ import annotations

from pathlib import Path

from ops.hosts.docker import docker
from ops.hosts.session import Session
from ops.steps.ready import PROCESSES
from tests.system.environments import Ephemeral

HIERARCHIES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def test_a_cgroup_made_inside_is_in_the_containers_branch(dev: Ephemeral, environment: Session) -> None:
    """W11: at the root that root sees inside, and not at the machine's; nor does a new mount lead there."""
    for host in environment.manifest.hosts:
        name = f"keel-{environment.manifest.identity.name}"
        try:
            environment.run(host.name, f"mkdir /sys/fs/cgroup/{name}")
            environment.run(host.name, f"mkdir /run/{name} && mount -t cgroup2 none /run/{name}")
            seen = environment.run(host.name, f"ls /run/{name}").split()
            assert name in seen and "init.scope" in seen, f"{host.name}: the new mount shows another branch"
            assert not [each for each in HIERARCHIES if Path(each, name).exists()], (
                f"{host.name}: in the machine's root"
            )
        finally:
            environment.run(host.name, f"umount /run/{name}; rmdir /run/{name} /sys/fs/cgroup/{name} || true")


def test_a_container_has_a_limit_of_processes(dev: Ephemeral, environment: Session) -> None:
    """W11: what multiplies inside does not take the machine's."""
    found = {
        h.name: docker("inspect", "-f", "{{.HostConfig.PidsLimit}}", dev.container(h.name))
        for h in environment.manifest.hosts
    }
    assert found == dict.fromkeys(found, str(PROCESSES))


def test_a_container_makes_no_device(environment: Session) -> None:
    """W11: not the machine's disk, which the number names."""
    for host in environment.manifest.hosts:
        said = environment.run(host.name, "mknod /run/keel-disk b 254 0 2>&1; rm -f /run/keel-disk")
        assert "Operation not permitted" in said, f"{host.name}: {said}"
