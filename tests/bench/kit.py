"""What decision 2 rests on: an environment in which nothing differs, looked at as Keel does and as pyinfra's own operations do.

    ENV=dev python -m tests.bench.kit [ROUNDS]

Both runs are dry and change nothing; hosts work side by side, as in every run. Prints for each way the operations, the
commands sent to the hosts (each is a round trip) and the seconds, the least of the rounds (default 3).
"""

# ruff: noqa: E402 - gevent must patch before anything else is imported
from gevent import monkey

monkey.patch_all()

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from typing import Any

from pyinfra.connectors.ssh import SSHConnector
from pyinfra.operations import apt, files, systemd
from rich.console import Console
from rich.table import Table

from environment.roles import stages
from ops.converge.run import converge as run
from ops.hosts.environment import open_environment
from roles.kit import engine
from roles.kit.declare import Role, Target
from roles.kit.results import perform
from roles.kit.turns import Turns

PACKAGES: Any = apt.packages
DIRECTORY: Any = files.directory
PUT: Any = files.put
SERVICE: Any = systemd.service

Converge = Callable[[Sequence[Role], Target, Callable[[str], None], Turns], None]


def stock(roles: Sequence[Role], target: Target, _announce: Callable[[str], None], _turns: Turns) -> None:
    """The same declarations by pyinfra's operations, each with its own look. It has none for key pairs and checked files."""
    for role in roles:
        perform("packages", partial(PACKAGES, list(role.packages(target))))
        for folder in role.directories(target):
            owner = {"user": folder.owner, "group": folder.group, "mode": folder.mode}
            perform(folder.path, partial(DIRECTORY, folder.path, **owner))
        for wanted in role.files(target):
            owner = {"user": wanted.owner, "group": wanted.group, "mode": wanted.mode}
            perform(wanted.path, partial(PUT, StringIO(wanted.content), wanted.path, **owner))
        for unit in role.units(target):
            perform(unit.name, partial(SERVICE, unit.name, running=True, enabled=True))


def main(rounds: int) -> None:
    """Measure both ways and print them."""
    sent = 0
    send = SSHConnector.run_shell_command

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return send(*arguments, **options)

    SSHConnector.run_shell_command = counted  # type: ignore[method-assign]
    table = Table("way", "hosts", "operations", "differ", "commands", "seconds")
    ways: dict[str, Converge] = {
        "one look at each host (Keel)": engine.converge,
        "an operation looks for itself": stock,
    }
    with open_environment(os.environ.get("ENV", "dev")) as session:
        for way, converge in ways.items():
            engine.converge = converge  # type: ignore[assignment]
            seconds = []
            for _ in range(rounds):
                sent, begin = 0, time.monotonic()
                outcome = run(session, list(stages()), lambda _: None, dry=True, converge_cluster=False)
                seconds.append(time.monotonic() - begin)
            figures = (outcome.hosts, outcome.operations, len(outcome.changes), sent, f"{min(seconds):.1f}")
            table.add_row(way, *map(str, figures))
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
