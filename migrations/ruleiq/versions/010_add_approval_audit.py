"""Who approved evidence, and when (RIQ-14, RIQ-29, X-05, Q-25)

Revision: 010
Revises: 009

Approvals so far have no name and no date. Inventing them would be a false audit trail, so such evidence becomes
`collected` again, the state before approval, and is to be approved anew; alembic.cleaned_by_010 keeps what it was, and
the way down puts it back. On the way down, approvals made since are kept in alembic.approvals_of_010, and the next way
up takes them from there. Locks and what is left when it is killed: as in 009.

approved_by is checked at the end of the transaction. Deleting a user deletes his evidence too, and the order of the two
foreign keys, which a restored dump changes, must not decide whether that succeeds. Whoever approved somebody else's
evidence cannot be deleted before it.
"""

from alembic import op

from migrations.ruleiq import cleaning
from migrations.ruleiq.cleaning import Rule

revision = "010"
down_revision = "009"
branch_labels = None
depends_on = None

CONSTRAINTS = {
    "evidence_items_approved_by_fkey": "FOREIGN KEY (approved_by) REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED",
    "chk_approval_workflow": "CHECK ((status = 'approved' AND approved_at IS NOT NULL AND approved_by IS NOT NULL)"
    " OR (status != 'approved'))",
}

RULES = (
    Rule(
        "evidence_items",
        "status",
        wrong="t.status = 'approved' AND (t.approved_at IS NULL OR t.approved_by IS NULL)",
        value="'collected'::text",
        reason="approved by nobody",
    ),
)

TAKE_KEPT_APPROVALS = """
DO $$ BEGIN
    IF to_regclass('alembic.approvals_of_010') IS NOT NULL THEN
        UPDATE evidence_items e SET approved_at = k.approved_at, approved_by = k.approved_by
        FROM alembic.approvals_of_010 k JOIN users u ON u.id = k.approved_by WHERE k.id = e.id;
    END IF;
END $$
"""


def upgrade() -> None:
    """Columns, then NOT VALID, clean, VALIDATE."""
    op.execute(
        "ALTER TABLE evidence_items ADD COLUMN IF NOT EXISTS approved_at timestamptz,"
        " ADD COLUMN IF NOT EXISTS approved_by uuid"
    )
    cleaning.make_table(revision)
    cleaning.triggers(RULES, "DISABLE")
    for name, definition in CONSTRAINTS.items():
        op.execute(f"ALTER TABLE evidence_items DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE evidence_items ADD CONSTRAINT {name} {definition} NOT VALID")
    op.execute(cleaning.AS_MIGRATOR)
    op.execute(TAKE_KEPT_APPROVALS)
    cleaning.clean(revision, RULES)
    cleaning.report(revision)
    op.execute(cleaning.AS_OWNER)
    op.execute("DROP TABLE IF EXISTS alembic.approvals_of_010")
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come cannot be altered
    cleaning.triggers(RULES, "ENABLE")
    with op.get_context().autocommit_block():
        for name in CONSTRAINTS:
            op.execute(f"ALTER TABLE evidence_items VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Keep the approvals, drop the columns; what was approved by nobody is approved again."""
    op.execute("CREATE TABLE alembic.approvals_of_010 (id uuid PRIMARY KEY, approved_at timestamptz, approved_by uuid)")
    cleaning.keep_private("alembic.approvals_of_010")
    for name in CONSTRAINTS:
        op.execute(f"ALTER TABLE evidence_items DROP CONSTRAINT {name}")
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    op.execute(
        "INSERT INTO alembic.approvals_of_010 SELECT id, approved_at, approved_by FROM evidence_items"
        " WHERE approved_at IS NOT NULL OR approved_by IS NOT NULL"
    )
    cleaning.restore(revision, RULES)
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    op.execute("ALTER TABLE evidence_items DROP COLUMN approved_at, DROP COLUMN approved_by")
    op.execute(f"DROP TABLE alembic.cleaned_by_{revision}")
