"""Converge roles, databases, extensions and grants of a cluster (PLAT-05 … PLAT-10, PLAT-28).

`plan` reads the catalogue and lists what differs from the declaration; drift is that same list. `apply`
executes it. A second plan is empty, and nothing is executed that is not on the list.
"""

from collections.abc import Iterable, Iterator

import psycopg
from psycopg import sql

from db import definer, lookup, passwords, role_changes, undeclared
from db.change import Change, ProvisionError, grantee, privileges
from db.found import (
    FRESH_DATABASE,
    Cluster,
    Connect,
    Contents,
    NotAdmitted,
    looking,
    read_backup_calls,
    read_cluster,
    read_contents,
    read_open_public,
)
from db.spec import (
    ADVISORY_LOCKS,
    BACKUP_CALLS,
    LARGE_OBJECTS,
    MADE_ELSEWHERE,
    MAINTENANCE_DATABASE,
    OF_THE_SUPERUSER,
    PUBLIC,
    UNLIMITED,
    Bounds,
    ClusterSpec,
    Grant,
    Migrated,
    Role,
    cluster_roles,
    database_grants,
    maintenance_grants,
    product_grants,
    product_roles,
    schemas,
)
from environment.errors import UNCHANGED
from environment.names import BACKUP, LOOK, SUPERUSER
from environment.products import Product

STATISTICS = "pg_stat_statements"

CLOSE_STATISTICS = """
REVOKE ALL ON public.pg_stat_statements, public.pg_stat_statements_info FROM {others};
REVOKE ALL ON FUNCTION public.pg_stat_statements(boolean), public.pg_stat_statements_info() FROM {others};
GRANT SELECT ON public.pg_stat_statements, public.pg_stat_statements_info TO pg_monitor;
GRANT EXECUTE ON FUNCTION public.pg_stat_statements(boolean), public.pg_stat_statements_info() TO pg_monitor;
GRANT SELECT ON public.pg_stat_statements, public.pg_stat_statements_info TO {owner}
"""
"""All tenants share the application's role, and a role sees its own statements there, literals of DO blocks included.

The owner keeps a right on the view, though not to its function: with none at all, its GRANT … ON ALL TABLES would fail.
"""

UNLOGGED = """
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL pg_stat_statements.track_utility = off
"""
"""For one transaction: neither the log nor the statistics of statements keep its text, also where it fails (W7)."""

OF_DATABASES = {"TimeZone": "UTC"}
"""Settings of every product's database. X-05: columns without time zone agree with those that have one only when every session
is in UTC."""

MUST_PRELOAD = frozenset({STATISTICS})
"""Extensions that install without shared_preload_libraries and fail at first use (Q-08)."""


def converge(connect: Connect, look: Connect, spec: ClusterSpec, *, prune: bool) -> tuple[list[Change], list[Change]]:
    """Execute the plan: what was executed, and what was left. Raises ProvisionError.

    Where a database did not admit `look` yet, as one from before there was such a login, it is planned again.
    """
    changes, blind = _plan(connect, look, spec)
    done = apply(connect, changes, prune=prune)
    if blind and done:
        changes = [*done, *_plan(connect, look, spec)[0]]
        done += apply(connect, changes[len(done) :], prune=prune)
    return done, [change for change in changes if change not in done]


def plan(connect: Connect, look: Connect, spec: ClusterSpec) -> list[Change]:
    """List the changes that lead from what the cluster holds to `spec`; changes nothing.

    `connect` is a superuser's, for what all databases share; `look` sees the rest.
    Raises ProvisionError, with every reason at once, when the cluster cannot become what `spec` declares.
    """
    return _plan(connect, look, spec)[0]


def _plan(connect: Connect, look: Connect, spec: ClusterSpec) -> tuple[list[Change], bool]:
    """The changes, and whether a database could not be looked into."""
    with connect(MAINTENANCE_DATABASE) as connection:
        cluster = read_cluster(connection)
        kept = passwords.read(connection)
        function_changes = [
            *definer.schema(connection),
            *passwords.table(kept),
            *passwords.FUNCTION.plan(connection),
            *lookup.function(spec.products).plan(connection),
        ]
        backup_calls = read_backup_calls(connection)
    roles = declared_roles(spec, cluster.version)
    _check(cluster, spec, roles)
    of_roles = list(_roles(roles, cluster, spec))
    verifiers = _verifiers(cluster, spec)
    given = verifiers.keys() & {change.secret for change in of_roles}
    changes = [*passwords.forget(kept, given), *of_roles, *undeclared.databases(cluster, spec)]
    for product in spec.products:
        changes += _database(product, cluster, spec)
    changes += privileges(
        _of_database(cluster, MAINTENANCE_DATABASE), maintenance_grants(spec), MAINTENANCE_DATABASE, ""
    )
    changes += privileges(_of_database(cluster, "template1"), set(), MAINTENANCE_DATABASE, "")
    for name in (MAINTENANCE_DATABASE, "template1"):
        with connect(name) as connection:
            changes += privileges(read_open_public(connection), set(), name, "")
    changes += function_changes
    changes += passwords.remember(kept, verifiers, given)
    changes += _backup_calls(BACKUP_CALLS, backup_calls, MAINTENANCE_DATABASE)
    blind = False
    staying = undeclared.kept_roles(cluster, roles, spec)
    for product in spec.products:
        name = product.name
        changes += privileges(_of_database(cluster, name), database_grants(product), MAINTENANCE_DATABASE, "")
        inside = Contents()
        if name in cluster.databases:
            try:
                with looking(look, cluster, name) as connection:
                    inside = read_contents(connection)
            except NotAdmitted:
                blind = True
                continue
        changes += contents(product, inside, development=spec.development)
        changes += undeclared.objects(product, inside, staying)
    changes += undeclared.settings(cluster, roles, spec)
    changes += undeclared.parameters(cluster)
    changes += undeclared.roles(look, cluster, roles, spec)
    return changes, blind


def apply(connect: Connect, changes: Iterable[Change], *, prune: bool = False) -> list[Change]:
    """Execute the changes in order and return those that were executed.

    What takes away something undeclared is left alone unless `prune`, what is only reported always. Each change is a transaction of its own
    (CREATE DATABASE allows no other way); after an error the earlier ones stay, and planning again goes on
    there. Raises ProvisionError.
    """
    wanted = [change for change in changes if not change.told and (prune or not change.removes)]
    sessions: dict[str, psycopg.Connection[object]] = {}
    try:
        for number, change in enumerate(wanted):
            try:
                if change.database not in sessions:
                    sessions[change.database] = connect(change.database)
                    sessions[change.database].autocommit = True
                _execute(sessions[change.database], change)
            except psycopg.Error as error:
                raise ProvisionError(
                    f"could not {change.what} (database {change.database}): {error}",
                    f"{number} changes before it are done, {len(wanted) - number - 1} after it are not",
                    "Repair the cause and run again: it goes on there",
                ) from error
    finally:
        for session in sessions.values():
            session.close()
    return wanted


def _execute(session: psycopg.Connection[object], change: Change) -> None:
    if not change.secret:
        session.execute(change.sql)
        return
    with session.transaction():
        session.execute(UNLOGGED)
        session.execute(change.sql)


def admit(connect: Connect, product: Product) -> list[Change]:
    """Let the product's programs log in; call it when the database has reached head (PLAT-28). Idempotent."""
    with connect(MAINTENANCE_DATABASE) as connection:
        found = read_cluster(connection).roles
    if missing := [role for role in product.client_roles if role not in found]:
        raise ProvisionError(f"role {missing[0]} does not exist", advice=f"Provision {product.name} first")
    return apply(
        connect,
        [
            Change(f"admit role {role}", sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
            for role in product.client_roles
            if not found[role].login
        ],
    )


def declared_roles(spec: ClusterSpec, version: int) -> list[Role]:
    """All roles of the cluster, those that others are members of first."""
    roles = [*cluster_roles(version)]
    for product in spec.products:
        migrated = spec.migrated.get(product.name, Migrated.NEVER)
        roles += product_roles(product, migrated, spec.bounds_of(product.name))
    return roles


def _verifiers(cluster: Cluster, spec: ClusterSpec) -> dict[str, str | None]:
    """Login of a product → its verifier, as far as it is there."""
    logins = (login for product in spec.products for login in product.login_roles)
    return {login: cluster.roles[login].verifier if login in cluster.roles else None for login in logins}


def _check(cluster: Cluster, spec: ClusterSpec, roles: list[Role]) -> None:
    """Find every reason why `spec` cannot be reached (PLAT-02, PLAT-08)."""
    problems = [f"no password is given for role {r.name}" for r in roles if r.password and r.name not in spec.passwords]
    if cluster.replica:
        problems.append("the server is a replica; connect to the primary")
    for product in spec.products:
        for extension in product.extensions:
            if extension not in cluster.available:
                problems.append(
                    f"{product.name}: the server has no extension {extension}: name the package that brings it under `packages` "
                    f"in db/{product.name}/product.yaml, or correct the name there"
                )
            elif extension in MUST_PRELOAD - cluster.preloaded:
                problems.append(f"{product.name}: {extension} is not in shared_preload_libraries")
        found = cluster.databases.get(product.name)
        wanted = ("UTF8", "c", spec.locale, spec.locale)
        if found and (found.encoding, found.provider, found.collate, found.ctype) != wanted:
            problems.append(
                f"database {product.name} was created with encoding {found.encoding}, locale provider "
                f"{found.provider}, collate {found.collate}, ctype {found.ctype}; "
                f"declared: {', '.join(wanted)}. "
                "That cannot be altered: dump it and restore it into a new one"
            )
    if problems:
        raise ProvisionError(
            "the cluster cannot be provisioned:\n" + "\n".join(f"- {problem}" for problem in problems), UNCHANGED
        )


def _roles(roles: list[Role], cluster: Cluster, spec: ClusterSpec) -> Iterator[Change]:
    for role in roles:
        found = cluster.roles.get(role.name)
        yield from role_changes.attributes(role, found)
        yield from role_changes.password(role, found, spec.passwords)
        yield from role_changes.settings(
            "ROLE", role.name, dict(role.settings), cluster.settings.get(("", role.name), {})
        )
    found_settings = cluster.settings.get(("", SUPERUSER), {})
    yield from role_changes.settings("ROLE", SUPERUSER, dict(OF_THE_SUPERUSER), found_settings)
    made_elsewhere = [role for role in MADE_ELSEWHERE if role.name in cluster.roles]
    for role in made_elsewhere:
        yield from role_changes.attributes(role, cluster.roles[role.name])
    yield from role_changes.memberships([*roles, *made_elsewhere], cluster)


def _database(product: Product, cluster: Cluster, spec: ClusterSpec) -> Iterator[Change]:
    name, owner = sql.Identifier(product.name), sql.Identifier(product.owner_role)
    found, locale = cluster.databases.get(product.name), spec.locale
    if found is None:
        what = f"create database {product.name}, UTF8, {locale}"
        yield Change(what, created(product.name, product.owner_role, locale))
    elif found.owner != product.owner_role:
        statement = sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner)
        yield Change(f"give database {product.name} to {product.owner_role}", statement)
    if found and not found.open:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name)
        yield Change(f"let database {product.name} take connections", statement)
    connections = spec.bounds_of(product.name).database
    if connections != (found.connections if found else UNLIMITED):
        statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.SQL(str(connections)))
        yield Change(f"limit database {product.name} to {connections} connections", statement)
    if found and (not found.open or found.template):
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true IS_TEMPLATE false").format(name)
        yield Change(f"let database {product.name} take connections and be no template", statement)
    found_settings = cluster.settings.get((product.name, ""), {})
    yield from role_changes.settings(
        "DATABASE", product.name, of_database(spec.bounds_of(product.name)), found_settings
    )
    startup = dict(spec.bounds_of(product.name).startup)
    for role in product.pooled_roles:
        found_settings = cluster.settings.get((product.name, role), {})
        yield from role_changes.settings("ROLE", role, startup, found_settings, database=product.name)


def of_database(bounds: Bounds) -> dict[str, str]:
    """Settings of a product's database."""
    return {**OF_DATABASES, **dict(bounds.of_database)}


def created(name: str, owner: str, locale: str) -> sql.Composed:
    """The statement that makes an empty database."""
    statement = (
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE {} LC_CTYPE {}"
    )
    return sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(owner), *[sql.Literal(locale)] * 2)


def contents(product: Product, found: Contents, *, development: bool) -> Iterator[Change]:
    """Extensions, schemas, owners and rights within a product's database that holds what was ``found``."""
    for extension in sorted(set(product.extensions) - found.extensions):
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public").format(sql.Identifier(extension))
        yield Change(f"create extension {extension} in {product.name}", statement, product.name)
    if STATISTICS in product.extensions and (found.open_statistics or STATISTICS not in found.extensions):
        what = f"close {STATISTICS} of {product.name} to everybody but pg_monitor"
        others = sql.SQL(", ").join(grantee(name) for name in sorted(found.open_statistics | {PUBLIC}))
        statement = sql.SQL(CLOSE_STATISTICS).format(owner=sql.Identifier(product.owner_role), others=others)
        yield Change(what, statement, product.name)
    yield from _backup_calls(frozenset(), found.backup_calls, product.name)
    yield from _closed(product, found)
    if found.hides_revision:
        statement = sql.SQL("GRANT SELECT ON TABLE alembic.alembic_version TO {}").format(sql.Identifier(LOOK))
        yield Change(f"let {LOOK} read the version table of {product.name}", statement, product.name)
    yield from undeclared.extensions(product, found)
    for schema, owner in schemas(product).items():
        names = sql.Identifier(schema), sql.Identifier(owner)
        if schema not in found.schemas:
            statement = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(*names)
            yield Change(f"create schema {schema} in {product.name}", statement, product.name)
        elif found.schemas[schema] != owner:
            statement = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(*names)
            yield Change(f"give schema {schema} in {product.name} to {owner}", statement, product.name)
    yield from _relations(product, found)
    declared = product_grants(product, development=development)
    yield from privileges(found.grants, declared, product.name, product.owner_role)


def _relations(product: Product, found: Contents) -> Iterator[Change]:
    """Give tables, views and sequences to the product's owner, with whose rights views, rules and index expressions then run.

    So what a program made, where it may create (BAC-11), stays the program's, or it would get those rights.
    """
    programs = {*product.client_roles, product.readonly_role}
    for (schema, name), owner in sorted(found.relations.items()):
        if owner == product.owner_role:
            continue
        statement = sql.SQL("ALTER TABLE {} OWNER TO {}").format(
            sql.Identifier(schema, name), sql.Identifier(product.owner_role)
        )
        if owner in programs and name not in product.tables:
            what = f"{schema}.{name} in {product.name} is {owner}'s: it stays, because what it defines would run as its new owner"
            yield Change(what, statement, product.name, told=True)
        else:
            what = f"give {schema}.{name} in {product.name} from {owner} to {product.owner_role}"
            yield Change(what, statement, product.name)


def _closed(product: Product, found: Contents) -> Iterator[Change]:
    """What PostgreSQL lets everybody do, and no program of a product needs; what an extension lets no one do. The migrator takes
    locks."""
    for function, role in sorted(found.opened):
        statement = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM {} CASCADE").format(sql.SQL(function), grantee(role))
        yield Change(f"no longer let {role} call {function} in {product.name}", statement, product.name)
    for what, functions, may in (
        ("make large objects", LARGE_OBJECTS, ""),
        ("take advisory locks", ADVISORY_LOCKS, product.migrator_role),
    ):
        names = sql.SQL(", ").join(sql.SQL(f"pg_catalog.{each}") for each in functions)
        if {(each, PUBLIC) for each in functions} & found.callers:
            statement = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(names)
            yield Change(f"no longer let everybody {what} in {product.name}", statement, product.name)
        if may and not {(each, may) for each in functions} <= found.callers:
            statement = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(names, sql.Identifier(may))
            yield Change(f"let {may} {what} in {product.name}", statement, product.name)


def _backup_calls(declared: frozenset[str], found: frozenset[str], database: str) -> Iterator[Change]:
    """Which of the server's own functions the backup role may call in a database."""
    for verb, function in [
        *(("GRANT EXECUTE ON FUNCTION pg_catalog.{} TO {}", each) for each in sorted(declared - found)),
        *(("REVOKE EXECUTE ON FUNCTION pg_catalog.{} FROM {}", each) for each in sorted(found - declared)),
    ]:
        statement = sql.SQL(verb).format(sql.SQL(function), sql.Identifier(BACKUP))
        yield Change(
            f"{'let' if function in declared else 'no longer let'} {BACKUP} call {function} in {database}",
            statement,
            database,
        )


def _of_database(cluster: Cluster, name: str) -> frozenset[Grant]:
    if name not in cluster.databases:
        return frozenset(Grant("DATABASE", name, role, right) for right, role in FRESH_DATABASE)
    return frozenset(grant for grant in cluster.grants if grant.object == name)
