-- Functions and triggers of BA Copilot. Applied after every upgrade that changes something; db/reset.sql runs before.

-- PLAT-12: the database keeps updated_at.
create function public.touch_updated_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.updated_at := now();
    return new;
end
$$;
revoke all on function public.touch_updated_at() from public;

create trigger users_touch_updated_at before update on public.users
    for each row execute function public.touch_updated_at();
create trigger documents_touch_updated_at before update on public.documents
    for each row execute function public.touch_updated_at();
create trigger wireframes_touch_updated_at before update on public.wireframes
    for each row execute function public.touch_updated_at();
create trigger conversations_touch_updated_at before update on public.conversations
    for each row execute function public.touch_updated_at();
create trigger messages_touch_updated_at before update on public.messages
    for each row execute function public.touch_updated_at();
create trigger diagrams_touch_updated_at before update on public.diagrams
    for each row execute function public.touch_updated_at();

-- X-28, BAC-20: other content is another version, and what the document said before is kept. The number is the
-- database's: whatever an UPDATE gives, it moves with the content and only by one. Runs as the owner, for the
-- application only reads the history (grants.sql); row_security is off in migrations and would be an error here.
create function public.keep_document_version() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set row_security = on as $$
begin
    new.version := old.version;
    if new.content is distinct from old.content then
        insert into public.document_versions (document_id, version, content)
        values (old.document_id, coalesce(old.version, 1), old.content);
        new.version := coalesce(old.version, 1) + 1;
    end if;
    return new;
end
$$;
revoke all on function public.keep_document_version() from public;

create trigger documents_keep_version before update on public.documents
    for each row when (old.content is distinct from new.content or old.version is distinct from new.version)
    execute function public.keep_document_version();

-- PLAT-18: log-in and registration happen before an identity exists, and without one no row of users is visible.
-- These two run as bacopilot_auth, which sees users (policies.sql) and nothing else, and only these columns.
set local role bacopilot_auth;

-- For the log-in check: the application compares the hash, and refuses who is not active.
create function auth.user_by_email(wanted text)
returns table (user_id uuid, password_hash varchar, is_active boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select u.user_id, u.password_hash, u.is_active from public.users u where u.email = wanted
$$;

-- Returns the new id, the identity for what follows. An email that is taken raises unique_violation.
create function auth.register_user(email text, password_hash text, full_name text) returns uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into public.users (email, password_hash, full_name)
    values (register_user.email, register_user.password_hash, register_user.full_name) returning user_id
$$;

revoke all on all functions in schema auth from public;
grant execute on all functions in schema auth to bacopilot_app;

set local role bacopilot_owner;
