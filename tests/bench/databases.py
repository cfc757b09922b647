"""`make bench-databases`: populate rate, migrations, and the products' queries on rows of their documents' upper estimates.

    python -m tests.bench.databases [--size large] [--env NAME] [--json] [PRODUCT…]

In an environment of its own like dev, with every product, removed afterwards; or with --env in a running one of kind
dev or ci, whose rows are lost. Queries run as the application through PgBouncer, under row-level security (BAC-44).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from db import load_rows, migrate
from db.populate import Size
from environment.products import Product, catalogue
from ops.hosts.environment import open_environment
from ops.hosts.session import Session
from ops.products.migrations import migrator
from tests.bench.migrations import on_empty, on_filled, staying
from tests.bench.queries import measure, ways
from tests.system.environments import discard, prepare
from tools import evidence

SEED = 1
AIM_MS = 100.0
"""95 of a hundred transactions of a typical query (BAC-44)."""
AIM_RLS = 0.10
"""What row-level security may add to the median of the same query (issue 4)."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    products: Annotated[list[str] | None, typer.Argument(help="by name; all when none is named")] = None,
    size: Annotated[Size, typer.Option(help="how many rows")] = Size.LARGE,
    environment: Annotated[str | None, typer.Option("--env", help="a running environment, whose rows are lost")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="write the figures below docs/evidence")] = False,
) -> None:
    """Measure and print; each product by itself, so that one that fails leaves the figures of those before it."""
    if unknown := set(products or ()) - set(catalogue()):
        raise typer.BadParameter(f"no product {', '.join(sorted(unknown))}; there are {', '.join(catalogue())}")
    chosen = {name: product for name, product in catalogue().items() if not products or name in products}
    found: dict[str, Any] = {}
    with _environment(environment, list(chosen)) as session:
        for product in chosen.values():
            found[product.name] = bench(session, product, size)
            show(product, found[product.name])
    if as_json:
        command = f"python -m tests.bench.databases --size {size} --json"
        content = evidence.circumstances(command) | {"seed": SEED, "products": found}
        evidence.keep(evidence.FOLDER / f"bench-databases-{datetime.now(UTC).date()}.json", content)


def bench(session: Session, product: Product, size: Size) -> dict[str, Any]:
    """One product: its rows are replaced."""

    def told(table: str, done: int, of: int) -> None:
        if done == of:
            print(f"{product.name}: {table}: {of} rows", flush=True)

    with migrator(session, product) as url:
        print(f"{product.name}: migrations on empty tables", flush=True)
        left, empty = staying(product, url), on_empty(product, url)
        made = load_rows.populate(product, url, size, seed=SEED, progress=told, replace=True)
        with ways(session, product) as opened:
            timed = measure(product, opened)
        filled = on_filled(session, product, url, left, lambda line: print(line, flush=True))
        different = migrate.differences(product, url)
    return {
        "migrations_empty": empty,
        "populate": {
            name: {"rows": one.rows, "seconds": round(one.seconds, 2), "rows_per_second": round(one.rate)}
            for name, one in made.items()
        },
        "queries": timed,
        "migrations_filled": filled,
        "differences_afterwards": different,
    }


def show(product: Product, found: dict[str, Any]) -> None:
    """Print one product's figures."""
    console = Console(width=150, highlight=False)
    empty = found["migrations_empty"]
    console.rule(product.title)
    print(f"migrations on empty tables: {empty['revisions']} revisions up {empty['up_s']} s, down {empty['down_s']} s")
    rows = _table("table", "rows", "seconds", "rows/s")
    for name, one in found["populate"].items():
        rows.add_row(name, f"{one['rows']:,}", f"{one['seconds']:.1f}", f"{one['rows_per_second']:,}")
    console.print(rows)
    timed = _table("query", "requirement", "rows", "p50 ms", "p95 ms", "p99 ms", "RLS", "indexes of the plan")
    for one in found["queries"]:
        whole = one["transaction_ms"]
        style = "red" if whole["p95"] >= AIM_MS else None
        timed.add_row(
            one["query"], one["requirement"], f"{one['rows']:g}", *(f"{whole[p]:.2f}" for p in ("p50", "p95", "p99")),
            _overhead(one["rls"]), ", ".join(one["indexes"]), style=style,
        )  # fmt: skip
    console.print(timed)
    moved = _table("revision", "up s", "down s", "queries' medians in ms, before → after")
    for step in found["migrations_filled"]:
        around = [f"{name}: {before} → {step['after_ms'][name]}" for name, before in step["before_ms"].items()]
        moved.add_row(step["revision"], f"{step['up_s']:.2f}", f"{step['down_s']:.2f}", "\n".join(around))
    console.print(moved)
    for line in found["differences_afterwards"]:
        console.print(line, style="red")


def _overhead(rls: dict[str, Any] | None) -> str:
    if rls is None:
        return "–"
    if not rls["comparable"]:
        return "other rows"
    return f"{rls['overhead']:+.0%}{' !' if rls['overhead'] > AIM_RLS else ''}"


def _table(*columns: str) -> Table:
    made = Table()
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 or "quer" in column or "index" in column else "right")
    return made


@contextmanager
def _environment(name: str | None, products: list[str]) -> Iterator[Session]:
    """The running one of that name, or one of our own."""
    if name:
        with open_environment(name) as session:
            if session.manifest.identity.kind.guarded:
                raise SystemExit(
                    f"{name} is {session.manifest.identity.kind}: its rows would be lost. Nothing was changed"
                )
            yield session
        return
    own = prepare("dev")
    try:
        own.config["keel:products"] = {name: own.config["keel:products"][name] for name in products}
        own.save()
        print(f"{own.name}: coming up", flush=True)
        own.up()
        with own.session() as session:
            yield session
    finally:
        discard(own)


if __name__ == "__main__":
    app()
