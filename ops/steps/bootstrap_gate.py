"""The step `recovery`: before any database starts, tell a new cluster from a lost one (PLAT-36).

Where a member holds data, or the repository holds nothing, there is nothing to do. Otherwise every member is empty while
the repository holds the cluster: that is refused, unless the stack file orders a recovery with a token that was not used
before. The order is put on the hosts, where Patroni's bootstrap method finds it (keel_host/programs/bootstrap.py).
"""

from __future__ import annotations

from typing import Any

from environment.errors import UNCHANGED, Refused
from environment.recovery import Form, target
from environment.report import Report
from ops.backup import choice, repository
from ops.backup.recovery_order import any_data, is_used, order
from ops.backup.served import serve_second
from ops.hosts.session import Session


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Order the recovery that the stack file asks for, or refuse; nothing on most days."""
    if any_data(session):
        return {}
    held = repository.stanza(session)
    if not held.exists:
        serve_second(session)  # whoever makes the cluster asks again
        return {}
    if held.unanswered and not held.backups:
        raise Refused(
            (
                f"no database host holds data, and what repository {'; '.join(held.unanswered)} holds is not known. An "
                "empty cluster is not made over it"
            ),
            UNCHANGED,
            "Run it again when it answers",
        )
    wanted = session.manifest.recovery
    name = session.manifest.identity.name
    newest = f"; its newest backup is {held.backups[-1].label}" if held.backups else ", but no backup"
    if wanted is None:
        raise Refused(
            (
                f"no database host of {name} holds data, and the repository holds {held.name}{newest}. An empty "
                "cluster is not made over it"
            ),
            UNCHANGED,
            f"To bring everything back:\n  {command(name, used=None)}",
        )
    if is_used(session, wanted.token):
        raise Refused(
            (
                f"no database host of {name} holds data, and keel:recovery.token {wanted.token!r} has brought it back "
                "once already: a token acts once"
            ),
            UNCHANGED,
            f"Order it again:\n  {command(name, used=wanted.token)}",
        )
    if not held.backups:
        raise Refused(f"the repository holds {held.name}, but no backup of it: there is nothing to recover from")
    report(f"recovery {wanted.token}: to {target(wanted.to)}")
    end = target(wanted.to)
    begin = choice.begin_with(session, held, end)
    if end.form is not Form.LATEST:  # after a disaster as much as there is must be within reach
        choice.check_whole(session, held, begin, end)
    order(session, wanted.token, end, (f"--repo={begin.repository}", f"--set={begin.label}"))
    return {}


def command(name: str, used: str | None) -> str:
    """What a person types to order a recovery."""
    return (
        f"pulumi config set --path keel:recovery.token {'a-new-token' if used else 'first-rebuild'} -s {name} "
        f"&& make up ENV={name}"
    )
