-- Functions and triggers of AI Development Assistant. Applied after every upgrade that changes something;
-- db/reset.sql runs before.

-- PLAT-12: the database keeps updated_at. In UTC whatever the session's time zone is (X-05). Only rules have the
-- column (X-36).
create function public.touch_updated_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.updated_at := timezone('UTC', now());
    return new;
end
$$;

create trigger rules_touch_updated_at before update on public.rules
    for each row execute function public.touch_updated_at();

-- ADA-14: a record that becomes inactive is stamped, one that becomes active loses its stamp. The triggers call
-- this only where flag and stamp contradict each other, so a moment that is given with the flag stays.
create function public.mark_deactivated() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.deactivated_at := case when new.deactivated_at is null then now() end;
    return new;
end
$$;

create trigger rules_mark_deactivated before insert or update on public.rules
    for each row when ((new.active is false) = (new.deactivated_at is null))
    execute function public.mark_deactivated();
create trigger practices_mark_deactivated before insert or update on public.practices
    for each row when ((new.is_active is false) = (new.deactivated_at is null))
    execute function public.mark_deactivated();
create trigger templates_mark_deactivated before insert or update on public.templates
    for each row when ((new.is_active is false) = (new.deactivated_at is null))
    execute function public.mark_deactivated();

-- ADA-14: moves what has been inactive since before `cutoff` into the archive, and tells how much. One statement,
-- so all of it or nothing. A table and its archive have the same columns in the same order after archived_at.
create function public.archive_inactive(cutoff timestamptz default now() - interval '2 years')
returns table (table_name text, moved bigint)
language sql volatile set search_path = pg_catalog, pg_temp as $$
    with gone_rules as (
        delete from public.rules r where r.active is false and r.deactivated_at < cutoff returning r.*
    ), kept_rules as (
        insert into public.rules_archive select now(), g.* from gone_rules g returning 1
    ), gone_practices as (
        delete from public.practices p where p.is_active is false and p.deactivated_at < cutoff returning p.*
    ), kept_practices as (
        insert into public.practices_archive select now(), g.* from gone_practices g returning 1
    ), gone_templates as (
        delete from public.templates t where t.is_active is false and t.deactivated_at < cutoff returning t.*
    ), kept_templates as (
        insert into public.templates_archive select now(), g.* from gone_templates g returning 1
    )
    select 'rules', count(*) from kept_rules
    union all select 'practices', count(*) from kept_practices
    union all select 'templates', count(*) from kept_templates
$$;

-- ADA-13, X-49: erases one record, wherever it is, and writes down that it did. Returns the number of rows erased.
-- By hand only: select hard_delete('rules', 'SEC-001', 'request 4711 of …').
create function public.hard_delete(from_table text, record text, why text) returns integer
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    key constant name := case from_table
        when 'rules' then 'rule_id' when 'practices' then 'practice_id' when 'templates' then 'template_id' end;
    live integer;
    archived integer;
begin
    if key is null then
        raise exception 'nothing was erased: from_table is %, not rules, practices or templates', from_table;
    end if;
    if coalesce(btrim(why), '') = '' then
        raise exception 'nothing was erased: give the reason, it is kept in hard_deletes';
    end if;
    execute format('delete from public.%I where %I = $1', from_table, key) using record;
    get diagnostics live = row_count;
    execute format('delete from public.%I where %I = $1', from_table || '_archive', key) using record;
    get diagnostics archived = row_count;
    if live + archived = 0 then
        raise exception 'nothing was erased: neither % nor its archive has a record %', from_table, record;
    end if;
    insert into public.hard_deletes (table_name, record_id, reason, rows_deleted)
    values (from_table, record, why, live + archived);
    return live + archived;
end
$$;

revoke all on function public.touch_updated_at, public.mark_deactivated, public.archive_inactive, public.hard_delete
    from public;
grant execute on function public.archive_inactive, public.hard_delete to ai_assistant_migrator;
