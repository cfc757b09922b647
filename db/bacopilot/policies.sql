-- Row-level security of BA Copilot (BAC-23, PLAT-15, PLAT-16). One policy per table, for all four commands.
--
-- The identity is set for one transaction: SET LOCAL app.current_user_id = '<users.user_id>' (PLAT-17). Unset or empty
-- means no rows. It is read in a sub-select, so that the planner evaluates it once per statement and not per row.
-- Messages and versions ask for their parent as the same user, under its own policy: whoever does not see the
-- conversation sees nothing of it, and cannot add to it either, although a foreign key alone would let him.
-- Who reads, changes or deletes is asked once per statement for all the parents he sees, as an array: that makes an index
-- condition of the child's key, where a question per row (EXISTS, as for what is written) visits the rows of everybody.

alter table users enable row level security, force row level security;
alter table documents enable row level security, force row level security;
alter table document_versions enable row level security, force row level security;
alter table wireframes enable row level security, force row level security;
alter table conversations enable row level security, force row level security;
alter table messages enable row level security, force row level security;
alter table diagrams enable row level security, force row level security;

create policy users_self on users
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy documents_owner on documents
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy wireframes_owner on wireframes
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy conversations_owner on conversations
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy diagrams_owner on diagrams
    using (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (user_id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

-- Parent and child call the key alike: without the child's name it would be the parent's own, always true.
create policy document_versions_document on document_versions
    using (document_id = any (array(select d.document_id from documents d)))
    with check (exists (select from documents d where d.document_id = document_versions.document_id));

-- X-28: keep_document_version() runs as the owner, for a document that whoever changes it could reach; the migrator has
-- no identity.
create policy document_versions_kept on document_versions for insert to bacopilot_owner with check (true);

create policy messages_conversation on messages
    using (conversation_id = any (array(select c.conversation_id from conversations c)))
    with check (exists (select from conversations c where c.conversation_id = messages.conversation_id));

-- PLAT-18: the role behind auth.user_by_email and auth.register_user.
create policy users_auth_lookup on users for select to bacopilot_auth using (true);
create policy users_auth_register on users for insert to bacopilot_auth with check (true);
