"""A tenant of JEEX Idea."""

from tests.rls.rows import Row

ROWS = {
    "users": Row(
        insert="select auth.register_user(%(tag)s || '@keel.invalid', 'Ada')",
        key="id",
        change="name = name || '!'",
        move="id = %(other_identity)s",
    ),
    "projects": Row(
        insert="insert into projects (name, created_by) values (%(tag)s, %(identity)s) returning id",
        key="id",
        change="name = name || '!'",
        move="created_by = %(other_identity)s",
    ),
    "document_versions": Row(
        insert="insert into document_versions (project_id, document_type, version, content)"
        " values (%(projects)s, 'idea', 1, '') returning id",
        key="id",
        change="content = content || '!'",
        move="project_id = %(other_projects)s",
    ),
    "agent_executions": Row(
        insert="insert into agent_executions (project_id, agent_type, correlation_id)"
        " values (%(projects)s, 'analyst', gen_random_uuid()) returning id",
        key="id",
        change="status = 'done'",
        move="project_id = %(other_projects)s",
    ),
    "exports": Row(
        insert="insert into exports (project_id) values (%(projects)s) returning id",
        key="id",
        change="status = 'done'",
        move="project_id = %(other_projects)s",
    ),
}
