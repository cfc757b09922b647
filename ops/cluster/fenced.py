"""The primary's host is known to be dead: the others need not wait for its lease to end.

Only who is outside can know that. A host that merely does not answer may still take writes from those who reach it, so
this refuses as long as anything of it answers, and on machines the operator has to say that its power is off.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

from environment.errors import UNCHANGED, Refused
from environment.manifest import HostEntry
from environment.names import LABEL
from environment.report import Report
from environment.types import Group, Provider
from environment.waiting import until
from ops.cluster.patroni import members
from ops.hosts.docker import docker
from ops.hosts.session import Session, Unreachable
from roles.etcd.etcdctl import etcdctl

ALIVE = ("running", "paused", "restarting")
"""Docker's states of a container whose processes are there: a paused one would go on where it was."""
LEADS_WITHIN = 60
"""Seconds in which another server has to lead."""


def check(session: Session, name: str) -> HostEntry:
    """The host, if it holds the lease and nothing of it answers. Raises Refused."""
    known = [host.name for host in session.manifest.carrying(Group.POSTGRES)]
    if name not in known:
        raise Refused(f"{name} is no database host; there are {', '.join(known)}", UNCHANGED)
    host = session.manifest.host(name)
    signs = list(_signs_of_life(session, host))
    if signs:
        raise Refused(
            f"{name} is not dead: {'; '.join(signs)}",
            UNCHANGED,
            "Cut its power or kill its container first. To move the primary away from a host that is well: `./keel switchover`",
        )
    holder = leader(session)
    if holder != name:
        raise Refused(f"{name} does not hold the lease: {holder or 'no server'} does", UNCHANGED, "See `./keel status`")
    return host


def carry_out(session: Session, host: HostEntry, report: Report) -> str:
    """End the lease of a host that :func:`check` found dead; who leads then. Raises NotReached after a minute, Refused where the
    lease has another holder by now."""
    lease = key(session, "leader")
    # Compared and removed in one step: by now the lease may be another's.
    order = f'value("{lease}") = "{host.name}"\n\ndel {lease}\n\n\n'
    report(f"the lease of {host.name} ends")
    if "SUCCESS" not in _etcdctl(session, "txn", order):
        raise Refused(f"{host.name} no longer holds the lease: {leader(session) or 'no server'} does", UNCHANGED)
    report("another server takes over")
    return until(lambda: _other(session, host.name), LEADS_WITHIN, "another server to lead", every=0.3)


def leader(session: Session) -> str:
    """Who holds the lease, as etcd knows it; "" where no one does. Raises as Session.run does."""
    return _etcdctl(session, f"get --print-value-only {key(session, 'leader')}").strip()


def _other(session: Session, dead: str) -> str:
    return next((member.name for member in members(session) if member.leads and member.name != dead), "")


def _signs_of_life(session: Session, host: HostEntry) -> Iterator[str]:
    """What shows that a host may still run, each as a sentence."""
    if session.manifest.identity.provider is Provider.DOCKER:
        ours = f"label={LABEL}={session.manifest.identity.name}"
        state = docker("ps", "-a", "--filter", ours, "--filter", f"name=-{host.name}$", "--format", "{{.State}}")
        if state in ALIVE:
            yield f"Docker says that its container is {state}"
    questions = {"it answers by SSH": partial(session.run, host.name, "true", timeout=15)}
    doors = (("PostgreSQL", session.manifest.ports.postgres), ("Patroni", session.manifest.ports.patroni))
    others = (other for other in session.manifest.carrying(Group.POSTGRES) if other != host)
    for other, (service, port) in product(others, doors):
        knock = f"timeout 3 bash -c {shlex.quote(f'</dev/tcp/{host.address}/{port}')}"
        questions[f"its {service} answers {other.name}"] = partial(session.run, other.name, knock, timeout=15)
    # All at once: a dead host answers none of them, and clients wait meanwhile.
    with ThreadPoolExecutor(len(questions)) as pool:
        yield from (
            sign for sign, answers in zip(questions, pool.map(_succeeds, questions.values()), strict=True) if answers
        )


def _succeeds(question: Callable[[], object]) -> bool:
    try:
        question()
    except (Unreachable, subprocess.SubprocessError):
        return False
    return True


def key(session: Session, name: str) -> str:
    """Where Patroni keeps something in etcd."""
    return f"/keel/{session.manifest.identity.name}/{name}"


def _etcdctl(session: Session, command: str, given: str = "") -> str:
    """From the first member of the store that answers. Raises Refused where none does."""
    stores = session.manifest.carrying(Group.ETCD)
    for store in stores:
        try:
            return session.run(
                store.name, etcdctl(session.manifest, (store,), command, seconds=5), timeout=20, given=given
            )
        except (Unreachable, subprocess.SubprocessError):
            continue
    raise Refused("etcd does not answer, so no server can take over", UNCHANGED, "Bring its members back first")
