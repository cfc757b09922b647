-- Row-level security of ruleIQ (RIQ-17, PLAT-15, PLAT-16). The tenant is the user: every row has a user_id. One policy
-- per table for all four commands, and one that lets workers read every tenant's rows (RIQ-03).
--
-- The identity is set for one transaction: SET LOCAL app.current_user_id = '<users.id>' (PLAT-17). Unset or empty
-- means no rows. It is read in a sub-select, so that the planner evaluates it once per statement and not per row.
--
-- What is below a business profile must be below one of the same user, although a foreign key alone would let it be
-- anybody's. The owner of the profile is compared, not only whether it is seen: workers see all.

alter table users enable row level security, force row level security;
alter table business_profiles enable row level security, force row level security;
alter table assessment_sessions enable row level security, force row level security;
alter table evidence_items enable row level security, force row level security;
alter table generated_policies enable row level security, force row level security;
alter table chat_conversations enable row level security, force row level security;
alter table integration_configurations enable row level security, force row level security;
alter table report_schedules enable row level security, force row level security;

create policy users_self on users
    using (id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy business_profiles_tenant on business_profiles
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy assessment_sessions_tenant on assessment_sessions
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (
        user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid)
        and (business_profile_id is null or exists (
            select from business_profiles p
            where p.id = business_profile_id and p.user_id = assessment_sessions.user_id))
    );

-- Nobody approves in the name of another (RIQ-29). Whoever is named could not be deleted either.
create policy evidence_items_tenant on evidence_items
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (
        user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid)
        and (business_profile_id is null or exists (
            select from business_profiles p
            where p.id = business_profile_id and p.user_id = evidence_items.user_id))
        and (approved_by is null
             or approved_by = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    );

create policy generated_policies_tenant on generated_policies
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (
        user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid)
        and (business_profile_id is null or exists (
            select from business_profiles p
            where p.id = business_profile_id and p.user_id = generated_policies.user_id))
    );

create policy chat_conversations_tenant on chat_conversations
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy integration_configurations_tenant on integration_configurations
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy report_schedules_tenant on report_schedules
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

-- RIQ-03: workers read across tenants; they write like the API, with the tenant's identity set.
create policy users_worker on users for select to ruleiq_worker using (true);
create policy business_profiles_worker on business_profiles for select to ruleiq_worker using (true);
create policy assessment_sessions_worker on assessment_sessions for select to ruleiq_worker using (true);
create policy evidence_items_worker on evidence_items for select to ruleiq_worker using (true);
create policy generated_policies_worker on generated_policies for select to ruleiq_worker using (true);
create policy chat_conversations_worker on chat_conversations for select to ruleiq_worker using (true);
create policy integration_configurations_worker on integration_configurations for select to ruleiq_worker using (true);
create policy report_schedules_worker on report_schedules for select to ruleiq_worker using (true);

-- PLAT-18: the role behind auth.user_by_email and auth.register_user.
create policy users_auth_lookup on users for select to ruleiq_auth using (true);
create policy users_auth_register on users for insert to ruleiq_auth with check (true);
