-- Privileges on ComponentForge's tables (PLAT-10). Which rows they reach is a matter of policies.sql.
-- The same follows for new tables from default privileges (db/spec.py), so that a revision needs no grant.

grant select, insert, update, delete on all tables in schema public to componentforge_app, componentforge_migrator;
grant select on all tables in schema public to componentforge_readonly;
grant usage on all sequences in schema public to componentforge_app, componentforge_migrator;

-- PLAT-18: as little as the functions in schema auth need; a new user's id comes from the sequence.
grant select (id, email, username, hashed_password, is_active), insert (email, username, hashed_password)
    on users to componentforge_auth;
grant usage on sequence users_id_seq to componentforge_auth;
