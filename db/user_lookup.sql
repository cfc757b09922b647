select r.rolname::text, r.rolpassword::text
from pg_catalog.pg_authid r
where r.rolname = wanted
  and wanted in ({roles})
  and r.rolcanlogin
  and not (r.rolsuper or r.rolreplication or r.rolbypassrls)
  and (r.rolvaliduntil is null or r.rolvaliduntil > pg_catalog.now())
