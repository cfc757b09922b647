"""The walls around the services (roles/kit/sandbox.py), as the running units have them."""

from __future__ import annotations

import re
from pathlib import PurePath

from environment.manifest import HostEntry
from roles.kit import sandbox
from tests.verify import expect
from tests.verify.look import Look

MOST = 5.0
"""Of the ten points that systemd counts for what a unit could do."""
EXPOSURES = "for unit in {units}; do systemd-analyze security --no-pager $unit | tail -1; done"
PROCESSES = """
for unit in {units}; do
  for pid in $(cat /sys/fs/cgroup$(systemctl show -P ControlGroup $unit)/cgroup.procs); do
    facts=$(sed -n 's/^\\(CapEff\\|CapBnd\\|NoNewPrivs\\|Seccomp\\):[[:space:]]*/\\1=/p' /proc/$pid/status 2>/dev/null)
    test -z "$facts" || echo unit=$unit pid=$pid user=$(stat -c %U /proc/$pid) $facts
  done
done
"""
NOTHING = "0000000000000000"
CAP_NET_ADMIN = "0000000000001000"
FIREWALL = "keel-watch-logins.service"
"""The one unit that hears no one and is root, with one capability: it names addresses to the firewall."""


def walled(host: HostEntry, look: Look) -> list[str]:
    """The units of a host that are declared to have walls."""
    files = (PurePath(file.path) for file in look.declared(host, lambda role, target: role.files(target)))
    return [path.parent.name.removesuffix(".d") for path in files if path.name == sandbox.NAME]


def test_exposure(host: HostEntry, look: Look) -> None:
    """PLAT-49, W2: of what a unit can do, systemd counts no more than five points of ten."""
    units = walled(host, look)
    said = look.shell(host, EXPOSURES.format(units=" ".join(units)))
    exposures = {unit: float(points) for unit, points in re.findall(r"for (\S+): ([\d.]+)", said)}
    expect.exactly(exposures, units, f"{host.name}: exposure of")
    expect.nothing(
        f"{host.name}: {unit} has an exposure of {points}" for unit, points in exposures.items() if points > MOST
    )


def test_nobody_is_root(host: HostEntry, look: Look) -> None:
    """PLAT-49, W2: every process of a service is an account's of its own, without a capability and without a way to get one; but for
    the one that names addresses to the firewall."""
    units = walled(host, look)
    said = look.shell(host, PROCESSES.format(units=" ".join(units)))
    found = [dict(fact.split("=", 1) for fact in line.split()) for line in said.splitlines()]
    expect.exactly({process["unit"] for process in found}, units, f"{host.name}: process of")
    for process in found:
        named = f"{host.name}: {process['unit']}: {process['pid']}"
        may = CAP_NET_ADMIN if process["unit"] == FIREWALL else NOTHING
        expect.same(process, {"CapEff": may, "CapBnd": may, "NoNewPrivs": "1", "Seccomp": "2"}, named)
        assert (process["user"] == "root") is (process["unit"] == FIREWALL), f"{named} is {process['user']}"
