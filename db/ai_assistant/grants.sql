-- Privileges on AI Development Assistant's tables (PLAT-10). The same follows for new tables from default privileges
-- (db/spec.py); what is less than that is said here and in product.yaml.

-- ADA-13: the application marks a record as inactive, it deletes none; the archive and the record of erasures are
-- written by functions that only the migrator may call.
grant select on all tables in schema public to ai_assistant_app, ai_assistant_readonly, ai_assistant_migrator;
grant insert, update on rules, practices, templates to ai_assistant_app;
grant insert, update, delete on rules, practices, templates, rules_archive, practices_archive, templates_archive
    to ai_assistant_migrator;
grant insert on hard_deletes to ai_assistant_migrator;
grant usage on all sequences in schema public to ai_assistant_app, ai_assistant_migrator;
