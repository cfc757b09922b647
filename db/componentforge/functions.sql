-- Functions and triggers of ComponentForge. Applied after every upgrade that changes something; db/reset.sql runs before.

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
create trigger document_chunks_touch_updated_at before update on public.document_chunks
    for each row execute function public.touch_updated_at();
create trigger conversations_touch_updated_at before update on public.conversations
    for each row execute function public.touch_updated_at();
create trigger messages_touch_updated_at before update on public.messages
    for each row execute function public.touch_updated_at();
create trigger embedding_models_touch_updated_at before update on public.embedding_models
    for each row execute function public.touch_updated_at();
create trigger evaluation_runs_touch_updated_at before update on public.evaluation_runs
    for each row execute function public.touch_updated_at();
create trigger requirement_exports_touch_updated_at before update on public.requirement_exports
    for each row execute function public.touch_updated_at();

-- CF-18: whether the caller sees this message, and in this conversation. A policy on messages cannot ask for messages
-- itself, that would be endless; a function can, and what it sees is still what the caller may see. Volatile, so that
-- a statement with several rows may contain a message and the replies to it.
create function public.message_is_in(message integer, conversation integer) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    return exists (select from public.messages m where m.id = message and m.conversation_id = conversation);
end
$$;
revoke all on function public.message_is_in(integer, integer) from public;
grant execute on function public.message_is_in(integer, integer) to componentforge_app;

-- PLAT-18: log-in and registration happen before an identity exists, and without one no row of users is visible.
-- These run as componentforge_auth, which sees users (policies.sql) and nothing else, and only these columns.
set local role componentforge_auth;

create function auth.user_by_email(wanted text)
returns table (id integer, hashed_password varchar, is_active boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select u.id, u.hashed_password, u.is_active from public.users u where u.email = wanted
$$;

create function auth.user_by_username(wanted text)
returns table (id integer, hashed_password varchar, is_active boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select u.id, u.hashed_password, u.is_active from public.users u where u.username = wanted
$$;

-- Returns the new id, the identity for what follows. An email or username that is taken raises unique_violation.
create function auth.register_user(email text, username text, hashed_password text) returns integer
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into public.users (email, username, hashed_password)
    values (register_user.email, register_user.username, register_user.hashed_password) returning id
$$;

revoke all on all functions in schema auth from public;
grant execute on all functions in schema auth to componentforge_app;

set local role componentforge_owner;
