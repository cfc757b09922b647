"""The revision that a checkout is compared with, and databases that its files make."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from environment.digest import of_database
from environment.errors import UNCHANGED, KeelError
from environment.products import ROOT

MAKING = ("alembic.ini", "db", "environment", "keel_host", "migrations")
"""What makes a product's database: its files, and the Keel of that revision."""
PROGRAM = ROOT / "db" / "filled.py"


class NoBase(KeelError):
    """The revision to compare with is not there: which, what git says, what to do."""


class NotMade(KeelError):
    """The files of a revision did not make their database: whose, why."""


class Base(NamedTuple):
    """Where this checkout left the revision that was named."""

    commit: str
    folder: Path

    def has(self, product: str) -> bool:
        """False for a product that came later."""
        return (self.folder / "db" / product / "product.yaml").exists()

    def differs(self, product: str) -> bool:
        """Whether a file that decides what the product's database is, or what is asked of it, is another in this checkout."""
        return of_database(product, root=self.folder) != of_database(product)


class Fill(NamedTuple):
    """A database that files make."""

    folder: Path
    """Whose."""
    product: str
    url: str
    """The migrator's, of an empty database that is provisioned."""


@contextmanager
def base_of(revision: str) -> Iterator[Base]:
    """The files as they were where this checkout left ``revision``, so that what the base got since is no difference; gone in the
    end. Raises NoBase."""
    commit = _git(revision, "merge-base", revision, "HEAD").decode().strip()
    with tempfile.TemporaryDirectory(prefix="keel-base-") as folder:
        with tarfile.open(
            fileobj=io.BytesIO(_git(revision, "archive", "--format=tar", commit, "--", *MAKING))
        ) as files:
            files.extractall(folder, filter="data")
        yield Base(commit, Path(folder))


def fill(wanted: Fill, size: str) -> None:
    """Migrate, seed and populate. One at a time: a migrator's login has few connections. Raises NotMade."""
    given = json.dumps({"product": wanted.product, "url": wanted.url, "size": size})  # with a password: no argument
    done = subprocess.run(
        # Of Keel it imports what is in that folder: not what is next to the program (-P).
        [sys.executable, "-P", "-B", str(PROGRAM)], cwd=wanted.folder, text=True, input=given,
        env={**os.environ, "PYTHONPATH": str(wanted.folder)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        whose = "this checkout" if wanted.folder == ROOT else "the base"
        raise NotMade(f"{wanted.product}: the files of {whose} made no database: {done.stdout.strip()}", UNCHANGED)


def _git(revision: str, *arguments: str) -> bytes:
    done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True)
    if done.returncode:
        raise NoBase(
            f"this checkout cannot be compared with {revision!r}: git: {done.stderr.decode().strip() or 'they have no commit in common'}",
            UNCHANGED,
            "Name another with --base. In a pipeline, fetch the whole history (GitHub: fetch-depth: 0, GitLab: GIT_DEPTH: 0)",
        )
    return done.stdout
