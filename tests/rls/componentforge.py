"""A row of each of ComponentForge's tenant tables (CF-17, CF-18)."""

from tests.rls.rows import Row

ROWS = {
    "users": Row(
        insert="SELECT auth.register_user(%(tag)s || '@keel.invalid', %(tag)s, '$2b$12$none')",
        key="id",
        change="last_login_at = now()",
        move="id = %(other_identity)s",
    ),
    "documents": Row(
        insert="INSERT INTO documents (user_id, title, filename, file_path)"
        " VALUES (%(identity)s, %(tag)s, %(tag)s, %(tag)s) RETURNING id",
        key="id",
        change="title = title || '!'",
        move="user_id = %(other_identity)s",
    ),
    "document_chunks": Row(
        insert="INSERT INTO document_chunks (document_id, chunk_index, content)"
        " VALUES (%(documents)s, 0, %(tag)s) RETURNING id",
        key="id",
        change="content = content || '!'",
        move="document_id = %(other_documents)s",
    ),
    "conversations": Row(
        insert="INSERT INTO conversations (user_id, title) VALUES (%(identity)s, %(tag)s) RETURNING id",
        key="id",
        change="title = title || '!'",
        move="user_id = %(other_identity)s",
    ),
    "messages": Row(
        insert="INSERT INTO messages (conversation_id, role, content)"
        " VALUES (%(conversations)s, 'user', %(tag)s) RETURNING id",
        key="id",
        change="content = content || '!'",
        move="conversation_id = %(other_conversations)s",
    ),
    "requirement_exports": Row(
        insert="INSERT INTO requirement_exports (user_id, component_type, requirements)"
        " VALUES (%(identity)s, %(tag)s, '{}') RETURNING id",
        key="id",
        change="approved_count = approved_count + 1",
        move="user_id = %(other_identity)s",
    ),
}
