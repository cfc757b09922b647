"""Who approved evidence, and when (RIQ-14, RIQ-29, X-05, Q-25)

Revision: 010_add_approval_audit
Revises: 009_add_constraints

Approvals so far have no name and no date. Inventing them would be a false audit trail, so such evidence becomes
`collected` again, the state before approval, and is to be approved anew; alembic.cleaned_by_010 keeps what it was, and
the way down puts it back. On the way down, approvals made since are kept in alembic.approvals_of_010, and the next way
up takes them from there, if the evidence still has the status of then and whoever approved it still exists. What is not
taken stays there, and it is said how many. Locks, all of evidence_items and users, and what is left when it is killed:
as in 009.

approved_by is checked at the end of the transaction. Deleting a user deletes his evidence too, and the order of the two
foreign keys, which a restored dump changes, must not decide whether that succeeds. Whoever approved somebody else's
evidence cannot be deleted before it.
"""

from alembic import op

from migrations.ruleiq import cleaning
from migrations.ruleiq.cleaning import Rule

revision = "010_add_approval_audit"
down_revision = "009_add_constraints"
branch_labels = None
depends_on = None

CONSTRAINTS = {
    "evidence_items_approved_by_fkey": "FOREIGN KEY (approved_by) REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED",
    "chk_approval_workflow": "CHECK ((status = 'approved' AND approved_at IS NOT NULL AND approved_by IS NOT NULL)"
    " OR (status != 'approved'))",
}

KEPT = "alembic.approvals_of_010"


def _fits(row: str) -> str:
    """Whether evidence may take a kept approval `k`."""
    return (
        f"k.id = {row}.id AND k.status IS NOT DISTINCT FROM {row}.status"
        " AND (k.approved_by IS NULL OR EXISTS (SELECT FROM users u WHERE u.id = k.approved_by))"
    )


TAKE = f"""
WITH taken AS (
    UPDATE evidence_items e SET approved_at = k.approved_at, approved_by = k.approved_by FROM {KEPT} k
    WHERE {_fits("e")} AND e.approved_at IS NULL AND e.approved_by IS NULL RETURNING e.id
)
DELETE FROM {KEPT} k
WHERE k.id IN (SELECT id FROM taken) OR NOT EXISTS (SELECT FROM evidence_items e WHERE e.id = k.id)
"""

NOT_TAKEN = f"""
SELECT format('%s approvals not taken, the evidence has another status, or its approver is gone; kept in {KEPT}',
              count(*)) AS sentence FROM {KEPT} HAVING count(*) > 0
"""

KEEP = f"""
INSERT INTO {KEPT} SELECT id, status, approved_at, approved_by FROM evidence_items
WHERE approved_at IS NOT NULL OR approved_by IS NOT NULL
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, approved_at = excluded.approved_at, approved_by = excluded.approved_by
"""

RULES = (
    Rule(
        "evidence_items",
        "status",
        # The columns are not there yet, unless an earlier run was killed while validating.
        wrong="t.status = 'approved' AND to_jsonb(t) ->> 'approved_by' IS NULL"
        f" AND NOT EXISTS (SELECT FROM {KEPT} k WHERE {_fits('t')})",
        value="'collected'::text",
        reason="approved by nobody",
    ),
)


def upgrade() -> None:
    """Clean, columns, NOT VALID, VALIDATE."""
    _make_kept()
    cleaning.make_table(revision)
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    cleaning.clean(revision, RULES)
    cleaning.report(revision)
    op.execute(cleaning.AS_OWNER)
    op.execute(
        "ALTER TABLE evidence_items ADD COLUMN IF NOT EXISTS approved_at timestamptz,"
        " ADD COLUMN IF NOT EXISTS approved_by uuid"
    )
    op.execute(cleaning.AS_MIGRATOR)
    op.execute(TAKE)
    cleaning.tell(revision, NOT_TAKEN)
    cleaning.drop_if_empty(KEPT)
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    for name, definition in CONSTRAINTS.items():
        cleaning.drop_constraint("evidence_items", name)
        op.execute(f"ALTER TABLE evidence_items ADD CONSTRAINT {name} {definition} NOT VALID")
    with op.get_context().autocommit_block():
        for name in CONSTRAINTS:
            op.execute(f"ALTER TABLE evidence_items VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Keep the approvals, drop the columns; what was approved by nobody is approved again."""
    _make_kept()
    for name in CONSTRAINTS:
        op.execute(f"ALTER TABLE evidence_items DROP CONSTRAINT {name}")
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    op.execute(KEEP)
    cleaning.restore(revision, RULES)
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    op.execute("ALTER TABLE evidence_items DROP COLUMN approved_at, DROP COLUMN approved_by")
    op.execute(f"DROP TABLE {cleaning.kept(revision)}")


def _make_kept() -> None:
    op.execute(
        f"CREATE TABLE IF NOT EXISTS {KEPT}"
        " (id uuid PRIMARY KEY, status text, approved_at timestamptz, approved_by uuid)"
    )
    cleaning.keep_private(KEPT)
