"""Every host: release, packages, units, ports, owners and modes."""

from __future__ import annotations

from environment import access
from environment.manifest import HostEntry, Manifest
from roles.kit.declare import Certificate, Directory, File, Role, Target
from tests.verify import expect
from tests.verify.look import Look


def test_release(host: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-49: the host runs the release that the manifest names; clusters must not mix C libraries (X-50)."""
    codename = look.shell(host, ". /etc/os-release && echo $VERSION_CODENAME").strip()
    expect.same({"codename": codename}, {"codename": manifest.release.debian.value}, host.name)


def test_packages(host: HostEntry, look: Look) -> None:
    """PLAT-49: every package that the host's roles declare is installed."""
    installed = look.packages(host)
    wanted = set(look.declared(host, lambda role, target: role.packages(target)))
    expect.nothing(f"{host.name}: {name} is not installed" for name in sorted(wanted - installed.keys()))


def test_units(host: HostEntry, look: Look) -> None:
    """PLAT-49: every declared unit is enabled, runs, and is started again when it dies."""
    found = look.units(host)
    for unit in look.declared(host, lambda role, target: role.units(target)):
        state = found[unit.name]
        wanted = {"ActiveState": "active"}
        ends = state.get("Type", "timer") in ("oneshot", "timer")  # nothing of it goes on running
        if not ends:
            wanted["SubState"] = "running"
        expect.same(state, wanted, f"{host.name}: {unit.name}")
        assert state["UnitFileState"] in ("enabled", "static", "alias"), f"{host.name}: {unit.name} is not enabled"
        assert ends or state["Restart"] in ("always", "on-failure"), (
            f"{host.name}: {unit.name} is not restarted when it dies (Restart={state['Restart']})"
        )


def test_a_container_has_cgroups_of_its_own(contained: None, host: HostEntry, look: Look) -> None:
    """PLAT-49, W11: what it sees of cgroups begins at its own branch, and no other hierarchy of the machine is mounted."""
    branch = look.shell(host, "sed -n 's/^0:://p' /proc/1/cgroup").strip()
    mounts = look.shell(host, "awk '/ - cgroup2? /{print $4, $5}' /proc/self/mountinfo").splitlines()
    assert branch == "/init.scope", (
        f"{host.name}: its branch begins at {branch.removesuffix('/init.scope')} of the machine's"
    )
    expect.exactly(mounts, ["/ /sys/fs/cgroup"], f"{host.name}: mount of cgroups")


def test_no_unit_failed(host: HostEntry, look: Look) -> None:
    """PLAT-49: no unit of the host has failed."""
    failed = look.shell(host, "systemctl list-units --failed --no-legend --plain").splitlines()
    expect.nothing(f"{host.name}: {line.split()[0]} has failed" for line in failed)


def declared(host: HostEntry, manifest: Manifest) -> dict[tuple[str, str, int], str]:
    """(protocol, address, port) → what listens there: the whole list of what may be reached from another host."""
    return {
        ("tcp", address, access.port(manifest, host, door)): door.title
        for door in access.doors(manifest, host)
        if door.service != "ssh"
        for address in access.listens(host, door)
    }


def sshd(host: HostEntry, manifest: Manifest) -> tuple[str, int]:
    """Its port. On which address it listens is the machine's owner's matter."""
    return "tcp", access.port(manifest, host, access.door("ssh"))


def test_declared_ports_listen(host: HostEntry, look: Look, manifest: Manifest) -> None:
    """JEEX-03: PostgreSQL listens on its port, PgBouncer on its own, and every other service where the manifest says; each on
    its host's own address."""
    found = look.ports(host)
    expect.nothing(
        f"{host.name}: {what} does not listen on {at[1]}:{at[2]}"
        for at, what in declared(host, manifest).items()
        if at not in found
    )
    assert sshd(host, manifest) in {(protocol, port) for protocol, _, port in found}, (
        f"{host.name}: sshd does not listen"
    )


CLIENTS_OF_DHCP = {("udp", 68), ("udp", 546)}
"""A machine that gets its address by DHCP answers here to its server; nothing is served."""


def test_no_other_port_listens(host: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-49: nothing listens beyond the loopback that the manifest does not declare, and nothing on every address (W14)."""
    allowed, anywhere = declared(host, manifest), {sshd(host, manifest), *CLIENTS_OF_DHCP}
    expect.nothing(
        f"{host.name}: undeclared listener {protocol} {program}"
        for (protocol, address, port), program in sorted(look.ports(host).items())
        if (protocol, address, port) not in allowed and (protocol, port) not in anywhere
        and not address.startswith(("127.", "[::1]"))
    )  # fmt: skip


def declared_paths(role: Role, target: Target) -> tuple[Directory | Certificate | File, ...]:
    """Everything of a role that is in the file system."""
    return (*role.directories(target), *role.certificates(target), *role.files(target))


def test_owners_and_modes(host: HostEntry, look: Look) -> None:
    """PLAT-49: every declared file and directory has its owner and mode, and private keys are for their service only."""
    wanted: dict[str, tuple[str, str, str]] = {}
    for entry in look.declared(host, declared_paths):
        if isinstance(entry, Certificate):
            wanted[f"{entry.directory}/key.pem"] = (entry.owner, entry.group, "600")
            wanted[f"{entry.directory}/cert.pem"] = (entry.owner, entry.group, "644")
        else:
            wanted[entry.path] = (entry.owner, entry.group, entry.mode.lstrip("0"))
    found = look.paths(host, tuple(wanted))
    expect.same(found, wanted, host.name)


def test_keys_only(host: HostEntry, look: Look) -> None:
    """PLAT-49, W15: sshd lets in keys, no passwords; it forwards from the controller alone; no MAC is of SHA-1,
    64 bits or what is not encrypted yet, and no key exchange on the curves of NIST."""
    shown = dict(line.split(" ", 1) for line in look.shell(host, "sshd -T").lower().splitlines() if " " in line)
    expect.same(shown, {"passwordauthentication": "no", "kbdinteractiveauthentication": "no"}, host.name)
    forwards = {"allowtcpforwarding": "local", "allowstreamlocalforwarding": "local", "allowagentforwarding": "no"}
    expect.same(shown, {**forwards, "permittunnel": "no", "x11forwarding": "no", "logingracetime": "30"}, host.name)
    macs = (mac for mac in shown["macs"].split(",") if "sha1" in mac or "umac-64" in mac or "-etm@" not in mac)
    curves = (exchange for exchange in shown["kexalgorithms"].split(",") if "nistp" in exchange)
    expect.nothing(f"{host.name}: sshd offers {what}" for what in (*macs, *curves))
    # The same value under its name before and after OpenSSH 10.
    assert shown["permitrootlogin"] in ("without-password", "prohibit-password"), (
        f"{host.name}: {shown['permitrootlogin']}"
    )
