"""How Alembic is set up, in migrations/env.py and wherever else a database's revision is read."""

from typing import Any

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import String, Table

ID_LENGTH = 64
"""Characters of a revision's id, which is its file's name (X-14); Alembic's own version table has 32."""


class VersionTable(PostgresqlImpl):
    """Alembic's PostgreSQL with room for such an id; the newest class of a dialect is the one Alembic uses."""

    __dialect__ = "postgresql"

    def version_table_impl(self, **options: Any) -> Table:
        """What `CREATE TABLE alembic_version` is made from."""
        made = super().version_table_impl(**options)
        made.c.version_num.type = String(ID_LENGTH)
        return made


OPTIONS: dict[str, Any] = {
    "version_table_schema": "alembic",  # no model and no grant of the product meets it there
    "transaction_per_migration": True,
    "compare_type": True,
    "compare_server_default": True,
}
"""What a MigrationContext is configured with."""
