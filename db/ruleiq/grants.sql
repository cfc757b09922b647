-- Privileges on ruleIQ's tables (PLAT-10). Which rows they reach is a matter of policies.sql.
-- The same follows for new tables from default privileges (db/spec.py), so that a revision needs no grant.

grant select, insert, update, delete on all tables in schema public to ruleiq_api, ruleiq_worker, ruleiq_migrator;
grant select on all tables in schema public to ruleiq_readonly;

-- RIQ-17: framework tables are shared and read-only; their rows come with a release (seeds/reference.sql).
revoke insert, update, delete on compliance_frameworks, implementation_plans, readiness_assessments
    from ruleiq_api, ruleiq_worker;

-- PLAT-18: as little as the functions in schema auth need.
grant select (id, email, hashed_password, is_active), insert (email, hashed_password) on users to ruleiq_auth;
