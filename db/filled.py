"""Bring an empty database to the head of a checkout's files, with its reference rows and made-up ones.

A program of its own, because the files may be another revision's: `PYTHONPATH` says whose. On standard input: product, the
migrator's URL, and how many rows.
"""

import json
import sys

from db import load_rows, migrate
from db.populate import Size
from environment.errors import message
from environment.products import catalogue


def fill(product: str, url: str, size: str) -> None:
    """Migrate, seed and, where the product says how, populate. Raises KeelError."""
    chosen = catalogue()[product]
    migrate.upgrade(chosen, url)
    migrate.seed(chosen, url, "reference", production=False)
    if (chosen.folder / "populate.py").exists():
        load_rows.populate(chosen, url, Size(size), seed=1, progress=lambda *_: None, replace=True)


if __name__ == "__main__":
    try:
        fill(**json.load(sys.stdin))
    except Exception as error:
        sys.exit(message(error))
