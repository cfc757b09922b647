"""The database that a product's document describes, and what ours has beyond it."""

import importlib
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from pydantic import Field
from sqlalchemy import create_engine, pool

from environment.products import Product
from environment.types import Model
from keel_host import catalogue
from keel_host.catalogue import Catalogue
from tools.scratch_server import Server

FOLDER = Path(__file__).parent / "documents"
REPEATED = ("policy ", "grant ", "trigger ", "function ")
"""Only these follow a pattern, so that one line may stand for many."""


class Departure(Model):
    """What one requirement or resolution changes against the document."""

    added: tuple[str, ...] = Field(
        default=(), description="Keys that the document does not have, whatever they are defined as."
    )
    changed: dict[str, str] = Field(
        default_factory=dict, description="Key → our definition, where the document has another one or none."
    )
    removed: tuple[str, ...] = Field(default=(), description="Keys that only the document has.")


def departures(product: Product) -> dict[str, Departure]:
    """By requirement, X- or Q-id, with a few words."""
    listed = yaml.safe_load((FOLDER / f"{product.name}.yaml").read_text())
    return {reason: Departure.model_validate(entry) for reason, entry in listed.items()}


def build(server: Server, product: Product) -> Catalogue:
    """Run the document's own statements, or models, in a scratch database; gives its catalogue."""
    scratch = f"document_{product.name}"
    server.execute(f"DROP DATABASE IF EXISTS {scratch}")
    server.execute(f"CREATE DATABASE {scratch} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'")
    try:
        for extension in product.extensions:
            server.execute(f'CREATE EXTENSION "{extension}"', scratch)
        if (path := FOLDER / f"{product.name}.sql").exists():
            server.execute(path.read_text(), scratch)
        else:
            models = importlib.import_module(f"tests.db.documents.{product.name}")
            creator = create_engine(
                "postgresql+psycopg://", creator=lambda: server.connect(scratch), poolclass=pool.NullPool
            )
            models.metadata.create_all(creator)
        with server.connect(scratch) as connection:
            return catalogue.read(connection)
    finally:
        server.execute(f"DROP DATABASE {scratch}")


def unexplained(document: Catalogue, live: Catalogue, listed: dict[str, Departure]) -> list[str]:
    """Every difference without a reason, and every reason without a difference."""
    patterns = {pattern: reason for reason, departure in listed.items() for pattern in departure.added}
    changed = {key: text for departure in listed.values() for key, text in departure.changed.items()}
    removed = {key for departure in listed.values() for key in departure.removed}
    problems = [f"{pattern}: a pattern" for pattern in patterns if "*" in pattern and not pattern.startswith(REPEATED)]

    expected = {key: text for key, text in document.items() if key not in removed} | changed
    extra = live.keys() - document.keys()
    explained = {key for key in extra if any(_matches(key, pattern) for pattern in patterns)}
    problems += catalogue.differences(expected, {key: text for key, text in live.items() if key not in explained})

    problems += [f"{reason}: nothing is {pattern}" for pattern, reason in patterns.items()
                 if not any(_matches(key, pattern) for key in extra)]  # fmt: skip
    problems += [f"removed, but the document has no {key}" for key in sorted(removed - document.keys())]
    problems += [f"changed, but it is the document's: {key}" for key in changed if document.get(key) == changed[key]]
    return problems


def _matches(key: str, pattern: str) -> bool:
    return key == pattern or ("*" in pattern and fnmatchcase(key, pattern))
