-- A key and a definition for everything in the schemas `public` and `auth`, without what extensions brought.
-- Names are written as `search_path = public` shows them. Owners' own privileges are left out.
with relations as (
    select c.* from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
      and not exists (
          select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
), routines as (
    select p.*, n.nspname, p.oid::regprocedure::text as signature
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('public', 'auth') and p.prokind in ('f', 'p')
      and not exists (
          select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
)
select 'table ' || relname, concat_ws(', ',
           case when relrowsecurity then 'row-level security' end,
           case when relforcerowsecurity then 'forced' end,
           case when relpersistence <> 'p' then 'not logged' end)
from relations where relkind in ('r', 'p', 'f')
union all
select 'column ' || relname || '.' || attname, concat_ws(' ',
           format_type(atttypid, atttypmod), case when attnotnull then 'not null' end,
           case attidentity when 'a' then 'identity always' when 'd' then 'identity by default' end,
           case when attgenerated <> '' then 'generated' else 'default' end || ' ' || pg_get_expr(adbin, adrelid))
from relations join pg_attribute a on attrelid = relations.oid
left join pg_attrdef d on adrelid = attrelid and adnum = attnum
where relkind in ('r', 'p', 'f', 'm', 'v') and attnum > 0 and not attisdropped
union all
select 'constraint ' || relname || '.' || conname, pg_get_constraintdef(k.oid)
from pg_constraint k join relations on relations.oid = conrelid where contype in ('c', 'f', 'u', 'p', 'x')
union all
select 'index ' || i.relname, pg_get_indexdef(i.oid) || case when indisvalid then '' else ' INVALID' end
from pg_index join relations on relations.oid = indrelid join pg_class i on i.oid = indexrelid
where not exists (select from pg_constraint where conindid = i.oid and contype in ('u', 'p', 'x'))
union all
select 'view ' || relname, concat_ws(' ', array_to_string(reloptions, ', '), pg_get_viewdef(oid))
from relations where relkind in ('v', 'm')
union all
select 'sequence ' || relname, concat_ws(' ', format_type(seqtypid, null), 'of', d.refobjid::regclass || '.' || attname)
from relations join pg_sequence on seqrelid = relations.oid
left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = relations.oid and d.deptype in ('a', 'i')
left join pg_attribute on attrelid = d.refobjid and attnum = d.refobjsubid
union all
select 'type ' || typname, concat_ws(' ', typtype, (select string_agg(enumlabel, ', ' order by enumsortorder)
                                                     from pg_enum where enumtypid = t.oid),
                                     (select string_agg(pg_get_constraintdef(k.oid), ', ' order by conname)
                                      from pg_constraint k where contypid = t.oid))
from pg_type t
where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r')
  and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
union all
select 'trigger ' || relname || '.' || tgname, pg_get_triggerdef(t.oid) || case tgenabled when 'O' then '' else ' mode ' || tgenabled::text end
from pg_trigger t join relations on relations.oid = tgrelid where not tgisinternal
union all
select 'policy ' || relname || '.' || polname, format('%s for %s to %s using (%s) with check (%s)',
           case when polpermissive then 'permissive' else 'restrictive' end,
           case polcmd when '*' then 'all' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'delete' end,
           (select string_agg(coalesce(rolname, 'PUBLIC'), ', ' order by rolname)
            from unnest(polroles) r left join pg_roles on pg_roles.oid = r),
           coalesce(pg_get_expr(polqual, polrelid), '-'), coalesce(pg_get_expr(polwithcheck, polrelid), '-'))
from pg_policy join relations on relations.oid = polrelid
union all
select 'function ' || signature, format('%s %s, %s, runs as %s, %s, body %s',
           pg_get_function_result(oid), (select lanname from pg_language where pg_language.oid = prolang),
           case provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
           case when prosecdef then pg_get_userbyid(proowner) else 'the caller' end,
           coalesce(array_to_string(proconfig, ', '), 'no settings'),
           md5(prosrc || coalesce(pg_get_function_sqlbody(oid), '')))
from routines
union all
select 'grant ' || relname || '.' || coalesce(rolname, 'PUBLIC'),
       string_agg(privilege_type || case when is_grantable then ' with grant option' else '' end, ', ' order by privilege_type)
from relations, aclexplode(relacl) left join pg_roles r on r.oid = grantee
where grantee <> relowner group by relname, rolname
union all
select 'grant ' || relname || '.' || attname || '.' || coalesce(rolname, 'PUBLIC'),
       string_agg(privilege_type || case when is_grantable then ' with grant option' else '' end, ', ' order by privilege_type)
from relations join pg_attribute on attrelid = relations.oid, aclexplode(attacl) left join pg_roles r on r.oid = grantee
where grantee <> relowner group by relname, attname, rolname
union all
select 'grant ' || signature || '.' || coalesce(rolname, 'PUBLIC'), string_agg(privilege_type, ', ')
from routines, aclexplode(coalesce(proacl, acldefault('f', proowner))) left join pg_roles r on r.oid = grantee
where grantee <> proowner group by signature, rolname
