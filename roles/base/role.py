"""Every host: names, SSH by key only, UTC, the journal bounded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from environment.derive import public_openssh
from environment.manifest import HostEntry, Manifest
from environment.names import AUTHORIZED_KEYS, CREATECLUSTER, HOST_KEY
from environment.roles import entry
from roles import paths
from roles.kit.declare import Directory, File, Role, Target, Unit

HOSTS = f"{paths.KEEL}/hosts"
MERGE = f"{paths.LIBRARY}/merge-hosts"
SSHD_READS = "/etc/ssh/sshd_config.d"
SSHD = f"{SSHD_READS}/00-keel.conf"
"""The first: sshd takes the first value that it reads."""
JOURNALD_READS = "/etc/systemd/journald.conf.d"
CRONTABS = "/var/spool/cron/crontabs"
"""Of single accounts: `crontab -e`."""
BEFORE_PACKAGES = ("/usr/local/bin", "/usr/local/sbin")
"""Where a shell looks for a program first."""
HOSTS_UNIT = "keel-hosts.service"
MAY = "restrict,port-forwarding,pty"
"""What the controller's key is good for: commands, tunnels from the controller, and a terminal for `./keel psql`."""


def line(manifest: Manifest, host: HostEntry) -> str:
    """What the hosts know of one: address, names, and what it carries."""
    return f"{host.address} {host.name} {host.name}.{manifest.identity.name} # {' '.join(sorted(host.groups))}"


class Base(Role):
    """What a host needs before it carries any service."""

    name = "base"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        own = target.without_people
        keys, _, file = AUTHORIZED_KEYS.rpartition("/")
        return (
            Directory(paths.KEEL),
            Directory(paths.TLS),
            Directory(paths.LIBRARY),
            Directory(keys, mode="700", read=f"{file}2" if own else ""),
            Directory(SSHD_READS, read="*.conf" if own else ""),
            Directory(JOURNALD_READS, read="*.conf" if own else ""),
            Directory(CREATECLUSTER.rpartition("/")[0]),
            *(_without_people(target) if own else ()),
        )

    def files(self, target: Target) -> tuple[File, ...]:
        controller = public_openssh(target.roots.ssh_key("controller"))
        return (
            File(HOSTS, self.render("hosts.j2", target, line=partial(line, target.manifest))),
            File(MERGE, self.render("merge-hosts", target, hosts=HOSTS), mode="755"),
            File(f"{paths.UNITS}/{HOSTS_UNIT}", self.render(HOSTS_UNIT, target, merge=MERGE)),
            File(AUTHORIZED_KEYS, f"{MAY} {controller} keel-{target.manifest.identity.name}\n", mode="600"),
            File(SSHD, self.render("sshd.conf", target, key=HOST_KEY), mode="600", check="sshd -t -f {}"),
            File(f"{JOURNALD_READS}/keel.conf", self.render("journald.conf", target)),
            # Patroni makes the cluster, not the package: one that lay there already would be taken for ours.
            File(CREATECLUSTER, "create_main_cluster = false\n"),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        sshd = (SSHD, SSHD_READS) if target.without_people else (SSHD,)
        return (
            Unit(HOSTS_UNIT, restart=(HOSTS, f"{paths.UNITS}/{HOSTS_UNIT}")),
            Unit("ssh.service", reload=sshd, title="sshd"),
            Unit("cron.service", title="cron"),
            # Logs are rotated by the one, and by the other removed when they are old (PLAT-43).
            Unit("logrotate.timer", title="logrotate"),
            Unit("systemd-tmpfiles-clean.timer", title="the removal of old files"),
        )


def _without_people(target: Target) -> Iterator[Directory]:
    """Where a person would leave a job or a program, and Keel leaves none."""
    yield from (Directory(path, read=paths.SEEN) for path in BEFORE_PACKAGES)
    yield Directory(CRONTABS, group="crontab", mode="1730", read=paths.SEEN)
    if not entry("jobs").groups.intersection(target.host.groups):
        yield Directory(paths.CRON_READS, read=paths.SEEN)
