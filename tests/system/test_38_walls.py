"""Who gets to which port, tried from everywhere; and a firewall that locks the controller out undoes itself."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from environment import access
from environment.manifest import Manifest
from environment.waiting import until
from ops.converge.run import ConvergeFailed, converge
from ops.hosts.commands import CommandFailed
from ops.hosts.docker import docker
from ops.hosts.session import Session, Unreachable
from roles.firewall.role import LISTED, PATIENCE, RULES, Firewall
from tests.system.environments import Ephemeral

TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def answers(at):
    try:
        socket.create_connection(at, 3).close()
    except TimeoutError:
        return False
    except ConnectionRefusedError:
        pass
    return True
tried = [tuple(at) for at in json.loads(sys.argv[1])]
with ThreadPoolExecutor(len(tried)) as pool:
    print(json.dumps([at for at, answered in zip(tried, pool.map(answers, tried)) if answered]))
"""
"""Prints those of the given addresses and ports that answer, be it with a refusal."""

At = tuple[str, int]
Run = Callable[[list[str]], str]


def everything(manifest: Manifest) -> list[At]:
    """Every port of the environment on every host, whether something listens there or not."""
    ports = {access.port(manifest, host, door) for host in manifest.hosts for door in access.doors(manifest, host)}
    return [(str(host.address), port) for host in manifest.hosts for port in sorted(ports)]


def answering(run: Run, tried: list[At]) -> set[At]:
    """Those that answer to whoever ``run`` is."""
    return {(address, port) for address, port in json.loads(run(["python3", "-c", TRY, json.dumps(tried)]))}


def declared(manifest: Manifest, source: str) -> set[At]:
    """What the table lets ``source`` reach."""
    return {
        (str(host.address), each.port)
        for host in manifest.hosts
        for each in access.admitted(manifest, host)
        if IPv4Address(source) in each.source
    }


def here(command: list[str]) -> str:
    """On this machine."""
    return subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True, text=True).stdout


@contextmanager
def stranger(dev: Ephemeral, address: str) -> Iterator[Run]:
    """A container in the environment's network that is none of its hosts."""
    image = docker("inspect", "-f", "{{.Image}}", dev.container(next(iter(dev.config["keel:hosts"]))))
    name = dev.container(f"stranger-{address.rpartition('.')[2]}")
    docker("run", "-d", "--rm", "--name", name, "--network", f"keel-{dev.name}", "--ip", address, image, "sleep", "300")
    try:
        yield lambda command: docker("exec", name, *command)
    finally:
        docker("rm", "-f", name)


def test_what_is_declared_answers_and_nothing_else(dev: Ephemeral) -> None:
    """PLAT-25, PLAT-41, JEEX-33, W3: a stranger gets no answer at all, an application's container what clients get, this machine
    that and what the controller gets, and each host what it needs of each other."""
    with dev.session() as session:
        manifest = session.manifest
        gateway, unlisted, application = (
            str(manifest.network.cidr.network_address + number) for number in (1, 99, 130)
        )
        tried = everything(manifest)

        def of(host: str) -> Run:
            return lambda command: session.run(host, shlex.join(command))

        with (
            stranger(dev, unlisted) as elsewhere,
            stranger(dev, application) as inside,
            ThreadPoolExecutor() as pool,
        ):
            sources = {unlisted: elsewhere, application: inside, gateway: here} | {
                str(host.address): of(host.name) for host in manifest.hosts
            }
            found = dict(zip(sources, pool.map(lambda source: answering(sources[source], tried), sources), strict=True))
    own = {str(host.address): {at for at in tried if at[0] == str(host.address)} for host in manifest.hosts}
    assert {source: at - own.get(source, set()) for source, at in found.items()} == {
        source: declared(manifest, source) for source in sources
    }
    assert declared(manifest, unlisted) == set()
    assert len(declared(manifest, application)) == 4 and declared(manifest, application) < declared(manifest, gateway)


def comes_in(session: Session, host: str) -> bool:
    """True if the controller comes in over a new connection."""
    command = ["ssh", "-F", str(session.ssh_config), "-o", "ControlPath=none", host, "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_firewall_that_locks_the_controller_out_is_taken_back(
    dev: Ephemeral, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-41: the step fails and says so; the host undoes it by itself, and what it loads at boot never was the wrong one."""
    right = Firewall.table
    with dev.session() as session:
        before = session.run("ops1", f"{LISTED}; cat {RULES}")
        monkeypatch.setattr(Firewall, "table", lambda *each: right(*each).replace("dport 22 accept", "dport 23 accept"))
        with pytest.raises(ConvergeFailed, match="the controller cannot come in again"):
            converge(session, ["base"], lambda _: None, only=["ops1"])
        assert not comes_in(session, "ops1")
        until(lambda: comes_in(session, "ops1"), PATIENCE + 20, "the table before", every=1)
        assert session.run("ops1", f"{LISTED}; cat {RULES}") == before
        monkeypatch.undo()
        assert converge(session, ["base"], lambda _: None, only=["ops1"], dry=True).changes == ()


def test_the_firewall_is_there_before_services_after_a_restart(dev: Ephemeral) -> None:
    """PLAT-41: a container's rules go with its network; systemd loads them before anything listens."""
    units = ("keel-firewall.service", "keel-pgbackrest.service", "ssh.service")
    with dev.session() as session:
        before = session.run("ops1", LISTED)
        docker("restart", dev.container("ops1"))
        shown = "systemctl show -P ActiveEnterTimestampMonotonic -- " + " ".join(units)
        asked = f"systemctl is-system-running --wait >/dev/null; {LISTED}; {shown}"
        said: list[str] = []

        def answers() -> bool:
            said[:] = [session.run("ops1", asked)]
            return True

        until(answers, 60, "ops1 to come back", every=0.5, despite=(Unreachable, CommandFailed))
    table, began = said[0].split("}\n}\n")
    assert table + "}\n}\n" == before
    firewall, *others = (int(each) for each in began.split())
    assert all(0 < firewall < other for other in others)
