-- Row-level security of ComponentForge (CF-17, CF-18, PLAT-15, PLAT-16). One policy per table, for all four commands.
--
-- The identity is set for one transaction: SET LOCAL app.current_user_id = '<users.id>' (PLAT-17, X-10). Unset or
-- empty means no rows, where the document's policy raised an error (Q-11). It is read in a sub-select, so that the
-- planner evaluates it once per statement and not per row. Chunks ask for their document and messages for their
-- conversation as the same user, under its own policy: a foreign key alone would let anybody add to anything.
-- Who reads, changes or deletes is asked once per statement for all the parents he sees, as an array: that makes an index
-- condition of the child's key, where a question per row (EXISTS, as for what is written) visits the rows of everybody.

alter table users enable row level security, force row level security;
alter table documents enable row level security, force row level security;
alter table document_chunks enable row level security, force row level security;
alter table conversations enable row level security, force row level security;
alter table messages enable row level security, force row level security;
alter table requirement_exports enable row level security, force row level security;

-- The document's name; there it is for SELECT only, which denies every other command silently (X-45).
create policy user_isolation_policy on users
    using (id = (select nullif(current_setting('app.current_user_id', true), '')::integer))
    with check (id = (select nullif(current_setting('app.current_user_id', true), '')::integer));

create policy documents_user on documents
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::integer))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::integer));

create policy document_chunks_document on document_chunks
    using (document_id = any (array(select d.id from documents d)))
    with check (exists (select from documents d where d.id = document_id));

create policy conversations_user on conversations
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::integer))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::integer));

-- A reply is in the conversation of what it replies to, which is another message.
create policy messages_conversation on messages
    using (conversation_id = any (array(select c.id from conversations c)))
    with check (
        exists (select from conversations c where c.id = conversation_id)
        and (parent_message_id is null
             or (parent_message_id <> id and message_is_in(parent_message_id, conversation_id)))
    );

create policy requirement_exports_user on requirement_exports
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::integer))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::integer));

-- PLAT-18: the role behind the functions in schema auth.
create policy users_auth_lookup on users for select to componentforge_auth using (true);
create policy users_auth_register on users for insert to componentforge_auth with check (true);
