"""A tenant of BA Copilot."""

from tests.rls.rows import Row

ROWS = {
    "users": Row(
        insert="select auth.register_user(%(tag)s || '@keel.invalid', '!', 'Ada')",
        key="user_id",
        change="full_name = full_name || '!'",
        move="user_id = %(other_identity)s",
    ),
    "documents": Row(
        insert="insert into documents (user_id, project_name, content) values (%(identity)s, %(tag)s, '')"
        " returning document_id",
        key="document_id",
        change="project_name = project_name || '!'",
        move="user_id = %(other_identity)s",
    ),
    "document_versions": Row(
        insert="update documents set content = %(tag)s where document_id = %(documents)s; "
        "select version_id from document_versions where document_id = %(documents)s",
        key="version_id",
        change="content = content || '!'",
        move="document_id = %(other_documents)s, version = 2",
    ),
    "wireframes": Row(
        insert="insert into wireframes (user_id, title) values (%(identity)s, %(tag)s) returning wireframe_id",
        key="wireframe_id",
        change="title = title || '!'",
        move="user_id = %(other_identity)s",
    ),
    "conversations": Row(
        insert="insert into conversations (user_id, title) values (%(identity)s, %(tag)s) returning conversation_id",
        key="conversation_id",
        change="title = title || '!'",
        move="user_id = %(other_identity)s",
    ),
    "messages": Row(
        insert="insert into messages (conversation_id, role, content) values (%(conversations)s, 'user', %(tag)s)"
        " returning message_id",
        key="message_id",
        change="content = content || '!'",
        move="conversation_id = %(other_conversations)s",
    ),
    "diagrams": Row(
        insert="insert into diagrams (user_id, title, diagram_type, mermaid_code)"
        " values (%(identity)s, %(tag)s, 'sequence', 'sequenceDiagram') returning diagram_id",
        key="diagram_id",
        change="title = title || '!'",
        move="user_id = %(other_identity)s",
    ),
}
