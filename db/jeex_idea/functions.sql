-- Functions and triggers of JEEX Idea. Applied after every upgrade that changes something; db/reset.sql runs before.

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
create trigger projects_touch_updated_at before update on public.projects
    for each row execute function public.touch_updated_at();

-- PLAT-18: log-in and registration happen before an identity exists, and without one no row of users is visible.
-- These two run as jeex_idea_auth, which sees users (policies.sql) and nothing else, and only these columns.
set local role jeex_idea_auth;

create function auth.user_by_email(wanted text)
returns table (id uuid, email varchar, name varchar, last_login_at timestamp)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select u.id, u.email, u.name, u.last_login_at from public.users u where u.email = wanted
$$;

-- Returns the new id, the identity for what follows. An email that is taken raises unique_violation.
create function auth.register_user(email text, name text) returns uuid
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into public.users (email, name) values (register_user.email, register_user.name) returning id
$$;

revoke all on all functions in schema auth from public;
grant execute on all functions in schema auth to jeex_user;

set local role jeex_idea_owner;
