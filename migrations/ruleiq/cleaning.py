"""For revisions that make existing rows fit a new constraint, and put them back on the way down.

What a row had before is kept in `alembic.cleaned_by_<number>`: table, row, column, original, replacement, why, when.
Row-level security is forced there without a policy, so that only those who see all rows, the migrator and the backup
role, see these; the schema's default grants alone would show them to the read-only and the monitoring role.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from alembic import context, op
from sqlalchemy import text

from environment.products import short

AS_MIGRATOR = "SET ROLE NONE"
AS_OWNER = "SET ROLE ruleiq_owner"

log = logging.getLogger("alembic.runtime.migration")


@dataclass(frozen=True)
class Rule:
    """Which rows of a table break a constraint, and what their column gets instead."""

    table: str
    column: str
    wrong: str
    """A condition on the row `t`; null means the row is kept as it is."""
    value: str
    """An expression of the column's type."""
    reason: str


def kept(revision: str) -> str:
    """The table of a revision's originals: alembic.cleaned_by_009."""
    return f"alembic.cleaned_by_{short(revision)}"


def make_table(revision: str) -> None:
    """The table for originals. As the owner."""
    op.execute(
        f"CREATE TABLE IF NOT EXISTS {kept(revision)} ("
        " table_name text NOT NULL, row_id text NOT NULL, column_name text NOT NULL,"
        " original jsonb, replacement jsonb, reason text NOT NULL, cleaned_at timestamptz NOT NULL DEFAULT now(),"
        " PRIMARY KEY (table_name, row_id, column_name))"
    )
    keep_private(kept(revision))


def keep_private(table: str) -> None:
    """Only the migrator writes and reads it, beside the backup role."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO ruleiq_migrator")


def clean(revision: str, rules: Sequence[Rule]) -> None:
    """Keep the originals of all rules, then change each row once. As the migrator, with the tables' triggers disabled:
    nobody edited these rows, so updated_at stays."""
    originals = kept(revision)
    for rule in rules:
        op.execute(
            f"INSERT INTO {originals} (table_name, row_id, column_name, original, replacement, reason)"
            f" SELECT '{rule.table}', t.id, '{rule.column}', to_jsonb(t.{rule.column}), to_jsonb({rule.value}),"
            f" '{rule.reason}' FROM {rule.table} t WHERE {rule.wrong}"
            " ON CONFLICT (table_name, row_id, column_name)"  # after an earlier run was killed: the first is the original
            " DO UPDATE SET replacement = excluded.replacement, cleaned_at = excluded.cleaned_at"
        )
    for table in tables(rules):
        _set(
            rules,
            table,
            f"SELECT row_id, column_name, replacement AS value FROM {originals}"
            f" WHERE table_name = '{table}' AND cleaned_at = now()",  # by this transaction
        )


def restore(revision: str, rules: Sequence[Rule]) -> None:
    """Put the originals back where the replacement is still there; what a user wrote since then stays. As `clean`."""
    for table in tables(rules):
        _set(
            rules,
            table,
            f"SELECT k.row_id, k.column_name, k.original AS value FROM {kept(revision)} k"
            f" JOIN {table} x ON x.id = k.row_id::uuid"
            f" WHERE k.table_name = '{table}' AND to_jsonb(x) -> k.column_name = coalesce(k.replacement, 'null')",
        )


def tables(rules: Sequence[Rule]) -> list[str]:
    """The tables of the rules."""
    return list(dict.fromkeys(rule.table for rule in rules))


def triggers(rules: Sequence[Rule], state: str) -> None:
    """DISABLE or ENABLE the tables' own triggers; from DISABLE on nobody else writes to them. As the owner."""
    for table in tables(rules):
        op.execute(f"ALTER TABLE {table} {state} TRIGGER USER")


def report(revision: str) -> None:
    """Say how many rows were changed for which reason: to psql and the server's log, and to Alembic's. As migrator."""
    counts = (
        "SELECT format('%s.%s: %s', table_name, column_name, reason) AS what, count(*) AS rows"
        f" FROM {kept(revision)} GROUP BY what ORDER BY what"
    )
    number, originals = short(revision), f"originals are kept in {kept(revision)}"
    op.execute(
        f"DO $$ DECLARE item record; BEGIN FOR item IN {counts} LOOP"
        f" RAISE WARNING 'ruleiq {number}: % rows changed, %; {originals}', item.rows, item.what;"
        " END LOOP; END $$"
    )
    if not context.is_offline_mode():
        for what, rows in op.get_bind().execute(text(counts)):
            log.warning("ruleiq %s: %s rows changed, %s; %s", number, rows, what, originals)


def _set(rules: Sequence[Rule], table: str, values: str) -> None:
    columns = list(dict.fromkeys(rule.column for rule in rules if rule.table == table))
    op.execute(
        f"UPDATE {table} t SET ({', '.join(columns)}) ="
        f" ROW ({', '.join(f'(jsonb_populate_record(t, v.changed)).{column}' for column in columns)})"
        f" FROM (SELECT row_id::uuid AS id, jsonb_object_agg(column_name, value) AS changed FROM ({values}) k"
        " GROUP BY row_id) v WHERE t.id = v.id"
    )
