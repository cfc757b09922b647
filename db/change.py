"""One step from what a cluster holds to what it should hold."""

from dataclasses import dataclass, field

from psycopg.sql import SQL, Composable, Composed, Identifier

from db.difference import Difference
from db.spec import MAINTENANCE_DATABASE, PUBLIC, Grant
from environment.errors import KeelError


class ProvisionError(KeelError):
    """Provisioning cannot go on: what is wrong, what was left as it was, what to do."""


@dataclass(frozen=True)
class Change:
    """A statement and the sentence that explains it; the sentence never holds a secret."""

    what: str
    sql: SQL | Composed = field(repr=False, default_factory=lambda: SQL(""))
    database: str = MAINTENANCE_DATABASE
    removes: bool = False
    """Takes away something the model does not declare: reported, executed only on request."""
    told: bool = False
    """Reported, never executed: an operator decides. `sql` is the statement they could run, if one is enough."""
    secret: str = ""
    """The login whose verifier `sql` holds, which the server must not log."""
    sessions: str = ""
    """The database whose sessions have what was before, until they begin again."""
    shown: SQL | Composed | None = field(repr=False, default=None)
    """What people see in place of `sql`, where that holds a verifier or what only a program needs."""

    @property
    def difference(self) -> Difference:
        """The change as something that differs."""
        return Difference(f"{self.database}: {self.what}", (self.shown or self.sql).as_string())


def grantee(role: str) -> Composable:
    """A role in GRANT and REVOKE; PUBLIC is a keyword there."""
    return SQL("PUBLIC") if role == PUBLIC else Identifier(role)


def privileges(found: frozenset[Grant], declared: set[Grant], database: str, owner: str) -> list[Change]:
    """Grant what is missing, take from PUBLIC what it has, report what others have beyond the declaration."""
    changes = [_grant(grant, database, owner) for grant in sorted(declared - found)]
    return changes + [_revoke(grant, database, owner) for grant in sorted(found - declared)]


def _grant(grant: Grant, database: str, owner: str) -> Change:
    statement = SQL("GRANT {} ON {} TO {}").format(
        SQL(grant.privilege),
        _target(grant),
        grantee(grant.grantee),  # from pg_catalog
    )
    return Change(_words("grant", grant, "to"), _scope(grant, owner) + statement, database)


def _revoke(grant: Grant, database: str, owner: str) -> Change:
    statement = SQL("REVOKE {} ON {} FROM {}").format(
        SQL(grant.privilege),
        _target(grant),
        grantee(grant.grantee),  # from pg_catalog
    )
    undeclared = grant.grantee != PUBLIC
    end = SQL(" CASCADE") if undeclared else SQL("")
    return Change(_words("revoke", grant, "from"), _scope(grant, owner) + statement + end, database, undeclared)


def _target(grant: Grant) -> Composable:
    if grant.future:
        return SQL(grant.future)  # one of five words, see db.found
    return SQL("{} {}").format(SQL(grant.kind), Identifier(grant.object))


def _scope(grant: Grant, owner: str) -> Composable:
    if not grant.future:
        return SQL("")
    where = SQL(" IN SCHEMA {}").format(Identifier(grant.object)) if grant.object else SQL("")
    return SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} ").format(Identifier(owner), where)


def _words(verb: str, grant: Grant, preposition: str) -> str:
    future = f"future {grant.future.lower()} of " if grant.future else ""
    target = f"{future}{grant.kind.lower()} {grant.object}".rstrip()
    return f"{verb} {grant.privilege} on {target} {preposition} {grant.grantee}"
