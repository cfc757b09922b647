-- Functions and triggers of ruleIQ. Applied after every upgrade that changes something; db/reset.sql runs before.

-- PLAT-12: the database keeps updated_at. In UTC whatever the session's time zone is (X-05).
create function public.touch_updated_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.updated_at := timezone('UTC', now());
    return new;
end
$$;
revoke all on function public.touch_updated_at() from public;

create trigger users_touch_updated_at before update on public.users
    for each row execute function public.touch_updated_at();
create trigger business_profiles_touch_updated_at before update on public.business_profiles
    for each row execute function public.touch_updated_at();
create trigger assessment_sessions_touch_updated_at before update on public.assessment_sessions
    for each row execute function public.touch_updated_at();
create trigger evidence_items_touch_updated_at before update on public.evidence_items
    for each row execute function public.touch_updated_at();
create trigger generated_policies_touch_updated_at before update on public.generated_policies
    for each row execute function public.touch_updated_at();
create trigger chat_conversations_touch_updated_at before update on public.chat_conversations
    for each row execute function public.touch_updated_at();
create trigger integration_configurations_touch_updated_at before update on public.integration_configurations
    for each row execute function public.touch_updated_at();
create trigger report_schedules_touch_updated_at before update on public.report_schedules
    for each row execute function public.touch_updated_at();
create trigger compliance_frameworks_touch_updated_at before update on public.compliance_frameworks
    for each row execute function public.touch_updated_at();
create trigger implementation_plans_touch_updated_at before update on public.implementation_plans
    for each row execute function public.touch_updated_at();
create trigger readiness_assessments_touch_updated_at before update on public.readiness_assessments
    for each row execute function public.touch_updated_at();

-- PLAT-18: an email is one account's in whatever letters: all are kept in lower case, where the unique constraint tells.
-- Only when the email is written: of two that were made before this rule (revision 012) both can change the rest.
create function public.lower_email() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.email := lower(new.email);
    return new;
end
$$;
revoke all on function public.lower_email() from public;

create trigger users_lower_email before insert or update of email on public.users
    for each row execute function public.lower_email();

-- PLAT-18: log-in and registration happen before an identity exists, and without one no row of users is visible.
-- These two run as ruleiq_auth, which sees users (policies.sql) and nothing else, and only these columns.
set local role ruleiq_auth;

-- Whatever the letters' case, by idx_users_email_lower; should two older accounts differ in nothing else, the one as it
-- was written, otherwise the one in lower case.
create function auth.user_by_email(wanted text)
returns table (id uuid, email varchar, hashed_password varchar, is_active boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select u.id, u.email, u.hashed_password, u.is_active from public.users u
    where lower(u.email) = lower(wanted) order by u.email = wanted desc, u.email = lower(wanted) desc limit 1
$$;

-- Returns the new id, the identity for what follows. An email that is taken, in whatever letters, raises
-- unique_violation.
create function auth.register_user(email text, hashed_password text) returns uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into public.users (email, hashed_password)
    values (register_user.email, register_user.hashed_password) returning id
$$;

revoke all on all functions in schema auth from public;
grant execute on all functions in schema auth to ruleiq_api;

set local role ruleiq_owner;
