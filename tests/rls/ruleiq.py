"""A tenant of ruleIQ. Frameworks are reference data, which at head is there."""

from tests.rls.rows import Row

ROWS = {
    "users": Row(
        insert="select auth.register_user(%(tag)s || '@keel.invalid', '!')",
        key="id",
        change="hashed_password = hashed_password || '!'",
        move="id = %(other_identity)s",
    ),
    "business_profiles": Row(
        insert="insert into business_profiles (user_id, company_name) values (%(identity)s, %(tag)s) returning id",
        key="id",
        change="company_name = company_name || '!'",
        move="user_id = %(other_identity)s",
    ),
    "assessment_sessions": Row(
        insert="insert into assessment_sessions (user_id, business_profile_id, framework_id)"
        " values (%(identity)s, %(business_profiles)s, 'gdpr') returning id",
        key="id",
        change="status = 'done'",
        move="business_profile_id = %(other_business_profiles)s",
    ),
    "evidence_items": Row(
        insert="insert into evidence_items (user_id, business_profile_id, evidence_name)"
        " values (%(identity)s, %(business_profiles)s, %(tag)s) returning id",
        key="id",
        change="status = 'approved', approved_at = now(), approved_by = user_id",
        move="approved_by = %(other_identity)s",
    ),
    "generated_policies": Row(
        insert="insert into generated_policies (user_id, business_profile_id, policy_name)"
        " values (%(identity)s, %(business_profiles)s, %(tag)s) returning id",
        key="id",
        change="content = 'changed'",
        move="business_profile_id = %(other_business_profiles)s",
    ),
    "chat_conversations": Row(
        insert="insert into chat_conversations (user_id, title) values (%(identity)s, %(tag)s) returning id",
        key="id",
        change="title = title || '!'",
        move="user_id = %(other_identity)s",
    ),
    "integration_configurations": Row(
        insert="insert into integration_configurations (user_id, provider) values (%(identity)s, 'git') returning id",
        key="id",
        change="is_active = false",
        move="user_id = %(other_identity)s",
    ),
    "report_schedules": Row(
        insert="insert into report_schedules (user_id, report_name) values (%(identity)s, %(tag)s) returning id",
        key="id",
        change="frequency = 'daily'",
        move="user_id = %(other_identity)s",
    ),
}
