<% product = config.config_ini_section %>"""${message}

Revision: ${up_revision}
Revises: ${down_revision | comma,n}

Rules. Each revision is one transaction and runs as ${product}_owner, with lock_timeout 5s and row_security off.
- The release before this one still runs: add, fill, switch, and drop only in a later release.
- A new table with rows of users: ENABLE and FORCE ROW LEVEL SECURITY here, its policies in db/${product}/policies.sql.
- Triggers, policies, grants and functions are not made here: db/${product}/*.sql, applied after each upgrade.
- A column is NOT NULL in three steps: nullable with default; fill; CHECK … NOT VALID, VALIDATE, SET NOT NULL.
- Rows are changed as the migrator, who sees all of them:
      op.execute("SET ROLE NONE"); …; op.execute("SET ROLE ${product}_owner")
- An index on a table with rows is a revision of its own, which can be run again after it was killed:
      with op.get_context().autocommit_block():
          op.execute("SET lock_timeout = 0"); op.execute("SET statement_timeout = '1h'")
          op.execute("DROP INDEX CONCURRENTLY IF EXISTS name")  # an INVALID leftover
          op.execute("CREATE INDEX CONCURRENTLY name ON …")
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
