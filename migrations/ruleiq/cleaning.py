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
    back: str = "true"
    """A condition on the kept row `k`: without it the original cannot be put back, and stays kept."""


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
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ruleiq_migrator")


def drop_if_empty(table: str) -> None:
    """Of those. As the migrator, who sees whether it is, by the owner, who may."""
    op.execute(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM {table}) THEN"
        f" {AS_OWNER}; DROP TABLE {table}; {AS_MIGRATOR}; END IF; END $$"
    )


def drop_constraint(table: str, name: str) -> None:
    """If it is there; DROP CONSTRAINT IF EXISTS would lock readers out also for one that is not. As the owner."""
    op.execute(
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = '{table}'::regclass AND conname = '{name}')"
        f" THEN ALTER TABLE {table} DROP CONSTRAINT {name}; END IF; END $$"
    )


def clean(revision: str, rules: Sequence[Rule]) -> None:
    """Keep the originals of all rules, then change each row once. As the migrator, with the tables' triggers disabled:
    nobody edited these rows, so updated_at stays. A run after a killed one finds what users have written since: what fits
    the rules stays, and of what does not, what they wrote last is the original, for they have replaced the one before."""
    originals = kept(revision)
    for rule in rules:
        op.execute(
            f"INSERT INTO {originals} (table_name, row_id, column_name, original, replacement, reason)"
            f" SELECT '{rule.table}', t.id, '{rule.column}', to_jsonb(t.{rule.column}), to_jsonb({rule.value}),"
            f" '{rule.reason}' FROM {rule.table} t WHERE {rule.wrong}"
            " ON CONFLICT (table_name, row_id, column_name) DO UPDATE SET original = excluded.original,"
            " replacement = excluded.replacement, reason = excluded.reason, cleaned_at = excluded.cleaned_at"
        )
    for table in tables(rules):
        _set(
            rules,
            table,
            f"SELECT row_id, column_name, replacement AS value FROM {originals}"
            f" WHERE table_name = '{table}' AND cleaned_at = now()",  # by this transaction
        )


def restore(revision: str, rules: Sequence[Rule]) -> None:
    """Put the originals back where the replacement is still there; what a user wrote since then stays. Still kept
    afterwards are those that cannot be put back, and nothing else. As `clean`."""
    originals = kept(revision)
    for table in tables(rules):
        possible = " ".join(f"WHEN '{rule.column}' THEN {rule.back}" for rule in rules if rule.table == table)
        replaced = "x.id = k.row_id::uuid AND to_jsonb(x) -> k.column_name = coalesce(k.replacement, 'null')"
        _set(
            rules,
            table,
            f"SELECT k.row_id, k.column_name, k.original AS value FROM {originals} k JOIN {table} x ON {replaced}"
            f" WHERE k.table_name = '{table}' AND CASE k.column_name {possible} END",
        )
        op.execute(
            f"DELETE FROM {originals} k WHERE k.table_name = '{table}' AND NOT EXISTS (SELECT FROM {table} x WHERE {replaced})"
        )


def tables(rules: Sequence[Rule]) -> list[str]:
    """The tables of the rules."""
    return list(dict.fromkeys(rule.table for rule in rules))


def triggers(rules: Sequence[Rule], state: str) -> None:
    """DISABLE or ENABLE the tables' own triggers; from DISABLE on nobody else writes to them. As the owner."""
    for table in tables(rules):
        op.execute(f"ALTER TABLE {table} {state} TRIGGER USER")


def report(revision: str, what: str = "rows changed") -> None:
    """Say of how many rows the originals are kept for which reason. As migrator."""
    tell(
        revision,
        f"SELECT format('%s {what}, %s.%s: %s; originals are kept in {kept(revision)}',"
        " count(*), table_name, column_name, reason) AS sentence"
        f" FROM {kept(revision)} GROUP BY table_name, column_name, reason ORDER BY 1",
    )


def tell(revision: str, sentences: str) -> None:
    """Each `sentence` of a query: to psql and the server's log, and to Alembic's."""
    op.execute(
        f"DO $$ DECLARE item record; BEGIN FOR item IN {sentences} LOOP"
        f" RAISE WARNING 'ruleiq {short(revision)}: %', item.sentence; END LOOP; END $$"
    )
    if not context.is_offline_mode():
        for (sentence,) in op.get_bind().execute(text(sentences)):
            log.warning("ruleiq %s: %s", short(revision), sentence)


def _set(rules: Sequence[Rule], table: str, values: str) -> None:
    columns = list(dict.fromkeys(rule.column for rule in rules if rule.table == table))
    op.execute(
        f"UPDATE {table} t SET ({', '.join(columns)}) ="
        f" ROW ({', '.join(f'(jsonb_populate_record(t, v.changed)).{column}' for column in columns)})"
        f" FROM (SELECT row_id::uuid AS id, jsonb_object_agg(column_name, value) AS changed FROM ({values}) k"
        " GROUP BY row_id) v WHERE t.id = v.id"
    )
