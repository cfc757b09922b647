"""The order of a recovery: a file in the hosts' memory that Patroni's bootstrap method carries out once."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor

from environment.recovery import RecoveryTarget
from environment.types import Group
from ops.backup.served import serve_second
from ops.cluster import etcd
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
    given = f"install -d -o postgres -g postgres -m 2775 {paths.SOCKETS} && echo {text} > {paths.RECOVERY_ORDER}"
    everywhere(
        session, members, f"{given} && chown postgres: {paths.RECOVERY_ORDER} && {{ {leftovers}; }}", timeout=3600
    )
    serve_second(session)
    etcd.forget_cluster(session)


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
