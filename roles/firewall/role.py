"""Who may connect to a host: a table of nftables, from the one list in environment/access.py (PLAT-25, PLAT-41)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from pyinfra import host
from pyinfra.api import FactBase, operation

from environment.access import ANYWHERE, admitted, doors, port
from environment.types import Provider
from keel_host.programs.watch_logins import WITHIN
from roles import paths
from roles.kit.declare import File, Role, Target, Unit
from roles.kit.results import perform

RULES = f"{paths.KEEL}/firewall.nft"
PROGRAM = f"{paths.LIBRARY}/firewall"
UNIT = "keel-firewall.service"
LISTED = "nft -p -t list table inet keel"
"""Shell that prints the table in force in the words in which the template writes it, so that both can be compared. Who is slowed
at the moment is no part of it."""
SLOWED = "slowed"
"""The set of (address, port) that come in slowly: keel_host/programs/watch_logins.py names them."""
PATIENCE = 20
"""Seconds after which a table is taken back that did not let the controller in."""


class Firewall(Role):
    """A table of Keel's own; whatever else the host's firewall holds is not looked at."""

    name = "firewall"

    def files(self, target: Target) -> tuple[File, ...]:
        program = self.render("firewall", target, rules=RULES, patience=PATIENCE)
        return (
            File(PROGRAM, program, mode="755"),
            File(f"{paths.UNITS}/{UNIT}", self.render(UNIT, target, rules=RULES)),
            File(RULES, self.rules(target), mode="600", check=f"{PROGRAM} try {{}}", proof=f"{PROGRAM} keep"),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit(UNIT, restart=(f"{paths.UNITS}/{UNIT}",), reload=(RULES,), title="the firewall"),)

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        perform("firewall: the table in force", _loaded, host.get_fact(TableInForce), self.table(target))

    def rules(self, target: Target) -> str:
        """The file that loads the table: in one transaction, whether there is one or not."""
        return f"table inet keel\ndelete table inet keel\n{self.table(target)}"

    def table(self, target: Target) -> str:
        """The table as nft prints it."""
        manifest = target.manifest
        everything = manifest.network.firewall or ("all" if manifest.identity.provider is Provider.DOCKER else "keel")
        closed = [door for door in doors(manifest, target.host) if door.service != "ssh"]
        return self.render(
            "table.j2",
            target,
            everything=everything == "all",
            accepts=list(_accepts(target, everything == "all")),
            closed=[(port(manifest, target.host, door), door.title) for door in closed],
            slowed=SLOWED if any(door.guessed for door in closed) else "",
            forgotten=WITHIN,
        )


class TableInForce(FactBase[str]):
    """Keel's table as the host has it; "" where there is none."""

    default = str

    def command(self) -> str:
        return f"{LISTED} 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> str:
        return "".join(f"{line}\n" for line in output)


def _accepts(target: Target, everything: bool) -> Iterator[tuple[str, int, str]]:
    """(from where, port, why). Where other ports stay open, sshd's does too."""
    for each in admitted(target.manifest, target.host):
        if everything or each.door.service != "ssh":
            source = "" if each.source == ANYWHERE else f"ip saddr {str(each.source).removesuffix('/32')} "
            yield source, each.port, each.reason


@operation()
def _loaded(found: str, wanted: str) -> Generator[str, None, None]:
    """Load the table again where it was changed or removed by hand; what is loaded was proven."""
    if found != wanted:
        yield f"nft -f {RULES}"
