"""Provisioning converges, and its plan is the drift."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from db import provision, role_changes
from db.change import ProvisionError
from db.spec import Migrated, Role
from tests.db.fixtures import only
from tools.scratch_server import Server, spec_of

product = only("jeex_idea")
HEAD = spec_of(migrated=Migrated.HEAD)

# A hand-made change, the database it is made in, and what the plan must say about it.
REPAIRED = [
    (
        "GRANT EXECUTE ON FUNCTION public.pg_stat_statements_reset TO PUBLIC",
        "jeex_idea",
        "no longer let PUBLIC call public.pg_stat_statements_reset(",
    ),
    (
        "GRANT EXECUTE ON FUNCTION public.pg_stat_statements_reset TO jeex_user WITH GRANT OPTION",
        "jeex_idea",
        "no longer let jeex_user call public.pg_stat_statements_reset(",
    ),
    ("ALTER ROLE jeex_user SUPERUSER BYPASSRLS", "postgres", "alter role jeex_user: NOSUPERUSER NOBYPASSRLS"),
    ("ALTER ROLE jeex_idea_owner LOGIN", "postgres", "alter role jeex_idea_owner: NOLOGIN"),
    ("ALTER ROLE jeex_idea_migrator NOBYPASSRLS", "postgres", "alter role jeex_idea_migrator: BYPASSRLS"),
    ("ALTER ROLE jeex_user NOLOGIN", "postgres", "alter role jeex_user: LOGIN"),
    ("ALTER ROLE jeex_user CONNECTION LIMIT 1", "postgres", "alter role jeex_user: CONNECTION LIMIT -1"),
    ("ALTER DATABASE jeex_idea CONNECTION LIMIT 1", "postgres", "limit database jeex_idea to -1 connections"),
    ("ALTER ROLE jeex_user PASSWORD 'guess'", "postgres", "set the password of role jeex_user"),
    (
        "ALTER ROLE jeex_user RESET statement_timeout",
        "postgres",
        "set statement_timeout = 10s for role jeex_user",
    ),
    ("ALTER DATABASE jeex_idea SET timezone = 'Asia/Tokyo'", "postgres", "set TimeZone = UTC for database"),
    (
        "GRANT CONNECT ON DATABASE jeex_idea TO PUBLIC",
        "postgres",
        "revoke CONNECT on database jeex_idea from",
    ),
    ("GRANT CONNECT ON DATABASE postgres TO PUBLIC", "postgres", "revoke CONNECT on database postgres from"),
    (
        "REVOKE CONNECT ON DATABASE jeex_idea FROM jeex_user",
        "postgres",
        "grant CONNECT on database jeex_idea",
    ),
    ("ALTER DATABASE jeex_idea ALLOW_CONNECTIONS false", "postgres", "let database jeex_idea take connections"),
    ("ALTER DATABASE jeex_idea CONNECTION LIMIT 0", "postgres", "limit database jeex_idea to -1 connections"),
    ("ALTER DATABASE jeex_idea OWNER TO postgres", "postgres", "give database jeex_idea to jeex_idea_owner"),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "jeex_idea", "revoke CREATE on schema public from PUBLIC"),
    (
        "REVOKE USAGE ON SCHEMA public FROM jeex_user",
        "jeex_idea",
        "grant USAGE on schema public to jeex_user",
    ),
    ("DROP EXTENSION pg_stat_statements", "jeex_idea", "create extension pg_stat_statements in jeex_idea"),
    (
        "REVOKE EXECUTE ON FUNCTION pg_create_restore_point(text) FROM keel_backup",
        "postgres",
        "let keel_backup call pg_create_restore_point(text) in postgres",
    ),
    ("GRANT SELECT ON pg_stat_statements_info TO jeex_user", "jeex_idea", "close pg_stat_statements of jeex_idea"),
    (
        "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO keel_backup",
        "jeex_idea",
        "no longer let keel_backup call pg_switch_wal() in jeex_idea",
    ),
    ("ALTER SCHEMA auth OWNER TO postgres", "jeex_idea", "give schema auth in jeex_idea to jeex_idea_auth"),
    (
        "ALTER TABLE projects OWNER TO jeex_user",
        "jeex_idea",
        "give public.projects in jeex_idea from jeex_user",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE jeex_idea_owner IN SCHEMA public REVOKE SELECT ON TABLES FROM jeex_user",
        "jeex_idea",
        "grant SELECT on future tables of schema public to jeex_user",
    ),
    pytest.param(
        "GRANT jeex_idea_owner TO jeex_idea_migrator WITH INHERIT TRUE",
        "postgres",
        "make jeex_idea_migrator a member of jeex_idea_owner with inherit false, set true",
        marks=pytest.mark.since(16),
    ),
    ("GRANT pg_monitor TO keel_backup", "postgres", "end the membership of keel_backup in pg_monitor"),
    ("REVOKE pg_monitor FROM keel_monitor", "postgres", "make keel_monitor a member of pg_monitor"),
    ("DROP SCHEMA keel CASCADE", "postgres", "create function keel.user_lookup"),
    (
        "CREATE OR REPLACE FUNCTION keel.user_lookup(wanted text, OUT username text, OUT password text)"
        " RETURNS SETOF record LANGUAGE sql SECURITY DEFINER AS 'select rolname, rolpassword from pg_authid'",
        "postgres",
        "restore function keel.user_lookup",
    ),
    ("DROP TABLE keel.passwords", "postgres", "create the table of the products' passwords"),
    (
        "DELETE FROM keel.passwords WHERE login = 'jeex_user'",
        "postgres",
        "remember the passwords of the products' logins",
    ),
    ("GRANT EXECUTE ON FUNCTION keel.put_back_passwords TO PUBLIC", "postgres", "let only keel_sessions call"),
    ("GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC", "jeex_idea", "no longer let everybody make large objects"),
    (
        "GRANT EXECUTE ON FUNCTION pg_advisory_lock_shared(integer, integer) TO PUBLIC",
        "jeex_idea",
        "no longer let everybody take advisory locks",
    ),
    (
        "REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) FROM jeex_idea_migrator",
        "jeex_idea",
        "let jeex_idea_migrator take advisory locks",
    ),
    ("GRANT USAGE ON SCHEMA public TO PUBLIC", "postgres", "revoke USAGE on schema public from PUBLIC"),
    ("GRANT USAGE ON SCHEMA public TO PUBLIC", "template1", "revoke USAGE on schema public from PUBLIC"),
    ("ALTER FUNCTION keel.user_lookup RESET ALL", "postgres", "restore function keel.user_lookup"),
    ("GRANT EXECUTE ON FUNCTION keel.user_lookup TO PUBLIC", "postgres", "let only keel_pgbouncer call"),
]

# What the model does not declare: reported always, taken away only on request.
REPAIRED += [
    ("ALTER ROLE jeex_user VALID UNTIL '2020-01-01'", "postgres", "alter role jeex_user: VALID UNTIL 'infinity'"),
    ("ALTER ROLE postgres CONNECTION LIMIT 5", "postgres", "alter role postgres: CONNECTION LIMIT -1"),
    ("ALTER DATABASE jeex_idea IS_TEMPLATE true", "postgres", "be no template"),
]
"""Who made a role, and what Keel declares only by not naming it."""

PRUNED = [
    ("GRANT jeex_idea_owner TO jeex_user", "postgres", "end the membership of jeex_user in jeex_idea_owner"),
    (
        "GRANT pg_read_all_data TO jeex_user",
        "postgres",
        "end the membership of jeex_user in pg_read_all_data",
    ),
    ("GRANT jeex_user TO keel_monitor", "postgres", "end the membership of keel_monitor in jeex_user"),
    ("ALTER ROLE jeex_user SET work_mem = '1GB'", "postgres", "reset work_mem for role jeex_user"),
    (
        "GRANT CREATE ON DATABASE jeex_idea TO jeex_user",
        "postgres",
        "revoke CREATE on database jeex_idea from jeex",
    ),
    (
        "GRANT CONNECT ON DATABASE postgres TO jeex_user",
        "postgres",
        "revoke CONNECT on database postgres from jeex",
    ),
    (
        "GRANT CREATE ON SCHEMA public TO jeex_user",
        "jeex_idea",
        "revoke CREATE on schema public from jeex_user",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE jeex_idea_owner IN SCHEMA public GRANT TRUNCATE ON TABLES TO jeex_user",
        "jeex_idea",
        "revoke TRUNCATE on future tables of schema public from jeex_user",
    ),
    ("GRANT EXECUTE ON FUNCTION keel.user_lookup TO keel_monitor", "postgres", "from keel_monitor"),
    ("ALTER DATABASE jeex_idea SET work_mem = '1GB'", "postgres", "reset work_mem for database jeex_idea"),
    (
        "ALTER ROLE jeex_user IN DATABASE jeex_idea SET statement_timeout = 0",
        "postgres",
        "reset statement_timeout for role jeex_user in database jeex_idea",
    ),
    ("ALTER ROLE ALL SET search_path = public", "postgres", "reset search_path for all roles"),
    ("ALTER DATABASE postgres SET work_mem = '1GB'", "postgres", "reset work_mem for database postgres"),
    ("CREATE EXTENSION citext", "jeex_idea", "drop extension citext from jeex_idea"),
    ("CREATE ROLE stray LOGIN", "postgres", "drop role stray"),
    (
        "GRANT SET ON PARAMETER zero_damaged_pages TO jeex_user",
        "postgres",
        "revoke SET on parameter zero_damaged_pages from jeex_user",
    ),
]

# Its own value again, so that nothing works differently; what the server refuses is no change.
EVERY_SETTING = """
    do $$ declare s record; begin
      for s in select name from pg_settings where context in ('user', 'superuser') loop
        begin execute format('alter {whose} set %I from current', s.name); exception when others then null; end;
      end loop;
    end $$
"""

# Made by hand, and the kind and name under which the plan tells of it.
TOLD = [
    ("CREATE VIEW public.stray AS SELECT 1 AS one", "view public.stray"),
    ("CREATE MATERIALIZED VIEW public.stray AS SELECT 1 AS one", "materialized view public.stray"),
    ("CREATE SEQUENCE public.stray", "sequence public.stray"),
    ("CREATE TYPE public.stray AS ENUM ('a')", "type public.stray"),
    ("CREATE DOMAIN public.stray AS integer", "type public.stray"),
    ("CREATE TYPE public.stray AS (a integer)", "type public.stray"),
    ("CREATE SCHEMA stray", "schema stray"),
    ("CREATE TABLE auth.stray (id integer)", "table auth.stray"),
    ('CREATE COLLATION public.stray FROM "C"', "collation public.stray"),
    ("CREATE AGGREGATE public.stray(integer) (sfunc = int4pl, stype = integer)", "aggregate public.stray(integer)"),
    (
        "CREATE OPERATOR public.|+| (FUNCTION = int4pl, LEFTARG = integer, RIGHTARG = integer)",
        "operator public.|+|(integer,integer)",
    ),
    ("CREATE PUBLICATION stray FOR ALL TABLES", "publication stray"),
    ("CREATE FOREIGN DATA WRAPPER stray", "foreign-data wrapper stray"),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE keel_admin IN SCHEMA public GRANT ALL ON TABLES TO jeex_user",
        "default acl for role keel_admin in schema public on tables",
    ),
]


def plan(server: Server) -> list[str]:
    """What the plan says of a cluster that should be at head."""
    return [change.what for change in provision.plan(server.superuser, server.look, HEAD)]


@pytest.mark.usefixtures("at_head")
def test_a_second_plan_is_empty(server: Server) -> None:
    """PLAT-07, PLAT-28: provisioning again changes nothing."""
    assert plan(server) == []


@pytest.mark.usefixtures("at_head")
@pytest.mark.parametrize(("statement", "database", "expected"), REPAIRED)
def test_a_change_by_hand_is_seen_and_repaired(server: Server, statement: str, database: str, expected: str) -> None:
    """PLAT-09, PLAT-10: the plan names it, applying it once is enough."""
    server.execute(statement, database)
    changes = provision.plan(server.superuser, server.look, HEAD)
    assert any(expected in change.what for change in changes), [change.what for change in changes]
    provision.apply(server.superuser, changes)
    assert plan(server) == []


@pytest.mark.usefixtures("at_head")
@pytest.mark.parametrize(("statement", "database", "expected"), PRUNED)
def test_what_is_not_declared_is_reported_and_taken_on_request(
    server: Server, statement: str, database: str, expected: str
) -> None:
    """PLAT-10, X-46: removal converges, but never unasked."""
    server.execute(statement, database)
    changes = provision.plan(server.superuser, server.look, HEAD)
    assert [expected in change.what and change.removes for change in changes] == [True]
    assert provision.apply(server.superuser, changes) == []
    assert plan(server) == [changes[0].what]
    assert provision.apply(server.superuser, changes, prune=True) == changes
    assert plan(server) == []


@pytest.mark.usefixtures("at_head")
@pytest.mark.parametrize("whose", ["ROLE jeex_user", "ROLE jeex_user IN DATABASE jeex_idea", "DATABASE jeex_idea"])
def test_every_setting_that_the_server_lets_be_set_is_taken_back(server: Server, whose: str) -> None:
    """PLAT-09, PLAT-48: by name, whatever kind the server makes of it; what is declared stays. One more settles it."""
    statement = EVERY_SETTING.replace("{whose}", whose)
    server.execute(statement, "postgres")
    changes = provision.plan(server.superuser, server.look, HEAD)
    assert len(changes) > 100
    assert all(whose.split()[1] in change.what for change in changes)
    assert provision.apply(server.superuser, changes, prune=True) == changes
    assert plan(server) == []


@pytest.mark.usefixtures("at_head")
@pytest.mark.parametrize(("statement", "name"), TOLD)
def test_what_no_migration_makes_is_told_with_what_drops_it(server: Server, statement: str, name: str) -> None:
    """PLAT-48, PLAT-29: somebody may need it, so it stays until an operator drops it."""
    server.execute(statement, "jeex_idea")
    told = [change for change in provision.plan(server.superuser, server.look, HEAD) if change.told]
    for change in told:
        server.execute(change.difference.undo, "jeex_idea")
    assert [change.what for change in told] == [f"{name} in jeex_idea is not declared: it stays"]
    assert plan(server) == []


@pytest.mark.usefixtures("at_head")
def test_a_verifier_is_in_no_log_and_in_no_statistics(server: Server) -> None:
    """PLAT-11, W7: neither where the statement succeeds nor where it fails; the plan's sentence does not hold it either."""
    password, statistics = {"planted": SecretStr("planted")}, "SELECT query FROM pg_stat_statements"
    (change,) = role_changes.password(Role("planted", password=True), None, password)
    verifier = change.sql.as_string().split("'")[1]
    with pytest.raises(ProvisionError, match="does not exist"):
        provision.apply(server.superuser, [change])
    server.execute("CREATE ROLE planted")
    try:
        provision.apply(server.superuser, [change])
        assert server.execute("SELECT 1 FROM pg_authid WHERE rolname = 'planted' AND rolpassword IS NOT NULL")
        written = [*(row[0] for row in server.execute(statistics, "jeex_idea")), server.log(), str(change.difference)]
        assert not [text for text in written if verifier in text]
        provision.apply(server.superuser, [replace(change, secret="")])
        kept = [*(row[0] for row in server.execute(statistics, "jeex_idea")), server.log()]
        assert len([text for text in kept if verifier in text]) == 2, "the log and the statistics are kept"
    finally:
        server.execute("DROP ROLE planted")
