"""What `make up` checks once the Python environment is there and before anything else is changed: the stack, its
network and its ports.

python -m ops.state.preflight ENVIRONMENT
"""

from __future__ import annotations

import subprocess
import sys

from environment.errors import UNCHANGED, KeelError
from environment.load import parse, read_stack_file, stack_file
from environment.names import LABEL
from environment.rules.placement import published_ports
from environment.settings import Settings
from environment.types import Provider
from ops.state.networks import overlapping, port_is_free
from processes.command import carry_out


class Taken(KeelError):
    """Ports that this environment publishes, or addresses of its network, are held by something else."""


def main(environment: str) -> None:
    """Raise InvalidStack or Taken with every finding at once."""
    settings = parse(read_stack_file(stack_file(environment)), f"stacks/Pulumi.{environment}.yaml")
    taken = [*taken_network(environment, settings), *taken_ports(environment, settings)]
    if taken:
        raise Taken("\n".join(taken), UNCHANGED, "Free it, or choose another in the stack file")


def taken_network(environment: str, settings: Settings) -> list[str]:
    """One sentence per network of this machine that has addresses of this environment's."""
    if settings.environment.provider is not Provider.DOCKER:
        return []
    cidr = settings.network.cidr
    return [f"the network {cidr} (keel:network.cidr) overlaps {other}" for other in overlapping(environment, cidr)]


def taken_ports(environment: str, settings: Settings) -> list[str]:
    """One sentence per published port that something other than this environment holds."""
    if settings.environment.provider is not Provider.DOCKER:
        return []
    own = _own_ports(environment)
    return [
        f"port {port} on 127.0.0.1 (keel:{path}) is taken by {_holder(port)}"
        for path, port in published_ports(settings.network, settings.hosts)
        if port not in own and not port_is_free(port)
    ]


def _own_ports(environment: str) -> set[int]:
    listed = _output("docker", "ps", "--filter", f"label={LABEL}={environment}", "--format", "{{.Ports}}")
    return {
        int(part.rpartition("->")[0].rpartition(":")[2])
        for part in listed.replace("\n", ", ").split(", ")
        if "->" in part
    }


def _holder(port: int) -> str:
    container = _output("docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}").strip()
    if container:
        return f"container {container}"
    for line in _output("ss", "-Hltnp", f"sport = :{port}").splitlines():
        if 'users:(("' in line:
            return f"process {line.split('users:((')[1].split(')')[0]}"
    return "another process"


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    carry_out(lambda: main(sys.argv[1]))
