"""What the walls around a service forbid, tried from within: a process with the unit's account and its very walls.

The walls are systemd's, so a unit of the test's own borrows the file that the role wrote. Without that file the same attempts
succeed as root, so none of them fails for another reason.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import PurePath

import pytest

from environment.manifest import HostEntry
from ops.hosts.session import Session
from roles.kit import sandbox
from roles.kit.declare import Certificate, File, Target
from roles.order import ROLES

PROBE = """
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def read(path):
    with open(path) as file:
        file.read(1)

def write(path):
    with open(path, "a"):
        pass

attempts = {
    "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "namespace": lambda: call("unshare", 0x00020000),
    "owner": lambda: os.chown("/tmp", 12, 12),
    **{f"read {path}": lambda path=path: read(path) for path in %(keys)r},
    **{f"write {path}": lambda path=path: write(path) for path in %(files)r},
}
said = {}
for name, attempt in attempts.items():
    try:
        attempt()
        said[name] = "done"
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
print(json.dumps(said))
"""
OWN = {
    "pgbouncer.service": "/etc/pgbouncer/userlist.txt",
    "redis-server.service": "/etc/redis/users.acl",
    "patroni.service": "/etc/patroni/config.yml",
    "keel-pgbackrest.service": "/etc/pgbackrest/pgbackrest.conf",
}
"""Unit → a file that its account owns: the walls alone keep it from writing there."""
OUTSIDE = "/etc/keel-probe"
HOSTS_FILES = {"haproxy.service": ("/etc/passwd", "/etc/ssh/sshd_config", "/etc/hostname")}
"""Unit in a file system of its own → files of the host that are not in it."""
FORBIDDEN = {"EPERM", "EACCES", "EROFS", "EAFNOSUPPORT", "ENOENT"}


def declared(session: Session, host: HostEntry) -> tuple[list[File | Certificate], list[str]]:
    """What the roles of a host write, and its units with walls."""
    written: list[File | Certificate] = []
    for role in ROLES.values():
        if role.runs_on(host):
            target = Target(session.manifest, host, session.roots)
            written += [*role.files(target), *role.certificates(target)]
    walls = [PurePath(each.path) for each in written if isinstance(each, File)]
    return written, [path.parent.name.removesuffix(".d") for path in walls if path.name == sandbox.NAME]


def script(keys: Iterable[str], files: Iterable[str]) -> str:
    """The attempts, as a program: to read these keys and to write these files, and what needs rights."""
    return PROBE % {"keys": list(keys), "files": list(files)}


def attempted(session: Session, host: str, program: str, unit: str = "") -> dict[str, str]:
    """Attempt → what became of it, by a process within the walls of ``unit``; as root without walls where that is empty."""
    walls = f"""
mkdir -p /run/systemd/system/keel-probe.service.d
ln -sf {sandbox.path(unit)} /run/systemd/system/keel-probe.service.d/
printf '[Service]\\nUser=%s\\nBindReadOnlyPaths=/usr\\n' $(systemctl show -P User {unit}) > /run/systemd/system/keel-probe.service.d/zz.conf
""" if unit else ""  # fmt: skip
    done = session.run(host, f"""
set -eu
printf %s {shlex.quote(program)} > /run/keel-probe.py
printf '[Service]\\nType=oneshot\\nExecStart=/usr/bin/python3 -I -\\nStandardInput=file:/run/keel-probe.py\\nStandardOutput=truncate:/run/keel-probe.out\\n' \\
  > /run/systemd/system/keel-probe.service
{walls}
systemctl daemon-reload
systemctl start keel-probe.service || journalctl -u keel-probe.service -n 20 >&2
cat /run/keel-probe.out
rm -rf /run/systemd/system/keel-probe.service* /run/keel-probe.*
systemctl daemon-reload
""")  # fmt: skip
    return dict(json.loads(done))


@pytest.mark.parametrize("name", ["db1", "edge1", "ops1"])
def test_a_unit_stays_within_its_walls(environment: Session, name: str) -> None:
    """W2: from within no foreign key, no write outside, no raw socket, no mount, no namespace and no other owner; HAProxy
    finds no file of the host."""
    written, units = declared(environment, environment.manifest.host(name))
    keys = {each.directory: f"{each.directory}/key.pem" for each in written if isinstance(each, Certificate)}
    files = {each.path: each.content for each in written if isinstance(each, File)}
    assert units
    own = [OWN[unit] for unit in units if unit in OWN]
    hosts = [path for unit in units for path in HOSTS_FILES.get(unit, ())]
    without = attempted(environment, name, script([*keys.values(), *hosts], [OUTSIDE, *own]))
    environment.run(name, f"rm {OUTSIDE}; umount /tmp")
    assert set(without.values()) == {"done"}, f"{name}: what fails here proves nothing: {without}"
    for unit in units:
        foreign = [key for folder, key in keys.items() if f"={folder}\n" not in files[sandbox.path(unit)]]
        assert foreign or len(units) == 1
        foreign += HOSTS_FILES.get(unit, ())
        within = attempted(environment, name, script(foreign, [OUTSIDE, *([OWN[unit]] if unit in OWN else ())]), unit)
        assert within.keys() <= without.keys() and len(within) >= 7
        got = {attempt: said for attempt, said in within.items() if said not in FORBIDDEN}
        assert not got, f"{name}: {unit}: {got}"
