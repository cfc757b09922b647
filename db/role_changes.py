"""Changes to roles: attributes, passwords, memberships, settings."""

from collections.abc import Iterator, Mapping

from psycopg import sql
from pydantic import SecretStr

from db import scram
from db.change import Change
from db.found import Cluster, FoundRole, Membership
from db.spec import WITHDRAWN, Role

RESET_WITH_ALL = {"transaction_isolation", "transaction_read_only", "transaction_deferrable"}
"""Settings of one transaction: the server lets anybody's be set, and refuses to reset one of them alone (guc_tables.c)."""


def attributes(role: Role, found: FoundRole | None) -> Iterator[Change]:
    """Create the role, or set exactly the attributes that differ from the declaration (PLAT-09)."""
    # NOINHERIT keeps `becomes` apart from `inherits` before PostgreSQL 16; later it says the same.
    declared: dict[str, int | str] = {
        "SUPERUSER": role.superuser, "CREATEDB": role.createdb, "CREATEROLE": role.createrole, "REPLICATION": role.replication,
        "BYPASSRLS": role.bypassrls, "INHERIT": not role.becomes, "LOGIN": bool(role.login),
        "CONNECTION LIMIT": role.connections, "VALID UNTIL": "infinity",
    }  # fmt: skip
    if found is None:
        yield _attributes("CREATE", role.name, declared)
        return
    has: dict[str, int | str] = {
        "SUPERUSER": found.superuser, "CREATEDB": found.createdb, "CREATEROLE": found.createrole,
        "REPLICATION": found.replication, "BYPASSRLS": found.bypassrls, "INHERIT": found.inherit,
        "LOGIN": found.login if role.login is not None else declared["LOGIN"],
        "CONNECTION LIMIT": found.connections, "VALID UNTIL": found.expires or "infinity",
    }  # fmt: skip
    wrong = {name: wanted for name, wanted in declared.items() if has[name] != wanted}
    if wrong:
        yield _attributes("ALTER", role.name, wrong)


def _attributes(verb: str, role: str, wanted: Mapping[str, int | str]) -> Change:
    words = " ".join(_clause(name, value) for name, value in wanted.items())
    statement = sql.SQL("{} ROLE {} {}").format(
        sql.SQL(verb),
        sql.Identifier(role),
        sql.SQL(words),  # the keywords above
    )
    return Change(f"{verb.lower()} role {role}: {words}", statement)


def _clause(name: str, value: int | str) -> str:
    """A keyword that is there or has NO in front, or one with a number or a text."""
    if isinstance(value, str):
        return f"{name} '{value}'"
    if isinstance(value, bool):
        return name if value else f"NO{name}"
    return f"{name} {value}"


def password(role: Role, found: FoundRole | None, passwords: Mapping[str, SecretStr]) -> Iterator[Change]:
    """Send a verifier when the stored one was made from another password (PLAT-11), and none to whom has none."""
    if not role.password:
        if found and found.verifier is not None:
            yield Change(
                f"take the password of role {role.name} away",
                sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(role.name)),
            )
        return
    wanted = passwords[role.name].get_secret_value()
    if found is None or not scram.matches(wanted, found.verifier):
        statement = sql.SQL("ALTER ROLE {} PASSWORD ").format(sql.Identifier(role.name))
        yield Change(
            f"set the password of role {role.name}",
            statement + sql.Literal(scram.verifier(wanted)),
            secret=role.name,
            shown=statement + sql.SQL("'<verifier>'"),
        )


def memberships(roles: list[Role], cluster: Cluster) -> Iterator[Change]:
    """Grant declared memberships; report others in which a declared role gives or takes rights."""
    declared = {Membership(r.name, other, True, False, False) for r in roles for other in r.inherits}
    declared |= {Membership(r.name, other, False, True, False) for r in roles for other in r.becomes}
    if cluster.version < 16:  # no options per grant: INHERIT is the role's own, SET is always allowed
        declared = {Membership(m.member, m.role, m.inherit, True, False) for m in declared}
    pairs = {(m.member, m.role) for m in declared}
    known = {role.name for role in roles}
    for membership in sorted(cluster.memberships - declared, key=str):
        pair = membership.member, membership.role
        if known & set(pair):
            yield _leave(membership, removes=pair not in pairs | WITHDRAWN)
    for membership in sorted(declared - cluster.memberships, key=str):
        yield _join(membership, cluster.version)


def _join(membership: Membership, version: int) -> Change:
    options = "" if version < 16 else f" WITH INHERIT {membership.inherit}, SET {membership.set}"
    statement = sql.SQL("GRANT {} TO {}{}").format(
        sql.Identifier(membership.role),
        sql.Identifier(membership.member),
        sql.SQL(options),
    )
    return Change(f"make {membership.member} a member of {membership.role}{options.lower()}", statement)


def _leave(membership: Membership, *, removes: bool) -> Change:
    statement = sql.SQL("REVOKE {} FROM {} CASCADE").format(
        sql.Identifier(membership.role), sql.Identifier(membership.member)
    )
    return Change(f"end the membership of {membership.member} in {membership.role}", statement, removes=removes)


def settings(
    target: str, name: str, declared: Mapping[str, str], found: Mapping[str, str], database: str = ""
) -> Iterator[Change]:
    """Settings of a ROLE, perhaps in one ``database``, or of a DATABASE; `target` says which."""
    subject = sql.SQL("ALTER {} {} ").format(sql.SQL(target), sql.Identifier(name))
    whose = f"{target.lower()} {name}"
    if database:
        subject += sql.SQL("IN DATABASE {} ").format(sql.Identifier(database))
        whose += f" in database {database}"
    begins = name if target == "DATABASE" else database
    has = {setting.lower(): value for setting, value in found.items()}  # the server writes IntervalStyle in its own way
    for setting, value in sorted(declared.items()):
        if has.get(setting.lower()) != value:
            what = f"set {setting} = {value} for {whose}"
            yield Change(what, subject + _set(setting, value), sessions=begins)
    known = {setting.lower() for setting in declared}
    for setting in sorted(setting for setting in found if setting.lower() not in known):
        what = f"reset {setting} for {whose}"
        yield Change(what, reset(subject, setting, declared), removes=True, sessions=begins)


def reset(subject: sql.Composed, setting: str, declared: Mapping[str, str]) -> sql.Composed:
    """Take one setting back; ``subject`` is ALTER and whose it is."""
    if setting not in RESET_WITH_ALL:
        return subject + sql.SQL("RESET {}").format(sql.Identifier(setting))
    kept = [_set(name, value) for name, value in sorted(declared.items())]
    return sql.SQL("; ").join(subject + words for words in [sql.SQL("RESET ALL"), *kept])


def _set(setting: str, value: str) -> sql.Composed:
    return sql.SQL("SET {} = {}").format(sql.Identifier(setting), sql.Literal(value))
