-- The question for the revision of a database, where its version table is a table: a view of that name would be a program.
select 'select version_num from alembic.alembic_version'
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'alembic' and c.relname = 'alembic_version' and c.relkind = 'r'
