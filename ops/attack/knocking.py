"""The doors that ask only who signed (decision 14), what each key pair does at them, and the key pairs of a host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from environment.derive import Roots
from environment.manifest import HostEntry, Manifest
from environment.pki import Authority
from environment.types import Group
from roles.kit.declare import Certificate, Target

KNOCK = """
import json, os, pwd, socket, ssl, sys
from concurrent.futures import ThreadPoolExecutor
as_who, doors = json.loads(sys.argv[1])
def knock(pair, door, its_own):
    address, port, request = door
    context = ssl._create_unverified_context()
    try:
        if pair:
            context.load_cert_chain(pair + "/cert.pem", pair + "/key.pem")
        with socket.create_connection((address, port), timeout=20 if its_own else 1) as plain:
            plain.settimeout(20 if its_own else 4)
            secured = context.wrap_socket(plain)
            secured.sendall(request.encode())
            return secured.recv(200).decode(errors="replace").partition("\\r\\n")[0]
    except OSError as error:
        return "refused: %s" % error
def knock_as(account, pair, own, said):
    found = pwd.getpwnam(account)
    os.initgroups(account, found.pw_gid)
    os.setgid(found.pw_gid)
    os.setuid(found.pw_uid)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(knock, [pair] * len(doors), doors, [number == own for number in range(len(doors))])
        os.write(said, json.dumps(list(answers)).encode())
heard = []
for account, pair, own in as_who:
    hear, said = os.pipe()
    if os.fork() == 0:
        try:
            knock_as(account, pair, own, said)
        finally:
            os._exit(0)
    os.close(said)
    heard.append(os.fdopen(hear))
for hear in heard:
    print(hear.read())
"""
"""Python for root of a host: what each door answers each account with a key pair, or without one. All knock at the same time, for a
door behind a firewall keeps each of them waiting. A host's kernel answers within a second, or a firewall does not; a service may
take longer. At its own door each has more patience: Patroni lets five wait, the kernel drops the next, and who was dropped asks again
after a second, and after three."""
NO_ONE = "daemon"
"""An account of every host, to which Keel gives nothing."""
Door = tuple[str, int, str]
Who = tuple[str, str, int]
"""An account, the folder of a key pair ("" for none), and the number of the door that is its own (-1 for none)."""


class Answer(NamedTuple):
    """What a door said, and whether it opened."""

    opens: bool
    said: str


def doors(manifest: Manifest) -> dict[Authority, Door]:
    """Authority → a door that it opens, and a request that changes nothing. pgBackRest's server greets whom it lets in."""
    ports, stores = manifest.ports, manifest.carrying(Group.ETCD)
    server, repository = manifest.carrying(Group.POSTGRES)[0], manifest.repository_host
    body = '{"key": "L2tlZWwv"}'
    ask = f"POST /v3/kv/range HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    found = {
        Authority.PATRONI: (str(server.address), ports.patroni, "GET /config HTTP/1.0\r\n\r\n"),
        Authority.ETCD: (str(stores[0].address), ports.etcd_client, ask),
        Authority.ETCD_PEERS: (str(stores[0].address), ports.etcd_peer, "GET /version HTTP/1.0\r\n\r\n"),
    }
    if any(host != repository for host in manifest.carrying(Group.POSTGRES)):
        found[Authority.PGBACKREST] = (str(repository.address), ports.pgbackrest, "")
    return found


def unsigned(manifest: Manifest) -> dict[Authority, Door]:
    """Those that hear no one without a certificate. pgBackRest's server greets everybody, and hears no one whose name it does
    not know."""
    return {door: at for door, at in doors(manifest).items() if door is not Authority.PGBACKREST}


def knocks(tried: Sequence[Door], as_who: Sequence[Who]) -> str:
    """Shell for root of a host: who knocks at these doors. `opened` reads the answer."""
    return f"python3 -I -c {shlex.quote(KNOCK)} {shlex.quote(json.dumps([as_who, tried]))}"


def opened(said: str) -> list[list[Answer]]:
    """For each who knocked, what each of the doors answered."""
    answers = (json.loads(line) for line in said.splitlines())
    return [[Answer(" 200 " in answer or answer.startswith("{"), answer) for answer in each] for each in answers]


def own_door(tried: Sequence[Authority], pair: Certificate | None) -> int:
    """The number of the door that a key pair opens, -1 where there is none."""
    if pair is None or not pair.leaf.enters or pair.leaf.authority not in tried:
        return -1
    return tried.index(pair.leaf.authority)


def pairs(manifest: Manifest, host: HostEntry, roots: Roots) -> dict[str, Certificate]:
    """Folder → key pair that the roles declare on a host."""
    from roles.order import ROLES  # with pyinfra, which is slow to import

    target = Target(manifest, host, roots)
    declared = (pair for role in ROLES.values() if role.runs_on(host) for pair in role.certificates(target))
    return {pair.directory: pair for pair in declared}
