"""W3: who is answered at all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address

from environment.access import DOORS, admitted, port
from environment.manifest import HostEntry, Manifest
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt, must_work

CONNECT = "timeout 5 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo {name}={service} &"


def _declared(manifest: Manifest, source: IPv4Address, to: HostEntry, number: int) -> bool:
    """Whether the one list of who may connect has it (environment/access.py)."""
    return any(source in each.source and each.port == number for each in admitted(manifest, to))


@attempt("W3")
def undeclared_pairs(attacker: Attacker) -> Iterator[Tried]:
    """Between hosts only the declared connections are answered: nothing listens to a host that has no business there."""
    manifest = attacker.manifest
    for source in manifest.hosts:
        places = [
            (to, each.service, port(manifest, to, each)) for to in manifest.hosts for each in DOORS if to != source
        ]
        script = "\n".join(
            CONNECT.format(address=to.address, port=number, name=to.name, service=service)
            for to, service, number in places
        )
        answered = set(attacker.shell(source.name, f"{script}\nwait").text.split())
        for to, service, number in places:
            if not _declared(manifest, source.address, to, number):
                yield Tried(f"{source.name} to {service} of {to.name}", f"{to.name}={service}" in answered)
        allowed = [
            place
            for place in places
            if place[1] in ("patroni", "etcd_peer") and _declared(manifest, source.address, place[0], place[2])
        ]
        for to, service, _ in allowed:
            yield from must_work(f"{source.name} to {service} of {to.name}", f"{to.name}={service}" in answered)


@attempt("W3")
def undeclared_from_here(attacker: Attacker) -> Iterator[Tried]:
    """Where Keel runs is no client: it is answered where the list says so, and nowhere else."""
    manifest = attacker.manifest
    places = [(to, each.service, port(manifest, to, each), _from(to)) for to in manifest.hosts for each in DOORS]
    closed = [place for place in places if not _declared(manifest, place[3], place[0], place[2])]
    with ThreadPoolExecutor(len(places)) as pool:
        answers = pool.map(lambda place: _answers(str(place[0].address), place[2]), closed)
    for (to, service, _, source), answered in zip(closed, answers, strict=True):
        yield Tried(f"{source} to {service} of {to.name}", answered)


def _from(to: HostEntry) -> IPv4Address:
    """The address that a host would see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing
        probe.connect((str(to.address), 9))
        return IPv4Address(probe.getsockname()[0])


def _answers(address: str, number: int) -> bool:
    try:
        socket.create_connection((address, number), timeout=1).close()
    except OSError:
        return False
    return True
