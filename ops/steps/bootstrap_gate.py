"""The step `recovery`: before any database starts, tell a new cluster from a lost one (PLAT-36).

Where a member holds data, or the repository holds nothing, there is nothing to do. Otherwise every member is empty while
the repository holds the cluster: that is refused, unless the stack file orders a recovery with a token that was not used
before. The order is put on the hosts, where Patroni's bootstrap method finds it (roles/postgres/templates/bootstrap).
"""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from environment.recovery import Form, RecoveryTarget, target
from environment.types import Group
from ops.backup import jobs, repository
from ops.cluster.patroni import etcd_health
from ops.hosts.session import Session
from roles import paths

CONTROL = "global/pg_control"
"""The last file that a restore writes: a data directory without it is no server's."""


STOP = (
    "systemctl cat patroni.service >/dev/null 2>&1 && systemctl stop patroni.service; "
    "if pgrep -x postgres -u postgres >/dev/null || pgrep -u postgres -f 'pgbackrest.* restore' >/dev/null; "
    "then echo 'PostgreSQL or a restore still runs' >&2; exit 1; fi"
)
"""Shell: no server and no restore runs afterwards, or it fails."""


class Refused(Exception):
    """An empty cluster was not made over an existing repository: what is there, what can be done."""


def apply(session: Session, inputs: dict[str, Any], report: Any) -> dict[str, Any]:
    """Order the recovery that the stack file asks for, or refuse; nothing on most days."""
    if any_data(session):
        return {}
    held = repository.stanza(session)
    if not held.exists:
        return {}
    if held.silent and not held.backups:
        raise Refused(
            f"no database host holds data, and what repository {'; '.join(held.silent)} holds is not known. An empty "
            "cluster is not made over it. Nothing was changed. Run it again when it answers"
        )
    wanted = session.manifest.recovery
    name = session.manifest.identity.name
    newest = f"; its newest backup is {held.backups[-1].label}" if held.backups else ", but no backup"
    if wanted is None:
        raise Refused(
            f"no database host of {name} holds data, and the repository holds {held.name}{newest}. An empty cluster is "
            f"not made over it. Nothing was changed. To bring everything back:\n  {command(name, used=None)}"
        )
    if is_used(session, wanted.token):
        raise Refused(
            f"no database host of {name} holds data, and keel:recovery.token {wanted.token!r} has brought it back once "
            f"already: a token acts once. Nothing was changed. Order it anew:\n  {command(name, used=wanted.token)}"
        )
    if not held.backups:
        raise Refused(f"the repository holds {held.name}, but no backup of it: there is nothing to recover from")
    report(f"recovery {wanted.token}: to {target(wanted.to)}")
    end = target(wanted.to)
    begin = jobs.begin_with(session, held, end)
    if end.form is not Form.LATEST:  # after a disaster as much as there is must be within reach
        jobs.check_whole(session, held, begin, end)
    order(session, wanted.token, end, (f"--repo={begin.repository}", f"--set={begin.label}"))
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Nothing: what it would find, the other steps find too."""
    return []


def command(name: str, used: str | None) -> str:
    """What a person types to order a recovery."""
    return (
        f"pulumi config set --path keel:recovery.token {'a-new-token' if used else 'first-rebuild'} -s {name} "
        f"&& make up ENV={name}"
    )


def order(session: Session, token: str, end: RecoveryTarget, more: tuple[str, ...], take_over: bool = False) -> None:
    """Put the order on every database host, where the first that takes part in the bootstrap carries it out.

    Patroni is stopped before, and what its store knows of a former cluster is forgotten; the caller starts it again. With
    ``take_over`` what every member holds is laid aside first: one that came up in between would go on with it.
    """
    members = [host.name for host in session.manifest.carrying(Group.POSTGRES)]
    everywhere(session, members, STOP, timeout=900)
    text = shlex.quote(json.dumps({"token": token, "options": [*end.options, *more]}))
    data = paths.data_directory(session.manifest)
    taken = f"{data}{paths.RESTORING}"
    # What a recovery that was interrupted left is taken over, and would keep Patroni from its bootstrap.
    condition = "[ -e $left ]" if take_over else f"[ -e $left ] && [ ! -e $left/{CONTROL} ]"
    leftovers = (
        f"for left in {data}.failed {data}; do if {condition}; then rm -rf {taken}; mv $left {taken}; fi; done; "
        f"rm -f {taken}/postmaster.pid"
    )
    given = f"install -d -o postgres -g postgres -m 2775 /run/postgresql && echo {text} > {paths.RECOVERY_ORDER}"
    everywhere(
        session, members, f"{given} && chown postgres: {paths.RECOVERY_ORDER} && {{ {leftovers}; }}", timeout=3600
    )
    forget_cluster(session)


def forget_cluster(session: Session) -> None:
    """Remove Patroni's keys of this cluster from etcd; its configuration comes again with the bootstrap."""
    stores = session.manifest.carrying(Group.ETCD)
    well = etcd_health(session)
    store = next((host for host in stores if well[host.name]), stores[0])
    endpoints = ",".join(f"https://{host.address}:{session.manifest.ports.etcd_client}" for host in stores)
    tls = "/etc/keel/tls/etcd"
    session.run(
        store.name,
        f"etcdctl --endpoints={endpoints} --command-timeout=30s --cacert=/etc/keel/ca.crt "
        f"--cert={tls}/cert.pem --key={tls}/key.pem del --prefix /keel/{session.manifest.identity.name}/",
    )


def any_data(session: Session) -> bool:
    """True if a member holds a server's data, wholly recovered. Raises Unreachable when a member cannot be asked."""
    data = paths.data_directory(session.manifest)
    members = [host.name for host in session.manifest.carrying(Group.POSTGRES)]
    return any(
        everywhere(
            session, members, f"test -e {data}/{CONTROL} && ! test -e {data}/recovery.signal && echo yes || true"
        )
    )


def everywhere(session: Session, hosts: list[str], shell: str, timeout: float = 60) -> list[str]:
    """Standard output of a command on each host, all at the same time. Raises the first error."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        return [out.strip() for out in pool.map(lambda host: session.run(host, shell, timeout=timeout), hosts)]


def is_used(session: Session, token: str) -> bool:
    """True if a recovery with this token has succeeded."""
    return (
        session.run(
            session.manifest.repository_host.name, f"test -e {paths.RECOVERIES}/{token} && echo yes || true"
        ).strip()
        != ""
    )
