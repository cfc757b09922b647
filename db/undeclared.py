"""What a cluster holds beyond the model: databases and roles that are not declared, settings, extensions in use (X-46).

Nothing that owns or holds data is dropped here. A database is never dropped; a role goes only when all it has is
privileges; an extension that something needs stays. What stays is reported, with SQL on which an operator decides.
"""

from collections.abc import Collection, Iterator

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from db import role_changes
from db.change import Change, grantee
from db.found import Cluster, Connect, Contents
from db.spec import MAINTENANCE_DATABASE, ClusterSpec, Migrated, Role, product_roles
from environment import scratch
from environment.names import SUPERUSER
from environment.products import Product

OF_THE_CLUSTER = frozenset({MAINTENANCE_DATABASE, "template0", "template1"})

_OWNED = b"""
select pg_describe_object(classid, objid, objsubid)
from pg_shdepend
where refclassid = 'pg_authid'::regclass and refobjid = (select oid from pg_roles where rolname = %s)
  and dbid in (0, (select oid from pg_database where datname = current_database()))
  and deptype = 'o' and classid <> 'pg_default_acl'::regclass
order by 1
"""


def databases(cluster: Cluster, spec: ClusterSpec) -> Iterator[Change]:
    """Close the logins of parked products, and tell of every database that is no product of the stack."""
    catalogue = {product.name: product for product in spec.unlisted}
    ours = {product.name for product in spec.products}
    for name in sorted(cluster.databases.keys() - OF_THE_CLUSTER - ours):
        if spec.copies and scratch.belongs(name, ours | catalogue.keys()):
            continue
        if name in catalogue:
            yield from _close(catalogue[name], cluster)
            what = f"database {name} is parked: it belongs to no product of this stack; put it back, or "
            yield Change(f"{what}./keel db retire {name}", told=True)
        else:
            what = f"database {name} belongs to no product of this checkout; move what is worth keeping, then drop it"
            yield Change(what, SQL("DROP DATABASE {}").format(Identifier(name)), told=True)


def roles(look: Connect, cluster: Cluster, declared: list[Role], spec: ClusterSpec) -> Iterator[Change]:
    """Drop every undeclared role; report those that own something."""
    kept = kept_roles(cluster, declared, spec)
    known = OF_THE_CLUSTER | {product.name for product in (*spec.products, *spec.unlisted)}
    for name, found in sorted(cluster.roles.items()):
        if name in kept or name.startswith("pg_"):
            continue
        if found.superuser:
            statement = SQL("ALTER ROLE {} NOSUPERUSER").format(Identifier(name))
            yield Change(f"role {name} is an undeclared superuser: it stays", statement, told=True)
        else:
            yield from drop_role(look, cluster, name, known)


def kept_roles(cluster: Cluster, declared: list[Role], spec: ClusterSpec) -> set[str]:
    """The roles that stay."""
    kept = {role.name for role in declared} | {SUPERUSER, *spec.kept_roles, *spec.maintenance_logins}
    return kept | {role.name for product in parked(cluster, spec) for role in product_roles(product, Migrated.NEVER)}


def drop_role(look: Connect, cluster: Cluster, name: str, known: Collection[str]) -> Iterator[Change]:
    """Take the role's privileges away, then the role; only tell when it owns something or is not ours to judge.

    `look` names what it owns; `known`: databases whose privileges may be taken away.
    """
    held = {holding for holding in cluster.holdings if holding.role == name}
    owning = sorted({holding.database for holding in held if holding.owns})
    strange = sorted({holding.database for holding in held if holding.database} - set(known))
    identifier = Identifier(name)
    for database in owning:
        try:
            with look(database or MAINTENANCE_DATABASE) as connection:
                objects = [row[0] for row in connection.execute(_OWNED, [name]).fetchall()]
        except psycopg.OperationalError:  # kept aside by a restore it takes no connections, or it admits only its own
            objects = [f"objects in the closed database {database or MAINTENANCE_DATABASE}"]
        heir = f"{database}_owner" if f"{database}_owner" in cluster.roles else SUPERUSER
        yield Change(
            f"role {name} is not declared and owns {_listed(objects)}: it stays",
            SQL("REASSIGN OWNED BY {} TO {}").format(identifier, Identifier(heir)),
            database or MAINTENANCE_DATABASE,
            told=True,
        )
    if not owning and strange:
        where = _listed([f"database {database}" for database in strange])
        yield Change(
            f"role {name} is not declared and has privileges in {where}, which belongs to no product: it stays",
            SQL("DROP OWNED BY {}").format(identifier),
            strange[0],
            told=True,
        )
    if owning or strange:
        return
    for database in sorted({holding.database or MAINTENANCE_DATABASE for holding in held}):
        yield Change(
            f"take away the privileges of role {name} in {database}",
            _drop_owned(name),
            database,
            removes=True,
            shown=SQL("DROP OWNED BY {}").format(identifier),
        )
    # A session outlives its role, and could still make things that belong to nobody.
    end = SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}; ").format(Literal(name))
    drop = SQL("DROP ROLE {}").format(identifier)
    yield Change(f"drop role {name}", end + drop, removes=True, shown=drop)


def settings(cluster: Cluster, declared: list[Role], spec: ClusterSpec) -> Iterator[Change]:
    """Reset what was set for all roles, for a role in one database, and for what is the cluster's own.

    Settings of declared roles, of products' databases and of their clients there are compared by `db.role_changes`.
    """
    ours = {SUPERUSER, *(role.name for role in declared)}
    others = {*spec.kept_roles, *spec.maintenance_logins}
    products = {product.name for product in spec.products}
    pooled = {(product.name, role) for product in spec.products for role in product.pooled_roles}
    for (database, role), found in sorted(cluster.settings.items()):
        compared = (not database and role in ours) or (not role and database in products) or (database, role) in pooled
        if compared or role not in ours | others | {""} or database not in products | OF_THE_CLUSTER | {""}:
            continue
        who: Composable = SQL("ROLE {}").format(Identifier(role)) if role else SQL("ROLE ALL")
        words = f"role {role}" if role else "all roles"
        if database and role:
            who = SQL("{} IN DATABASE {}").format(who, Identifier(database))
            words += f" in database {database}"
        elif database:
            who, words = SQL("DATABASE {}").format(Identifier(database)), f"database {database}"
        for setting in sorted(found):
            statement = role_changes.reset(SQL("ALTER {} ").format(who), setting, {})
            yield Change(f"reset {setting} for {words}", statement, removes=True)


def parameters(cluster: Cluster) -> Iterator[Change]:
    """Take back every right on a parameter: no role of Keel's has one."""
    for parameter, role, right in sorted(cluster.parameters):
        statement = SQL("REVOKE {} ON PARAMETER {} FROM {}").format(SQL(right), Identifier(parameter), grantee(role))
        yield Change(f"revoke {right} on parameter {parameter} from {role}", statement, removes=True)


def objects(product: Product, found: Contents, kept: Collection[str]) -> Iterator[Change]:
    """Tell of objects of kinds that no migration makes; someone may need them, or what they hold. What a role that is not ``kept``
    gives away in future goes with it."""
    givers = tuple(f"for role {written} " for name in kept for written in (name, _quoted(name)))
    for kind, name, drop in sorted(found.strays):
        if kind == "default acl" and not name.startswith(givers):
            continue
        # The server wrote it, quoted where it must be.
        yield Change(f"{kind} {name} in {product.name} is not declared: it stays", SQL(drop), product.name, told=True)


def extensions(product: Product, found: Contents) -> Iterator[Change]:
    """Drop extensions that the product does not declare; tell of those that something needs."""
    for extension in sorted(found.extensions - set(product.extensions) - {"plpgsql"}):
        statement = SQL("DROP EXTENSION {}").format(Identifier(extension))
        needing = found.needing.get(extension, ())
        if needing:
            what = (
                f"extension {extension} in {product.name} is not declared, but needed by {_listed(needing)}: it stays"
            )
            yield Change(what, statement, product.name, told=True)
        else:
            yield Change(f"drop extension {extension} from {product.name}", statement, product.name, removes=True)


def parked(cluster: Cluster, spec: ClusterSpec) -> list[Product]:
    """Products of this checkout that the stack does not list and whose database is there."""
    return [product for product in spec.unlisted if product.name in cluster.databases]


def _close(product: Product, cluster: Cluster) -> Iterator[Change]:
    """No program of a parked product logs in; what logs in now is ended. Nothing else of it is touched."""
    for role in product.login_roles:
        if role in cluster.roles and cluster.roles[role].login:
            close = SQL("ALTER ROLE {} NOLOGIN").format(Identifier(role))
            end = SQL("; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}")
            yield Change(f"close the login of role {role}", close + end.format(Literal(role)), shown=close)


def _drop_owned(role: str) -> Composed:
    """DROP OWNED would also drop what the role came to own since the plan was made: then it is an error."""
    body = SQL(
        " begin if exists (select from pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = {}::regrole"
        " and deptype = 'o' and classid <> 'pg_default_acl'::regclass)"
        " then raise exception 'role % owns something by now: plan again', {}; end if; drop owned by {}; end "
    ).format(Literal(_quoted(role)), Literal(role), Identifier(role))
    return SQL("DO {}").format(Literal(body.as_string()))


def _quoted(role: str) -> str:
    return Identifier(role).as_string()


def _listed(names: Collection[str], most: int = 5) -> str:
    """The first few of them in words."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
