"""W2, W7, W11: a service that is taken over reaches nothing but its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from environment.manifest import HostEntry
from environment.types import Group
from keel_host.accounts import RECEIVER
from ops.attack.attacker import Answer, Attacker
from ops.attack.attempts import Tried, attempt
from roles import paths


class Service(NamedTuple):
    """What listens."""

    group: Group
    name: str
    unit: str
    keys: tuple[str, ...] = ()
    """How the names of the key pairs begin that it may see."""


SERVICES = (
    Service(Group.EDGE, "haproxy", "haproxy.service", ("haproxy",)),
    Service(Group.EDGE, "pgbouncer", "pgbouncer.service", ("pgbouncer", "lookup")),
    Service(Group.REDIS, "redis", "redis-server.service", ("redis",)),
    Service(Group.ETCD, "etcd", "etcd.service", ("etcd",)),
    Service(Group.POSTGRES, "patroni", "patroni.service", ("patroni", "postgres", "pgbackrest", "keel_re")),
)


MAIN = """\
pid=$(systemctl show -p MainPID --value {unit}); [ $pid -gt 0 ] || exit 99
uid=$(awk '/^Uid:/{{print $3}}' /proc/$pid/status); gid=$(awk '/^Gid:/{{print $3}}' /proc/$pid/status)
cap=$(awk '/^CapEff:/{{print $2}}' /proc/$pid/status)
"""
"""The main process of a unit: its account and capabilities."""


def _main(attacker: Attacker, service: Service, script: str) -> Iterator[tuple[str, Answer]]:
    """Host by host what a script finds that knows the service's main process."""
    for host in attacker.carrying(service.group):
        yield f"{service.name} on {host.name}", attacker.shell(host.name, MAIN.format(unit=service.unit) + script)


def _sees(*wanted: str) -> str:
    """Which of some paths are there for the service: with its account, below its root directory."""
    patterns = " ".join(f"/proc/$0/root{path}" for path in wanted)
    return f"setpriv --reuid=$uid --regid=$gid --clear-groups sh -c 'cd /proc/$0/root && {{ ls -d {patterns} 2>/dev/null; true; }}' $pid"


@attempt("W2")
def is_root(attacker: Attacker) -> Iterator[Tried]:
    """No service that listens runs as root or with root's capabilities, so none of them can take the host."""
    for service in SERVICES:
        for subject, answer in _main(attacker, service, "echo $uid $cap"):
            uid, _, capabilities = answer.last.partition(" ")
            strong = answer.status == 0 and (uid == "0" or int(capabilities, 16) != 0)
            yield Tried(subject, strong if answer.status == 0 else None, f"uid {uid}, capabilities {capabilities}")


@attempt("W2")
def sees_foreign_keys(attacker: Attacker) -> Iterator[Tried]:
    """A service that is taken over does not even see the key pairs of others."""
    for service in SERVICES:
        for subject, answer in _main(attacker, service, _sees(f"{paths.TLS}/*")):
            names = [path.rpartition("/")[2] for path in answer.text.split()]
            foreign = [name for name in names if not name.startswith(service.keys)]
            yield Tried(subject, bool(foreign) if answer.status == 0 else None, " ".join(foreign) or answer.last)


@attempt("W2")
def sees_the_hosts_files(attacker: Attacker) -> Iterator[Tried]:
    """HAProxy, which everybody may talk to, finds no account, no shell and no home on its host."""
    script = _sees("/etc/shadow", "/bin/sh", "/usr/bin/sh", "/root")
    for subject, answer in _main(attacker, SERVICES[0], script):
        yield Tried(subject, bool(answer.text.strip()) if answer.status == 0 else None, " ".join(answer.text.split()))


@attempt("W2")
def reads_foreign_keys(attacker: Attacker) -> Iterator[Tried]:
    """No service's account reads another's private key, and none writes what root reads."""
    for host in attacker.manifest.hosts:
        accounts = sorted(set(attacker.shell(host.name, f"stat -c %U {paths.TLS}/*/key.pem").text.split()))
        for account in accounts:
            script = (
                f"for key in {paths.TLS}/*/key.pem; do [ -O $key ] || ! [ -r $key ] || echo $key; done; "
                f"for path in /etc/passwd {paths.CRON_READS} {paths.UNITS} {paths.LIBRARY}; do ! [ -w $path ] || echo $path; done"
            )
            said = attacker.shell(host.name, script, account).text.split()
            yield Tried(f"{account} on {host.name}", bool(said), " ".join(said))


@attempt("W5")
def destroys_backups(attacker: Attacker) -> Iterator[Tried]:
    """Who receives WAL from database hosts can change, remove or replace no backup and no WAL that is a minute old."""
    for host in attacker.carrying(Group.BACKUP):
        known = attacker.shell(host.name, f"id {RECEIVER} && systemctl is-active keel-pgbackrest.service")
        if known.status:  # no database host but itself
            continue
        become = f"setpriv --reuid={RECEIVER} --regid=postgres --clear-groups"
        kinds = r"\( -type f -writable -o -user " + RECEIVER + r" -o -type d -writable ! -perm -1000 \)"
        found = attacker.shell(
            host.name, f"{become} find {paths.REPOSITORY}/generation-* -mmin +1 {kinds} 2>/dev/null | head -5"
        )
        yield Tried(f"{RECEIVER} on {host.name}", bool(found.text.strip()), " ".join(found.text.split()))


@attempt("W7")
def reads_the_server_log(attacker: Attacker) -> Iterator[Tried]:
    """No other account reads PostgreSQL's log."""
    for host in attacker.carrying(Group.POSTGRES):
        folder = _folder_of_logs(attacker, host)
        for account in ("daemon", "etcd"):
            answer = attacker.shell(host.name, f"cat $(ls -t {folder}/*.log | head -1) | head -c 1", account)
            yield Tried(f"{account} on {host.name}", answer.status == 0 and len(answer.text) == 1, answer.last)


@attempt("W7")
def finds_verifiers_in_the_server_log(attacker: Attacker) -> Iterator[Tried]:
    """Whoever comes to see PostgreSQL's log finds no password's verifier in it."""
    for host in attacker.carrying(Group.POSTGRES):
        found = attacker.shell(
            host.name, f"cat {_folder_of_logs(attacker, host)}/*.log | grep -c 'SCRAM-SHA-256[$]'"
        ).last
        yield Tried(f"the log of {host.name}", found != "0", f"{found} lines hold one")


def _folder_of_logs(attacker: Attacker, host: HostEntry) -> str:
    return attacker.shell(host.name, "psql -U postgres -XAtc 'show log_directory'").last


@attempt("W11")
def leaves_its_container(attacker: Attacker) -> Iterator[Tried]:
    """Root of a container changes nothing of the machine that carries it."""
    tries = {
        "writes the machine's control groups": '[ -w /sys/fs/cgroup/cgroup.procs ] && [ "$(cat /proc/self/cgroup | cut -d: -f3 | head -1)" != / ] && grep -q /docker/ /proc/self/cgroup',
        "writes the kernel's settings": '[ -w /proc/sys/kernel/core_pattern ] && echo "$(cat /proc/sys/kernel/core_pattern)" > /proc/sys/kernel/core_pattern',
        "loads a kernel module": "[ $(( 0x$(awk '/^CapEff:/{print $2}' /proc/self/status) >> 16 & 1 )) = 1 ]",
        "reads the machine's disks": "ls /dev/sd* /dev/vd* /dev/nvme* 2>/dev/null | grep -q .",
    }
    for host in attacker.manifest.hosts:
        if attacker.shell(host.name, "systemd-detect-virt --container").status:
            continue
        for what, script in tries.items():
            answer = attacker.shell(host.name, script)
            yield Tried(f"root of {host.name} {what}", answer.status == 0, answer.last)
