"""Every revision of every product, by the SQL that it would print: no table is closed for long, all can go back."""

import pytest

from db import migrate
from environment.products import Product
from migrations import session
from tests.db import lint, printed, steps

CONCURRENT = (
    "COMMIT; SET lock_timeout = 0; SET statement_timeout = '1h'; DROP INDEX CONCURRENTLY IF EXISTS i;"
    " CREATE INDEX CONCURRENTLY i ON t (c); BEGIN;"
)

WRONG = {  # SQL of a revision, t being an older table → what is said
    "CREATE INDEX i ON public.t (c)": "CONCURRENTLY",
    'CREATE UNIQUE INDEX IF NOT EXISTS i ON ONLY "t" (c)': "CONCURRENTLY",
    "DO $$ BEGIN CREATE INDEX i ON t (c); END $$": "CONCURRENTLY",
    CONCURRENT.replace("COMMIT;", "").replace("BEGIN;", ""): "inside a transaction",
    CONCURRENT.replace("DROP INDEX CONCURRENTLY IF EXISTS i;", ""): "leftover",
    CONCURRENT.replace("lock_timeout = 0", "lock_timeout = '5s'"): "gives up",
    CONCURRENT.replace("'1h'", "0"): "for ever",
    CONCURRENT + "ALTER TABLE t ADD d int": "revision of its own",
    CONCURRENT + "DROP TABLE IF EXISTS t": "waits for a lock for ever",
    "SET lock_timeout TO '0'; ALTER TABLE t ADD d int": "waits for a lock for ever",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0)": "NOT VALID",
    "ALTER TABLE t ADD d int, ADD FOREIGN KEY (c) REFERENCES u (id)": "NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k": "under its lock",
    "ALTER TABLE t ADD CONSTRAINT k UNIQUE (c)": "USING INDEX",
    "ALTER TABLE t ADD COLUMN d uuid REFERENCES u": "references reads all rows",
    "ALTER TABLE t ADD COLUMN d int NOT NULL": "fails on a table with rows",
    "ALTER TABLE t ALTER COLUMN c SET NOT NULL": "IS NOT NULL",
    "LOCK TABLE t": "closes a table",
    "CLUSTER t USING i": "closes a table",
    "REINDEX TABLE t": "closes a table",
}

RIGHT = (
    CONCURRENT,
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS d jsonb;" + CONCURRENT,
    "CREATE TABLE n (id int); CREATE INDEX i ON n (id); ALTER TABLE n ADD CHECK (id > 0), ALTER id SET NOT NULL",
    "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (c) REFERENCES u (id) NOT VALID; COMMIT; BEGIN;"
    "ALTER TABLE t VALIDATE CONSTRAINT k",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (c IS NOT NULL) NOT VALID; COMMIT; BEGIN;"
    "ALTER TABLE t VALIDATE CONSTRAINT k; COMMIT; BEGIN; ALTER TABLE t ALTER c SET NOT NULL",
    "ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i",
    "ALTER TABLE t ADD d int NOT NULL DEFAULT 0",
    "COMMENT ON TABLE t IS 'CREATE INDEX i ON t (c); LOCK TABLE t' -- LOCK TABLE t;",
)


@pytest.mark.parametrize("sql", WRONG)
def test_the_lint_sees(sql: str) -> None:
    """One sentence for each thing that is wrong."""
    (sentence,) = [
        told for told in lint.complaints("r", list(printed.statements("r", sql)), lint.State()) if WRONG[sql] in told
    ]
    assert sentence.startswith("r: ")


@pytest.mark.parametrize("sql", RIGHT)
def test_the_lint_is_content(sql: str) -> None:
    """The ways that the template of a revision shows, and what only looks like a fault."""
    state = lint.State()
    assert lint.complaints("r", list(printed.statements("r", sql)), state) == []
    assert lint.never_validated(state) == []


def test_a_constraint_that_stays_not_valid_is_told() -> None:
    """Also when no later revision exists."""
    state = lint.State()
    sql = "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID"
    assert lint.complaints("r", list(printed.statements("r", sql)), state) == []
    assert lint.never_validated(state) == ["k was added NOT VALID and is never validated"]


def test_no_revision_closes_a_table_for_long(product: Product) -> None:
    """PLAT-27, RIQ-25: indexes CONCURRENTLY, constraints NOT VALID first, every other wait for a lock limited."""
    assert f"SET lock_timeout = '{lint.LIMITS['lock_timeout']}'" in session.settings(product)
    reasons = {revision.revision: lint.reason_of(revision) for revision in steps.revisions(product)}
    state, unexplained = lint.State(), []
    found = printed.upgrades(product)
    assert list(found) == list(reasons)
    for revision, statements in found.items():
        told = lint.complaints(revision, statements, state)
        if told and reasons[revision]:
            print(f"{product.name} {revision}: {reasons[revision]}")
        else:
            unexplained += told
    assert unexplained + lint.never_validated(state) == []


def test_every_revision_can_go_back(product: Product) -> None:
    """PLAT-27, ADA-19: each has a downgrade that does something."""
    found = printed.downgrades(product)
    assert list(found) == [revision.revision for revision in steps.revisions(product)][::-1]
    idle = [name for name, statements in found.items() if all(one.text.startswith("set ") for one in statements)]
    assert idle == []
    assert migrate.head(product) in found
