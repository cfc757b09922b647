"""Business rules and references, on rows that break them (RIQ-11, RIQ-12, RIQ-13, RIQ-16, RIQ-25, X-33, X-48, Q-29)

Revision: 009_add_constraints
Revises: 008_fix_truncated_column_names

The first transaction shuts out writers, cleans the existing rows of all tenants as the migrator, and adds the constraints
NOT VALID: to everybody else both happen at once. In this order readers wait only for the moment of the ALTER TABLEs at
its end, not for the cleaning (measured with 1 million pieces of evidence on a busy machine: 5 s for writers, 0.1 s for
readers). They keep readers out of evidence_items and business_profiles (ACCESS EXCLUSIVE), and writers also out of
assessment_sessions, generated_policies and, at the end, compliance_frameworks (SHARE ROW EXCLUSIVE). A second run after a
killed one, and the way down, drop constraints first, which keeps readers out of all five.
Validation comes after it, in statements of their own that block neither readers nor writers. Killed before, nothing has
happened; killed while validating, constraints are left that hold for every row but are NOT VALID in the catalogue, and
running again validates them. The way down is made alike: killed while it validates, it has left the rules behind, still
counts as 009, and is to be run again.

Nothing is lost: alembic.cleaned_by_009 keeps every original value, and the way down puts it back where nobody has
written another one since. Evidence cannot name a profile again that has been deleted since: such originals stay kept,
and the way down says how many.
- A status, or sensitivity, in other letters gets the right ones. Any other is not to count as more than it is: a status
  becomes not_started, a sensitivity Critical, until somebody has looked.
- An employee count of zero or less becomes unknown, null.
- A profile that does not exist, or belongs to another user, becomes null: row-level security (012) would hide it, and
  its deletion would take the row along.
- A framework that rows name and the table has not is added to it, inactive, under its id: the rows keep what they say.

Null stays allowed in status, employee_count and data_sensitivity (Q-29): the document's columns are nullable, and null
says that nobody has stated it. A CHECK lets null pass.
"""

from alembic import op

from migrations.ruleiq import cleaning
from migrations.ruleiq.cleaning import Rule

revision = "009_add_constraints"
down_revision = "008_fix_truncated_column_names"
branch_labels = None
depends_on = None

STATUSES = "('not_started', 'in_progress', 'collected', 'approved', 'rejected')"
SENSITIVITIES = "('Low', 'Medium', 'High', 'Critical')"
STATUS = r"lower(regexp_replace(btrim(t.status), '[\s-]+', '_', 'g'))"
SENSITIVITY = "initcap(btrim(t.data_sensitivity))"

CONSTRAINTS = (
    ("evidence_items", "chk_evidence_status", f"CHECK (status IN {STATUSES})"),
    ("business_profiles", "chk_employee_count_positive", "CHECK (employee_count > 0)"),
    ("business_profiles", "chk_data_sensitivity", f"CHECK (data_sensitivity IN {SENSITIVITIES})"),
    (
        "assessment_sessions",
        "fk_assessment_business_profile",
        "FOREIGN KEY (business_profile_id) REFERENCES business_profiles (id) ON DELETE CASCADE",
    ),
    (
        "generated_policies",
        "fk_generated_policy_business_profile",
        "FOREIGN KEY (business_profile_id) REFERENCES business_profiles (id) ON DELETE CASCADE",
    ),
    (
        "evidence_items",
        "evidence_items_business_profile_id_fkey",  # 003 made it without ON DELETE
        "FOREIGN KEY (business_profile_id) REFERENCES business_profiles (id) ON DELETE CASCADE",
    ),
    (
        "assessment_sessions",
        "fk_assessment_framework",
        "FOREIGN KEY (framework_id) REFERENCES compliance_frameworks (id) ON DELETE RESTRICT",
    ),
    (
        "evidence_items",
        "fk_evidence_framework",
        "FOREIGN KEY (framework_id) REFERENCES compliance_frameworks (id) ON DELETE RESTRICT",
    ),
)


BEFORE = "FOREIGN KEY (business_profile_id) REFERENCES business_profiles (id)"
"""What 003 has as evidence_items_business_profile_id_fkey."""


def _profile(table: str, back: str = "true") -> Rule:
    return Rule(
        table,
        "business_profile_id",
        wrong="t.business_profile_id IS NOT NULL AND NOT EXISTS (SELECT FROM business_profiles p"
        " WHERE p.id = t.business_profile_id AND (p.user_id = t.user_id OR t.user_id IS NULL))",
        value="null::uuid",
        reason="no profile of the same user",
        back=back,
    )


RULES = (
    Rule(
        "evidence_items",
        "status",
        wrong=f"t.status NOT IN {STATUSES}",
        value=f"CASE WHEN {STATUS} IN {STATUSES} THEN {STATUS} ELSE 'not_started' END",
        reason="not a status",
    ),
    Rule(
        "business_profiles",
        "data_sensitivity",
        wrong=f"t.data_sensitivity NOT IN {SENSITIVITIES}",
        value=f"CASE WHEN {SENSITIVITY} IN {SENSITIVITIES} THEN {SENSITIVITY} ELSE 'Critical' END",
        reason="not a sensitivity",
    ),
    Rule("business_profiles", "employee_count", "t.employee_count <= 0", "null::integer", "not positive"),
    _profile("evidence_items", "EXISTS (SELECT FROM business_profiles p WHERE p.id = (k.original #>> '{}')::uuid)"),
    _profile("assessment_sessions"),
    _profile("generated_policies"),
)

NAMED_FRAMEWORKS = """
WITH made AS (
    INSERT INTO compliance_frameworks (id, name, is_active)
    SELECT framework_id, framework_id, false
    FROM (SELECT framework_id FROM assessment_sessions UNION SELECT framework_id FROM evidence_items) named
    WHERE framework_id IS NOT NULL AND NOT EXISTS (SELECT FROM compliance_frameworks f WHERE f.id = framework_id)
    RETURNING id
)
INSERT INTO alembic.cleaned_by_009 (table_name, row_id, column_name, replacement, reason)
SELECT 'compliance_frameworks', id, 'id', to_jsonb(id), 'named by rows, added as inactive' FROM made
"""

UNNAMED_FRAMEWORKS = """
DELETE FROM compliance_frameworks f USING alembic.cleaned_by_009 k
WHERE k.table_name = 'compliance_frameworks' AND k.row_id = f.id AND NOT f.is_active
  AND NOT EXISTS (SELECT FROM implementation_plans p WHERE p.framework_id = f.id)
  AND NOT EXISTS (SELECT FROM readiness_assessments r WHERE r.framework_id = f.id)
"""


def upgrade() -> None:
    """Clean, NOT VALID, VALIDATE."""
    cleaning.make_table(revision)
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    op.execute(NAMED_FRAMEWORKS)
    cleaning.clean(revision, RULES)
    cleaning.report(revision)
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    for table, name, definition in CONSTRAINTS:
        cleaning.drop_constraint(table, name)
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
    with op.get_context().autocommit_block():
        for table, name, _ in CONSTRAINTS:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Without the constraints the originals come back; evidence has its foreign key of 003 again."""
    cleaning.make_table(revision)
    for table, name, _ in CONSTRAINTS:
        cleaning.drop_constraint(table, name)
    cleaning.triggers(RULES, "DISABLE")
    op.execute(cleaning.AS_MIGRATOR)
    cleaning.restore(revision, RULES)
    op.execute(UNNAMED_FRAMEWORKS)
    op.execute(f"DELETE FROM {cleaning.kept(revision)} WHERE table_name = 'compliance_frameworks'")
    cleaning.report(revision, "rows not put back")
    cleaning.drop_if_empty(cleaning.kept(revision))
    op.execute(cleaning.AS_OWNER)
    cleaning.triggers(RULES, "ENABLE")
    name = "evidence_items_business_profile_id_fkey"
    op.execute(f"ALTER TABLE evidence_items ADD CONSTRAINT {name} {BEFORE} NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE evidence_items VALIDATE CONSTRAINT {name}")
