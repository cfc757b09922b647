"""Digests of this checkout's files: whether something has to be done again because a file is another."""

from __future__ import annotations

import hashlib
from pathlib import Path

from environment.products import ROOT


def of_files(*patterns: str, root: Path = ROOT) -> str:
    """Of the files of the project, or of a copy of it at ``root``, that match: 12 hexadecimal digits. Documents and compiled code do not count."""
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    content = b"".join(
        str(path.relative_to(root)).encode() + b"\0" + path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts and path.suffix != ".md"
    )
    return hashlib.sha256(content).hexdigest()[:12]


def of_migration(product: str, root: Path = ROOT) -> str:
    """Of what a product's database at head is made of: its models, history and repeatable SQL."""
    return of_files(f"db/{product}/**/*", f"migrations/{product}/**/*", "migrations/*.py", root=root)


def of_database(product: str, *settings: str, root: Path = ROOT) -> str:
    """Of the same, of what provisions it, and of ``settings`` that decide how it is made."""
    parts = (of_migration(product, root), of_files("db/*.py", "db/*.sql", root=root), *settings)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
