"""Where containers of applications are in an environment's network: a range of addresses that hosts do not have.

They are clients (environment/access.py), and Docker takes their addresses from there (components/hosts.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Literal

from environment.settings import Host, KindSection, Network
from environment.types import Provider


def containers(
    environment: KindSection, network: Network, hosts: Mapping[str, Host]
) -> IPv4Network | Literal["off"] | None:
    """The range, or `off`. None: nothing is written, and there is none by itself. Where data is guarded no one is admitted for
    joining a network, machines have none that a container could join, and hosts may be in the upper half already."""
    if network.containers or environment.kind.guarded or environment.provider is not Provider.DOCKER:
        return network.containers
    upper = list(network.cidr.subnets())[-1]
    return None if any(host.address in upper for host in hosts.values()) else upper
