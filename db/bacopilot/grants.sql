-- Privileges on BA Copilot's tables (PLAT-10, Q-05). Which rows they reach is a matter of policies.sql.
-- The same follows for new tables from default privileges (db/spec.py), so that a revision needs no grant.

grant select, insert, update, delete on all tables in schema public to bacopilot_app, bacopilot_migrator;
grant select on all tables in schema public to bacopilot_readonly;
grant usage on all sequences in schema public to bacopilot_app, bacopilot_migrator;

-- X-28: the history is the database's; the trigger on documents writes it.
revoke insert, update, delete on document_versions from bacopilot_app;

-- PLAT-18: as little as the functions in schema auth need.
grant select (user_id, email, password_hash, is_active), insert (email, password_hash, full_name)
    on users to bacopilot_auth;
