"""The live database against the five documents' own statements: nothing missing, different or extra."""

from environment.products import Product
from keel_host import catalogue
from tests.db import documented
from tools.scratch_server import Server


def test_the_database_is_the_documents(server: Server, product: Product, at_head: str) -> None:
    """PLAT-13, PLAT-14: every table, column, default, constraint and index is the document's or has a reason.

    BAC-09, BAC-13 to BAC-18, BAC-21, BAC-22, ADA-07 to ADA-12, ADA-15, JEEX-07 to JEEX-11, JEEX-13, CF-05 to CF-15, RIQ-04 to RIQ-16.
    """
    document = documented.build(server, product)
    assert any(key.startswith("table ") for key in document)
    with server.connect(product.name) as connection:
        live = catalogue.read(connection)
    assert documented.unexplained(document, live, documented.departures(product)) == []


def test_the_record_is_the_database(server: Server, product: Product, at_head: str) -> None:
    """PLAT-14, RIQ-09: db/<product>/catalogue.txt is what a new database at head holds; `make catalogue` writes it."""
    with server.connect(product.name) as connection:
        found = catalogue.differences(catalogue.recorded(product.catalogue_file), catalogue.read(connection))
    assert found == [], "run `make catalogue` and read what changed"


def test_every_difference_is_seen(server: Server, product: Product, at_head: str) -> None:
    """PLAT-14: a name, type, default, constraint, index, policy, grant or function more, less or other is told."""
    table = next(iter(product.tables))
    changes = {
        f"ALTER TABLE {table} ADD truncated_nam text": f"extra: column {table}.truncated_nam: text",
        f"ALTER TABLE {table} ADD CONSTRAINT c CHECK (true) NOT VALID": f"extra: constraint {table}.c: CHECK (true) NOT VALID",
        f"CREATE INDEX i ON {table} ((1))": f"extra: index i: CREATE INDEX i ON public.{table} USING btree ((1))",
        "CREATE TABLE t ()": "extra: table t: ",
        "CREATE VIEW v AS SELECT 1 AS one": "extra: view v: SELECT 1 AS one;",
        f"CREATE POLICY p ON {table}": f"extra: policy {table}.p: permissive for all to PUBLIC using (-) with check (-)",
        f"ALTER TABLE {table} RENAME TO short": f"missing: table {table}",
        f"GRANT TRUNCATE ON {table} TO PUBLIC": f"extra: grant {table}.PUBLIC: TRUNCATE",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'": "extra: function f(): integer sql, volatile",
        f"DROP TABLE {table} CASCADE": f"missing: table {table}",
    }
    with server.connect(product.name) as connection:
        wanted = catalogue.read(connection)
        for statement, sentence in changes.items():
            connection.execute(statement.encode())
            found = catalogue.differences(wanted, catalogue.read(connection))
            connection.rollback()
            assert any(line.startswith(sentence) for line in found), (statement, found)
