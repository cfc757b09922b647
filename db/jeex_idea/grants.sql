-- Privileges on JEEX Idea's tables (PLAT-10). Which rows they reach is a matter of policies.sql.
-- The same follows for new tables from default privileges (db/spec.py), so that a revision needs no grant.

grant select, insert, update, delete on all tables in schema public to jeex_user, jeex_idea_migrator;
grant select on all tables in schema public to jeex_idea_readonly;
grant usage on all sequences in schema public to jeex_user, jeex_idea_migrator;

-- PLAT-18: as little as the functions in schema auth need.
grant select (id, email, name, last_login_at), insert (email, name) on users to jeex_idea_auth;
