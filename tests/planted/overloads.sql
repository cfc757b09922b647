-- For everything that pg_catalog calls by coercion, and for everything else once `public` is searched first: an operator, function or
-- aggregate of the same name on the very types of a call. Each does what the built-in one does, after it was traced.
do $plant$
declare
    types constant text[] := array['text', 'name', 'varchar', '"char"', 'oid', 'regclass', 'regproc', 'regtype', 'int2', 'int4', 'int8',
                                   'bool', 'text[]', 'name[]', 'oid[]', 'int2[]', '"char"[]', 'int2vector', 'oidvector', 'timestamptz',
                                   'jsonb', 'uuid', 'numeric'];
    number integer := 0;
    one record;
    result text;
    body constant text := 'begin if pg_catalog.current_setting(%L, true) is null then perform public.planted_gain(%L); end if; %s; end';
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog', true);  -- or this block would already call them
    -- Of all pairs of types those for which a call in pg_catalog resolves; the result's type is asked of it.
    for one in
        select distinct oprname, l, r, format('operator %s(%s,%s)', oprname, l, r) as kind
        from pg_operator o, unnest(types) l, unnest(types) r
        where oprnamespace = 'pg_catalog'::regnamespace and oprkind = 'b'
          -- Not what joins by hash: without it they would take minutes.
          and not exists (select from pg_operator e where e.oprname = o.oprname and e.oprname = '=' and e.oprcanhash
                                                      and e.oprleft = l::regtype and e.oprright = r::regtype)
          and oprname in ('=', '<>', '<', '>', '<=', '>=', '||', '~', '!~', '~~', '!~~', '+', '-', '*', '/', '&', '->', '->>', '@>', '<@', '&&')
    loop
        begin
            execute format('select pg_typeof(null::%s operator(pg_catalog.%s) null::%s)::text', one.l, one.oprname, one.r) into result;
            number := number + 1;
            execute format('create function public.planted_%s(%s, %s) returns %s language plpgsql immutable as %L', number, one.l, one.r, result,
                           format(body, 'planted.k' || md5(one.kind), one.kind, format('return $1 operator(pg_catalog.%s) $2', one.oprname)));
            execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.planted_%s)',
                           one.oprname, one.l, one.r, number);
        exception when undefined_function or ambiguous_function or indeterminate_datatype or invalid_function_definition or duplicate_function then
            null;
        end;
    end loop;
    -- Functions of one and two arguments, with every type in the place of one that takes several.
    for one in
        select distinct p.proname, p.proretset, l, r, format('function %s(%s)', p.proname, concat_ws(',', l, r)) as kind,
               concat_ws(', ', '$1', case when r is not null then '$2' end) as given, concat_ws(', ', l, r) as arguments,
               concat_ws(', ', 'null::' || l, 'null::' || r) as nothing
        from pg_proc p
        cross join lateral unnest(case when p.proargtypes[0]::regtype::text = any(types) then array[p.proargtypes[0]::regtype::text] end
                                  || case when p.proargtypes[0]::regtype::text ~ '^("any"|any.*|text|oid)$' then types[1:13] end) l
        left join lateral unnest(case when p.proargtypes[1]::regtype::text = any(types) then array[p.proargtypes[1]::regtype::text] end
                                 || case when p.proargtypes[1]::regtype::text ~ '^("any"|any.*|text|oid)$' then types[1:6] end) r
             on p.pronargs = 2
        where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and p.pronargs in (1, 2) and (p.pronargs = 1 or r is not null)
          and p.provolatile <> 'v' and p.prorettype not in ('internal'::regtype, 'trigger'::regtype)
          and not (p.proretset and p.prorettype <> all (array['text', 'name', 'oid', 'int4', 'int8', 'anyelement', 'jsonb']::regtype[]))
          and p.proname !~ '^(int|float|oid|name|text|char|bool|array|record|reg|btree?|hash|gin|gist|spg|brin|pg_stat_|numeric|timestamp|date|jsonb?_|uuid|interval)'
    loop
        begin
            if one.proretset then
                result := case when one.l ~ '\[\]$' then left(one.l, -2) else 'text' end;
                continue when one.proname <> 'unnest' or one.l !~ '\[\]$';
            else
                execute format('select pg_typeof(pg_catalog.%I(%s))::text', one.proname, one.nothing) into result;
            end if;
            execute format('create or replace function public.%I(%s) returns %s language plpgsql immutable as %L', one.proname, one.arguments,
                           case when one.proretset then 'setof ' || result else result end,
                           format(body, 'planted.k' || md5(one.kind), one.kind,
                                  format(case when one.proretset then 'return query select * from pg_catalog.%I(%s)' else 'return pg_catalog.%I(%s)' end,
                                         one.proname, one.given)));
        exception when others then
            null;
        end;
    end loop;
    -- Those that take any number of arguments of any type.
    for one in
        select distinct p.proname, a, concat(p.proname, '(', array_to_string(a, ','), ')') as kind
        from (values ('format'), ('concat'), ('concat_ws'), ('num_nonnulls'), ('num_nulls'), ('json_build_object'), ('jsonb_build_object')) p (proname),
             lateral (select array[x, y] from unnest(types[1:5]) x, unnest(types[1:5]) y
                      union all select array[x, y, z] from unnest(types[1:2]) x, unnest(types[1:5]) y, unnest(types[1:5]) z
                      union all select array['text', x, y, z] from unnest(types[1:2]) x, unnest(types[1:2]) y, unnest(types[1:2]) z) as _ (a)
    loop
        begin
            execute format('select pg_typeof(pg_catalog.%I(%s))::text', one.proname,
                           (select string_agg('''1''::' || each, ', ') from unnest(one.a) each)) into result;
        exception when undefined_function then
            continue;
        when others then
            result := case when one.proname ~ '^json' then 'jsonb' when one.proname ~ '^num' then 'integer' else 'text' end;
        end;
        execute format('create or replace function public.%I(%s) returns %s language plpgsql immutable as %L', one.proname, array_to_string(one.a, ', '), result,
                       format(body, 'planted.k' || md5(one.kind), one.kind,
                              format('return pg_catalog.%I(%s)', one.proname,
                                     (select string_agg('$' || n, ', ') from generate_subscripts(one.a, 1) n))));
    end loop;
    -- Aggregates.
    for one in select t, format('aggregate array_agg(%s)', t) as collect, format('aggregate count(%s)', t) as count
               from unnest(types) t where t !~ '\[\]$|vector' loop
        execute format('create function public.planted_collect(%1$s[], %1$s) returns %1$s[] language plpgsql as %2$L', one.t,
                       format(body, 'planted.k' || md5(one.collect), one.collect, 'return pg_catalog.array_append($1, $2)'));
        execute format('create aggregate public.array_agg(%1$s) (sfunc = public.planted_collect, stype = %1$s[])', one.t);
        execute format('create function public.planted_count(bigint, %s) returns bigint language plpgsql as %L', one.t,
                       format(body, 'planted.k' || md5(one.count), one.count, 'return pg_catalog.int8inc($1)'));
        execute format('create aggregate public.count(%s) (sfunc = public.planted_count, stype = bigint, initcond = ''0'')', one.t);
    end loop;
    for one in select t from unnest(array['name', 'varchar']) t loop
        execute format('create function public.planted_join(text, %s, text) returns text language plpgsql as %L', one.t,
                       format(body, 'planted.k' || md5('aggregate string_agg'), 'aggregate string_agg',
                              'return pg_catalog.concat($1, case when $1 is null then null else $3 end, $2)'));
        execute format('create aggregate public.string_agg(%s, text) (sfunc = public.planted_join, stype = text)', one.t);
    end loop;
end
$plant$;
