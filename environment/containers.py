"""Where containers of applications are in an environment's network: a range of addresses that hosts do not have.

They are clients (environment/access.py), and Docker takes their addresses from there (components/hosts.py).
"""

from __future__ import annotations

from ipaddress import IPv4Network

from environment.settings import KindSection, Network
from environment.types import Provider


def containers(environment: KindSection, network: Network) -> IPv4Network | None:
    """The range; None where no container is admitted: that takes a person's word where data is guarded, and machines have no
    network that a container could join."""
    if isinstance(network.containers, IPv4Network):
        return network.containers
    if network.containers or environment.kind.guarded or environment.provider is not Provider.DOCKER:
        return None
    return list(network.cidr.subnets())[-1]
