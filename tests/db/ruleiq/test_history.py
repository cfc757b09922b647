"""ruleIQ's real story: revisions and names as the document has them, all the way up and down."""

import re

import pytest
from alembic import command

from db import migrate, repeatable
from environment.products import ROOT, Product
from tests.db.fixtures import only
from tests.db.ruleiq.steps import Query, at, back, columns, contents
from tests.db.steps import revisions
from tools.scratch_server import Server

product = only("ruleiq")

DOCUMENT = ROOT / "docs" / "ruleiq-column-names.md"


def test_the_document_for_owners_of_the_api_is_the_catalogues(product: Product) -> None:
    """RIQ-37, X-31: table, old and new name of all nine, as product.yaml has them."""
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    renamed = [(table, old, new) for table, names in product.renamed.items() for old, new in names.items()]
    assert sorted(listed) == sorted(renamed)
    assert len(renamed) == 9


def test_the_revisions_are_the_documents(product: Product) -> None:
    """RIQ-22, RIQ-25, RIQ-35: seven of the document's names, then names, rules, audit, indexes, row-level security."""
    ids = [revision.revision for revision in revisions(product)]
    assert ids == [
        "001_initial_migration",
        "002_base_schema",
        "003_core_tables",
        "004_add_integration_configs",
        "005_add_business_profile_data_sensitivity",
        "006_add_performance_indexes",
        "007_add_evidence_metadata",
        "008_fix_truncated_column_names",
        "009_add_constraints",
        "010_add_approval_audit",
        "011_add_functional_indexes",
        "012_enable_row_level_security",
        "013_defaults_in_utc",  # ours
    ]


def test_nine_names_are_cut_until_008_and_again_on_the_way_back(
    server: Server, product: Product, empty: str, query: Query
) -> None:
    """RIQ-22, RIQ-23, RIQ-24, Q-20, Q-22: 007 has the short names only, 008 the full ones only, rows stay, twice."""
    at(product, empty, "007")
    before = {table: columns(server, product, table) for table in product.renamed}
    for table, names in product.renamed.items():
        assert set(names) <= before[table]
        assert not set(names.values()) & before[table]
    query("INSERT INTO users (email, hashed_password) VALUES ('a@keel.invalid', '!')")
    query(
        "INSERT INTO business_profiles (user_id, company_name, handles_persona, processes_payme, stores_health_d,"
        " provides_financ, operates_critic, has_internation) SELECT id, 'c', true, false, null, true, false, true FROM users"
    )
    query(
        "INSERT INTO assessment_sessions (user_id, business_profil, framework_id, questions_answe)"
        " SELECT user_id, id, 'gdpr', '{\"q\": 1}' FROM business_profiles"
    )
    query(
        "INSERT INTO generated_policies (user_id, business_profil, policy_name) SELECT user_id, id, 'p' FROM business_profiles"
    )
    values = {table: query(f"SELECT * FROM {table}") for table in product.renamed}
    for _ in range(2):
        at(product, empty, "008")
        for table, names in product.renamed.items():
            now = columns(server, product, table)
            assert now == {names.get(column, column) for column in before[table]}
            assert query(f"SELECT * FROM {table}") == values[table]
        back(product, empty, "007")
        assert {table: columns(server, product, table) for table in product.renamed} == before
        assert {table: query(f"SELECT * FROM {table}") for table in product.renamed} == values


def test_the_way_back_and_forth_loses_nothing(server: Server, product: Product, empty: str) -> None:
    """PLAT-27, RIQ-24: from head to 007, where every column still has a place, one revision at a time, and up again:
    each row is as it was, approvals with name and date, updated_at too."""
    migrate.upgrade(product, empty)
    for which in ("reference", "demo"):
        assert migrate.seed(product, empty, which, production=False)
    before = contents(server, product)
    assert any('"approved"' in row for (row,) in before["evidence_items"])
    for _ in range(6):
        command.downgrade(migrate.config(product, empty), "-1")
    assert migrate.current(product, empty) == "007_add_evidence_metadata"
    for _ in range(6):
        command.upgrade(migrate.config(product, empty), "+1")
    assert contents(server, product) == before
    assert migrate.differences(product, empty) == []
    assert repeatable.drift(product, empty) == []
    private = server.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'alembic'::regnamespace AND relkind = 'r' ORDER BY 1",
        product.name,
    )
    assert private == [
        ("alembic_version",),
        ("cleaned_by_009",),
        ("cleaned_by_010",),
        ("cleaned_by_012",),
        ("repeatable",),
    ]


def test_down_to_nothing_with_rows_one_revision_at_a_time(server: Server, product: Product, empty: str) -> None:
    """PLAT-27: tables leave with their rows, nothing of them stays in the way of the next time."""
    for _ in range(2):
        migrate.upgrade(product, empty)
        assert migrate.seed(product, empty, "demo", production=False)
        while migrate.current(product, empty):
            command.downgrade(migrate.config(product, empty), "-1")
        left = server.execute(
            "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'alembic')"
            " AND relkind = 'r' AND relname NOT IN ('alembic_version', 'repeatable')",
            product.name,
        )
        assert left == []


@pytest.mark.parametrize(
    ("revision", "before", "index", "definition"),
    [
        ("006", "005", "idx_evidence_user_status", "evidence_items (user_id, status)"),
        ("011", "010", "idx_users_email_lower", "users (lower(email))"),
    ],
)
def test_an_invalid_leftover_is_built_anew(
    server: Server, product: Product, empty: str, revision: str, before: str, index: str, definition: str
) -> None:
    """RIQ-10, RIQ-15: what a killed build leaves behind does not stop the next run, and is valid after it."""
    at(product, empty, before)
    with server.connect(product.name, product.migrator_role) as connection:
        connection.execute(f"SET ROLE {product.owner_role}".encode())
        connection.execute(f"CREATE INDEX {index} ON {definition}".encode())
        connection.commit()
    with server.connect(product.name) as connection:
        connection.execute("SET allow_system_table_mods = on")
        connection.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass".encode())
        connection.commit()
    at(product, empty, revision)
    assert server.execute(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{index}'::regclass", product.name) == [
        (True,)
    ]
