"""The queries that a product's document names or that its pages ask all the time, from `db/<name>/queries.yaml`.

They are measured on rows of `db.populate` (BAC-44, RIQ-33, CF-35), and a test asks for their indexes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import psycopg
import yaml
from psycopg.rows import dict_row
from pydantic import Field, TypeAdapter, ValidationError

from environment.errors import KeelError
from environment.products import Product
from environment.types import Model

IDENTITY = "identity"
"""The parameter that is the tenant on whose behalf a query runs, for products with row-level security."""


class QueriesError(KeelError):
    """A `queries.yaml` that cannot be used: the file, the field and what is allowed."""


class Query(Model):
    """One query of the application."""

    name: str = Field(description="What it shows, in a few words.")
    requirement: Annotated[str, Field(pattern=r"^[A-Z]+-[0-9]+$")] = Field(description="Whose query it is.")
    sql: str = Field(description="As the application sends it, with parameters `%(name)s`.")
    parameters: str = Field(
        description="SQL of the migrator: rows whose columns are the parameters, in an order of their own. "
        f"`{IDENTITY}` is one of them where row-level security applies."
    )
    indexes: tuple[str, ...] = Field(min_length=1, description="The plan uses at least one of these.")
    unrestricted: str | None = Field(
        default=None,
        description="The same rows for a role that sees all tenants, where `sql` leaves the tenant to the policies.",
    )


def queries(product: Product) -> tuple[Query, ...]:
    """The product's queries, none when it has no such file. Raises QueriesError."""
    path = product.folder / "queries.yaml"
    return read(path) if path.exists() else ()


def read(path: Path) -> tuple[Query, ...]:
    """Read one `queries.yaml`. Raises QueriesError."""
    try:
        return TypeAdapter(tuple[Query, ...]).validate_python(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        raise QueriesError(f"{path}: {error}") from error


def samples(migrator: "psycopg.Connection[Any]", query: Query) -> list[dict[str, Any]]:
    """What to run the query with; the migrator sees the rows of all tenants."""
    return migrator.cursor(row_factory=dict_row).execute(query.parameters.encode()).fetchall()


def act_for(connection: "psycopg.Connection[Any]", parameters: Mapping[str, Any]) -> None:
    """From here to the end of the transaction on behalf of the tenant among the parameters (PLAT-17)."""
    if IDENTITY in parameters:
        connection.execute(b"select set_config('app.current_user_id', %s, true)", [str(parameters[IDENTITY])])


def run(connection: "psycopg.Connection[Any]", statement: str, parameters: Mapping[str, Any]) -> "psycopg.Cursor[Any]":
    """Execute a statement on behalf of that tenant."""
    act_for(connection, parameters)
    return connection.execute(statement.encode(), parameters)


def used_indexes(connection: "psycopg.Connection[Any]", query: Query, parameters: Mapping[str, Any]) -> set[str]:
    """The indexes in the query's plan, policies included; the connection is the application's."""
    found = run(connection, f"explain (format json) {query.sql}", parameters).fetchone()
    return {node["Index Name"] for node in plan_nodes(found[0][0]["Plan"]) if "Index Name" in node} if found else set()


def plan_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of EXPLAIN (FORMAT JSON) and all below it, sub-selects of policies included."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from plan_nodes(below)
