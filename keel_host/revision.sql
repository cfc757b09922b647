-- The statement that tells the revision of a database, where its version table is a table: a view of that name would be a program.
-- By COPY, which runs nothing that the table's owner has made (keel_host/fingerprint.py), and which refuses a view.
select 'copy alembic.alembic_version (version_num) to stdout'
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'alembic' and c.relname = 'alembic_version' and c.relkind = 'r'
