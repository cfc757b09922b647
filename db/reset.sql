-- Takes away everything repeatable, so that the files after it say all there is: policies, triggers, functions and
-- privileges, in the schemas of the product. Left alone: what an extension brought, functions that a column default
-- needs (a revision made those), and functions of roles that the migrator cannot become (drift reports them).
do $$
declare
    owner name := current_user;
    item record;
begin
    for item in select tablename, policyname from pg_policies where schemaname = 'public' loop
        execute format('drop policy %I on public.%I', item.policyname, item.tablename);
    end loop;

    for item in
        select t.tgname, c.relname
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = 'public'::regnamespace and not t.tgisinternal and t.tgparentid = 0
    loop
        execute format('drop trigger %I on public.%I', item.tgname, item.relname);
    end loop;

    for item in
        select p.oid::regprocedure as signature, pg_get_userbyid(p.proowner) as owner
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('public', 'auth')
          and pg_has_role(session_user, p.proowner, 'MEMBER')
          and not exists (
              select from pg_depend d
              where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
          and not exists (
              select from pg_depend d
              where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid
                and d.classid = 'pg_attrdef'::regclass)
    loop
        execute format('set local role %I', item.owner);
        execute format('drop routine %s', item.signature);
        execute format('set local role %I', owner);
    end loop;

    for item in
        select distinct c.relname, coalesce(quote_ident(r.rolname), 'public') as grantee
        from pg_class c
        left join pg_attribute a on a.attrelid = c.oid and a.attacl is not null,
        lateral (select grantee from aclexplode(c.relacl) union select grantee from aclexplode(a.attacl)) acl
        left join pg_roles r on r.oid = acl.grantee
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
          and c.relowner = (select oid from pg_roles where rolname = owner) and acl.grantee <> c.relowner
    loop
        execute format('revoke all on table public.%I from %s cascade', item.relname, item.grantee);
    end loop;
end
$$;
