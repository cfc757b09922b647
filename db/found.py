"""What a cluster holds now, read from its catalogue in the shape of `db.spec`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg

from db.spec import ADVISORY_LOCKS, LARGE_OBJECTS, PUBLIC, Grant
from environment.errors import KeelError
from environment.names import BACKUP, LOOK

Connect = Callable[[str], "psycopg.Connection[Any]"]
"""Opens a session in the named database, on the primary and not through the pooler: as superuser, or as the login that can
only look (`db.sessions`)."""


@dataclass(frozen=True)
class FoundRole:
    """A role's attributes; `verifier` is pg_authid's, kept out of every message."""

    login: bool
    superuser: bool
    createdb: bool
    createrole: bool
    replication: bool
    bypassrls: bool
    inherit: bool
    connections: int
    expires: str | None
    """VALID UNTIL; None where its password holds for ever."""
    verifier: str | None = field(repr=False)


@dataclass(frozen=True)
class Membership:
    """A row of pg_auth_members; `inherit` and `set` are the role's own attribute before PostgreSQL 16."""

    member: str
    role: str
    inherit: bool
    set: bool
    admin: bool


@dataclass(frozen=True)
class FoundDatabase:
    """A database as pg_database has it."""

    owner: str
    encoding: str
    provider: str
    collate: str
    ctype: str
    connections: int
    open: bool
    """It takes connections: its owner may close it, or limit them, for everybody but a superuser even to none."""
    template: bool
    """Whoever may create databases may copy it, rows and all."""


class Holding(NamedTuple):
    """That a role has something in a database."""

    role: str
    database: str
    """Empty for what all databases share: a database itself, a membership it granted."""
    owns: bool
    """False: only privileges, on objects of others or on its own future ones."""


@dataclass(frozen=True)
class Cluster:
    """Catalogues that all databases share."""

    version: int
    replica: bool
    preloaded: frozenset[str]
    available: frozenset[str]
    roles: dict[str, FoundRole]
    memberships: frozenset[Membership]
    settings: dict[tuple[str, str], dict[str, str]]
    """By database and role; an empty name means all of them."""
    databases: dict[str, FoundDatabase]
    grants: frozenset[Grant]
    holdings: frozenset[Holding]
    parameters: frozenset[tuple[str, str, str]] = frozenset()
    """(parameter, role, SET or ALTER SYSTEM): who may set what only a superuser may."""

    def admits_look(self, database: str) -> bool:
        """Whether the login that looks into databases exists and may connect to this one."""
        role, found = self.roles.get(LOOK), self.databases[database]
        return (
            role is not None
            and role.login
            and found.open
            and Grant("DATABASE", database, LOOK, "CONNECT") in self.grants
        )


@dataclass(frozen=True)
class Contents:
    """What one database has of its own. The defaults are those of a copy of template0 (PostgreSQL ≥ 15)."""

    extensions: frozenset[str] = frozenset({"plpgsql"})
    schemas: dict[str, str] = field(default_factory=lambda: {"public": "pg_database_owner"})
    relations: dict[tuple[str, str], str] = field(default_factory=dict)
    """Owners of tables, views and sequences by schema and name, without those of extensions."""
    grants: frozenset[Grant] = frozenset({Grant("SCHEMA", "public", PUBLIC, "USAGE")})
    needing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Extension → objects that are not its own and would go with it."""
    backup_calls: frozenset[str] = frozenset()
    """The server's own functions that the backup role was given."""
    open_statistics: frozenset[str] = frozenset()
    """Who may read pg_stat_statements next to its owner, pg_monitor and the database's owner: as it comes, PUBLIC."""
    opened: frozenset[tuple[str, str]] = frozenset()
    """Functions that an extension gives to no one, and who may call them all the same."""
    callers: frozenset[tuple[str, str]] = frozenset((each, PUBLIC) for each in (*LARGE_OBJECTS, *ADVISORY_LOCKS))
    """Who may call which of the server's functions that make large objects and take advisory locks."""
    strays: frozenset[tuple[str, str, str]] = frozenset()
    """Kind, name and what would drop it, of what no migration of a product makes: views, types, schemas, rules, publications and the like."""
    hides_revision: bool = False
    """The login that looks may not read the version table, which is older than it."""


FRESH_DATABASE = (("CONNECT", PUBLIC), ("TEMPORARY", PUBLIC))
"""What everybody may do in a new database."""


_SERVER = b"""
select current_setting('server_version_num')::int / 10000 as version, pg_is_in_recovery() as replica,
       string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ',') as preloaded,
       (select array_agg(name::text) from pg_available_extensions) as available
"""
_ROLES = b"""
select rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit,
       rolconnlimit, nullif(rolvaliduntil, 'infinity')::text, rolpassword
from pg_authid
"""
_MEMBERSHIPS = b"""
select r.rolname, g.rolname, m.inherit_option, m.set_option, m.admin_option
from pg_auth_members m join pg_roles r on r.oid = m.member join pg_roles g on g.oid = m.roleid
"""
_MEMBERSHIPS_BEFORE_16 = b"""
select r.rolname, g.rolname, r.rolinherit, true, m.admin_option
from pg_auth_members m join pg_roles r on r.oid = m.member join pg_roles g on g.oid = m.roleid
"""
_SETTINGS = b"""
select coalesce(d.datname, ''), coalesce(r.rolname, ''), s.setconfig
from pg_db_role_setting s
left join pg_database d on d.oid = setdatabase left join pg_roles r on r.oid = setrole
"""
_DATABASES = b"""
select datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype,
       datconnlimit, datallowconn, datistemplate
from pg_database
"""
_DATABASE_GRANTS = b"""
select datname, coalesce(r.rolname, 'PUBLIC'), a.privilege_type
from pg_database d, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
left join pg_roles r on r.oid = a.grantee
where a.grantee <> d.datdba
"""
_HOLDINGS = b"""
select distinct r.rolname, coalesce(d.datname, ''), s.deptype = 'o' and s.classid <> 'pg_default_acl'::regclass
from pg_shdepend s join pg_roles r on r.oid = s.refobjid left join pg_database d on d.oid = s.dbid
where s.refclassid = 'pg_authid'::regclass
"""
# Automatic and internal dependents (an array type, an index) go with their object; a normal one is in the way.
_NEEDING = b"""
with recursive own (extension, classid, objid) as (
    select e.extname, 'pg_extension'::regclass::oid, e.oid from pg_extension e where e.extname <> 'plpgsql'
    union
    select own.extension, d.classid, d.objid
    from own join pg_depend d on d.refclassid = own.classid and d.refobjid = own.objid and d.deptype <> 'n'
)
select own.extension, array_agg(distinct pg_describe_object(d.classid, d.objid, d.objsubid))
from own join pg_depend d on d.refclassid = own.classid and d.refobjid = own.objid and d.deptype = 'n'
where (own.extension, d.classid, d.objid) not in (select * from own)
group by 1
"""
_OPEN_STATISTICS = b"""
select distinct coalesce(r.rolname, 'PUBLIC') from pg_depend d
join pg_extension e on e.oid = d.refobjid and e.extname = 'pg_stat_statements'
left join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid
left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
cross join lateral aclexplode(coalesce(c.relacl, p.proacl, acldefault(case when p.oid is null then 'r' else 'f' end::"char", 10))) a
left join pg_roles r on r.oid = a.grantee
where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and coalesce(c.oid, p.oid) is not null
  and coalesce(p.proname, '') <> 'pg_stat_statements_reset'
  and a.grantee not in (10, coalesce(c.relowner, p.proowner), 'pg_monitor'::regrole,
                        (select datdba from pg_database where datname = current_database()))
"""
# pg_stat_statements_reset, of those that products use.
_OPENED = b"""
select p.oid::regprocedure::text, coalesce(r.rolname, 'PUBLIC')
from pg_init_privs i join pg_proc p on i.classoid = 'pg_proc'::regclass and p.oid = i.objoid
cross join lateral aclexplode(p.proacl) a left join pg_roles r on r.oid = a.grantee
where i.privtype = 'e' and a.grantee <> p.proowner
  and not exists (select from aclexplode(i.initprivs) b where b.grantee = a.grantee and b.privilege_type = a.privilege_type)
"""
_CALLERS = b"""
select p.oid::regprocedure::text, coalesce(r.rolname, 'PUBLIC')
from pg_proc p
cross join lateral aclexplode(coalesce(proacl, acldefault('f', proowner))) a left join pg_roles r on r.oid = a.grantee
where pronamespace = 'pg_catalog'::regnamespace
  and (proname in ('lo_creat', 'lo_create', 'lo_from_bytea') or proname ~ '^pg_(try_)?advisory_(xact_)?lock')
"""
_BACKUP_CALLS = b"""
select p.oid::regprocedure::text from pg_proc p, aclexplode(proacl) a join pg_roles r on r.oid = a.grantee
where p.pronamespace = 'pg_catalog'::regnamespace and r.rolname = %s
"""
_PARAMETERS = b"""
select parname, coalesce(r.rolname, 'PUBLIC'), a.privilege_type
from pg_parameter_acl, aclexplode(paracl) a left join pg_roles r on r.oid = a.grantee where a.grantee <> 10
"""
_SCHEMAS = b"""
select nspname, pg_get_userbyid(nspowner) from pg_namespace where nspname !~ '^(pg_|information_schema$)'
"""
_RELATIONS = b"""
select nspname, relname, pg_get_userbyid(relowner)
from pg_class c join pg_namespace n on n.oid = relnamespace
where nspname in ('public', 'alembic') and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  and not exists (select from pg_depend d  -- an extension's, or a column's own sequence
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('e', 'a', 'i'))
"""
_SCHEMA_GRANTS = b"""
select 'SCHEMA', nspname, coalesce(r.rolname, 'PUBLIC'), a.privilege_type, ''
from pg_namespace n, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a
left join pg_roles r on r.oid = a.grantee
where nspname !~ '^(pg_|information_schema$)' and a.grantee <> n.nspowner
union all
select 'SCHEMA', coalesce(nspname, ''), coalesce(r.rolname, 'PUBLIC'), a.privilege_type,
       case defaclobjtype when 'r' then 'TABLES' when 'S' then 'SEQUENCES' when 'f' then 'FUNCTIONS'
                          when 'T' then 'TYPES' else 'SCHEMAS' end
from pg_default_acl left join pg_namespace n on n.oid = defaclnamespace, aclexplode(defaclacl) a
left join pg_roles r on r.oid = a.grantee
where a.grantee <> defaclrole
  and defaclrole = (select datdba from pg_database where datname = current_database())
"""


# Everything with an identifier of its own that is not initdb's, an extension's, or part of something listed. Tables in public, their
# columns, constraints and indexes are compared with the models; functions, triggers and policies with the product's files.
_STRAYS = b"""
select i.type, i.identity, case i.type when 'default acl' then (
    select format('ALTER DEFAULT PRIVILEGES %s REVOKE ALL ON %s FROM %s', split_part(i.identity, ' on ', 1),
                  split_part(i.identity, ' on ', 2), string_agg(distinct coalesce(quote_ident(rolname), 'PUBLIC'), ', '))
    from pg_default_acl a, aclexplode(defaclacl) left join pg_roles r on r.oid = grantee where a.oid = o.oid and grantee <> defaclrole)
  else format('DROP %s %s', upper(replace(i.type, '-', ' ')), i.identity) end
from (
    select 'pg_namespace'::regclass::oid as catalogue, oid from pg_namespace where nspname not in ('auth', 'alembic') and nspname !~ '^pg_'
    union all
    select 'pg_class'::regclass, c.oid from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname !~ '^pg_' and (relkind in ('v', 'm', 'f') or relkind in ('r', 'p') and nspname not in ('public', 'alembic')
          or relkind = 'S' and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid
                                           and deptype in ('a', 'i')))
    union all
    select 'pg_type'::regclass, t.oid from pg_type t join pg_namespace n on n.oid = typnamespace left join pg_class c on c.oid = typrelid
    where nspname !~ '^pg_' and (typtype in ('d', 'e', 'r') or relkind = 'c' or typtype = 'b' and typelem = 0)
    union all
    select 'pg_proc'::regclass, p.oid from pg_proc p join pg_namespace n on n.oid = pronamespace
    where nspname !~ '^pg_' and (nspname not in ('public', 'auth') or prokind in ('a', 'w'))
    union all select 'pg_collation'::regclass, oid from pg_collation
    union all select 'pg_conversion'::regclass, oid from pg_conversion
    union all select 'pg_operator'::regclass, oid from pg_operator
    union all select 'pg_opclass'::regclass, oid from pg_opclass
    union all select 'pg_cast'::regclass, oid from pg_cast
    union all select 'pg_transform'::regclass, oid from pg_transform
    union all select 'pg_am'::regclass, oid from pg_am
    union all select 'pg_language'::regclass, oid from pg_language
    union all select 'pg_foreign_data_wrapper'::regclass, oid from pg_foreign_data_wrapper
    union all select 'pg_foreign_server'::regclass, oid from pg_foreign_server
    union all select 'pg_publication'::regclass, oid from pg_publication
    union all select 'pg_event_trigger'::regclass, oid from pg_event_trigger
    union all select 'pg_statistic_ext'::regclass, oid from pg_statistic_ext
    union all select 'pg_ts_config'::regclass, oid from pg_ts_config
    union all select 'pg_ts_dict'::regclass, oid from pg_ts_dict
    union all select 'pg_subscription'::regclass, oid from pg_subscription
    where subdbid = (select oid from pg_database where datname = current_database())
    union all select 'pg_default_acl'::regclass, oid from pg_default_acl
    where defaclrole <> (select datdba from pg_database where datname = current_database())
) o, pg_identify_object(catalogue, o.oid, 0) i
where o.oid >= 16384  -- FirstNormalObjectId
  and not exists (select from pg_depend d where d.classid = catalogue and d.objid = o.oid and d.deptype in ('e', 'i'))
"""
_HIDES_REVISION = b"""
select exists (select from pg_class c join pg_namespace n on n.oid = relnamespace
               where nspname = 'alembic' and relname = 'alembic_version' and relkind = 'r'
                 and not has_table_privilege(%s, c.oid, 'SELECT'))
"""


def _rows(connection: "psycopg.Connection[Any]", query: bytes) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def read_cluster(connection: "psycopg.Connection[Any]") -> Cluster:
    """Read the shared catalogues; the connection must be a superuser's (pg_authid)."""
    ((version, replica, preloaded, available),) = _rows(connection, _SERVER)
    return Cluster(
        version=version,
        replica=replica,
        preloaded=frozenset(preloaded),
        available=frozenset(available),
        roles={name: FoundRole(*facts) for name, *facts in _rows(connection, _ROLES)},
        memberships=frozenset(
            Membership(*row) for row in _rows(connection, _MEMBERSHIPS if version >= 16 else _MEMBERSHIPS_BEFORE_16)
        ),
        settings={
            (database, role): dict(pair.split("=", 1) for pair in pairs)
            for database, role, pairs in _rows(connection, _SETTINGS)
        },
        databases={name: FoundDatabase(*facts) for name, *facts in _rows(connection, _DATABASES)},
        grants=frozenset(Grant("DATABASE", *row) for row in _rows(connection, _DATABASE_GRANTS)),
        parameters=frozenset(_rows(connection, _PARAMETERS)),
        holdings=frozenset(Holding(*row) for row in _rows(connection, _HOLDINGS)),
    )


def read_backup_calls(connection: "psycopg.Connection[Any]") -> frozenset[str]:
    """The server's own functions that the backup role was given in the connected database."""
    return frozenset(name for (name,) in connection.execute(_BACKUP_CALLS, [BACKUP]).fetchall())


class NotAdmitted(KeelError):
    """The login that looks does not get into a database yet: which; a change of the plan lets it in."""


@contextmanager
def looking(look: Connect, cluster: Cluster, database: str) -> Iterator["psycopg.Connection[Any]"]:
    """A session that looks into a database. Raises NotAdmitted where its login is not let in, or all connections that the database
    may have are taken."""
    if not cluster.admits_look(database):
        raise NotAdmitted(f"{LOOK} is not let into database {database}")
    try:
        with look(database) as connection:
            yield connection
    except psycopg.OperationalError as error:
        if "too many connections for database" in str(error):
            raise NotAdmitted(f"all connections that database {database} may have are taken") from error
        raise


def read_open_public(connection: "psycopg.Connection[Any]") -> frozenset[Grant]:
    """What everybody may do in the schema `public` of the connected database."""
    found = (Grant(*row) for row in _rows(connection, _SCHEMA_GRANTS))
    return frozenset(grant for grant in found if (grant.object, grant.grantee) == ("public", PUBLIC))


def read_contents(connection: "psycopg.Connection[Any]") -> Contents:
    """Read the catalogues of the connected database; system schemas are left out. Needs no right but to connect."""
    return Contents(
        extensions=frozenset(name for (name,) in _rows(connection, b"select extname from pg_extension")),
        schemas=dict(_rows(connection, _SCHEMAS)),
        relations={(schema, name): owner for schema, name, owner in _rows(connection, _RELATIONS)},
        grants=frozenset(Grant(*row) for row in _rows(connection, _SCHEMA_GRANTS)),
        backup_calls=read_backup_calls(connection),
        open_statistics=frozenset(name for (name,) in _rows(connection, _OPEN_STATISTICS)),
        opened=frozenset((name, role) for name, role in _rows(connection, _OPENED)),
        callers=frozenset((name, role) for name, role in _rows(connection, _CALLERS)),
        strays=frozenset(_rows(connection, _STRAYS)),
        hides_revision=connection.execute(_HIDES_REVISION, [LOOK]).fetchall() == [(True,)],
        needing={extension: tuple(objects) for extension, objects in _rows(connection, _NEEDING)},
    )
