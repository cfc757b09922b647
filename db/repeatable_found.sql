-- A line for everything that reset.sql and a product's functions.sql, policies.sql and grants.sql decide.
-- `managed` is false for what they cannot take away: always drift, never recorded as expected.
-- `undo` takes it away; `repair`, for a trigger, is enough where only its mode is another one.
with relations as (
    select c.oid, c.relname, c.relowner, c.relacl, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
           format(case when c.relkind = 'S' then 'sequence public.%I' else 'table public.%I' end, c.relname) as target
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
      and not exists (
          select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
), routines as (
    select p.oid, p.oid::regprocedure::text as signature, p.proowner, p.proacl,
           md5(pg_get_functiondef(p.oid)) as body
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('public', 'auth') and p.prokind in ('f', 'p')
      and not exists (
          select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
      and not exists (
          select from pg_depend d
          where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.classid = 'pg_attrdef'::regclass)
)
select format('row-level security of %s: %s, %s', relname,
              case when relrowsecurity then 'enabled' else 'disabled' end,
              case when relforcerowsecurity then 'forced' else 'not forced' end) as line, true as managed,
       '' as undo, '' as repair
from relations where relkind in ('r', 'p')
union all
select format('policy %s on %s: %s %s to %s using %s with check %s', policyname, tablename, permissive, cmd,
              array_to_string(roles, ', '), coalesce(qual, '-'), coalesce(with_check, '-')), true,
       format('DROP POLICY %I ON public.%I', policyname, tablename), ''
from pg_policies where schemaname = 'public'
union all
select format('trigger %s on %s: %s, mode %s', tgname, relname, pg_get_triggerdef(t.oid), tgenabled), true,
       format('DROP TRIGGER %I ON public.%I', tgname, relname),
       format('ALTER TABLE public.%I ENABLE TRIGGER %I', relname, tgname)
from pg_trigger t join relations on relations.oid = t.tgrelid where not tgisinternal
union all
select format('function %s of %s, definition %s', signature, pg_get_userbyid(proowner), body),
       pg_has_role(session_user, proowner, 'MEMBER'), format('DROP ROUTINE %s', signature), ''
from routines
union all
select format('%s on function %s for %s%s', privilege_type, signature, coalesce(rolname, 'PUBLIC'),
              case when is_grantable then ', who may give it' else '' end),
       pg_has_role(session_user, proowner, 'MEMBER'),
       format('REVOKE %s ON ROUTINE %s FROM %s', privilege_type, signature, coalesce(quote_ident(rolname), 'PUBLIC')),
       ''
from routines, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
left join pg_roles r on r.oid = a.grantee where a.grantee <> proowner
union all
select format('%s on %s for %s%s', privilege_type, relname, coalesce(rolname, 'PUBLIC'),
              case when is_grantable then ', who may give it' else '' end), true,
       format('REVOKE %s ON %s FROM %s', privilege_type, target, coalesce(quote_ident(rolname), 'PUBLIC')), ''
from relations, aclexplode(relacl) a left join pg_roles r on r.oid = a.grantee where a.grantee <> relowner
union all
select format('%s on %s.%s for %s%s', privilege_type, relname, attname, coalesce(rolname, 'PUBLIC'),
              case when is_grantable then ', who may give it' else '' end), true,
       format('REVOKE %s (%I) ON %s FROM %s', privilege_type, attname, target, coalesce(quote_ident(rolname), 'PUBLIC')),
       ''
from relations join pg_attribute t on t.attrelid = relations.oid, aclexplode(attacl) a
left join pg_roles r on r.oid = a.grantee where a.grantee <> relowner
order by 1
