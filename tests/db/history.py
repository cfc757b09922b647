"""Revisions of a test's own on top of a product's history, so that no test depends on what its head is called."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from db import migrate
from environment.products import ROOT, Product
from migrations import session
from tools.scratch_server import Server, wait_for

MIGRATORS = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{session.NAME}'"
"""Sessions of migrations that are running."""

REVISION = """\
from alembic import op
from migrations import concurrently

revision = {name!r}
down_revision = {below!r}
branch_labels = depends_on = None


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
"""


class History:
    """A product's history as Alembic's configuration `ini` has it: its own revisions, then the test's."""

    def __init__(self, product: Product, url: str, folder: Path) -> None:
        self.product, self.url = product, url
        self.versions = folder / "versions"
        self.versions.mkdir()
        self.ini = folder / "alembic.ini"
        own = f"version_locations = migrations/{product.name}/versions"
        text = (ROOT / "alembic.ini").read_text()
        assert own in text
        self.ini.write_text(text.replace(own, f"{own}\n    {self.versions}"))

    def add(self, name: str, *upgrade: str, downgrade: str = "pass") -> str:
        """A revision after the newest: lines of Python, or SQL; returns its name."""
        lines = [line if line.startswith("concurrently.") else f"op.execute({line!r})" for line in upgrade]
        below = migrate.head(self.product)
        text = REVISION.format(name=name, below=below, upgrade="\n    ".join(lines), downgrade=downgrade)
        (self.versions / f"{name}.py").write_text(text)
        return name

    def at(self) -> str | None:
        """The revision of the database."""
        return migrate.current(self.product, self.url)

    def alembic(self, *arguments: str) -> "subprocess.Popen[str]":
        """Alembic's command line as a process of its own."""
        program = str(Path(sys.executable).with_name("alembic"))
        return subprocess.Popen(
            [program, "-c", str(self.ini), "-n", self.product.name, *arguments],
            env={**os.environ, "KEEL_DATABASE_URL": self.url}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def killed(self, server: Server, waiting: str) -> None:
        """Run `upgrade head`, kill it by SIGKILL when the query `waiting` finds something, await its session's end."""
        process = self.alembic("upgrade", "head")
        wait_for("the migration to wait", lambda: server.execute(waiting, self.product.name))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        wait_for("its session to end", lambda: not server.execute(MIGRATORS))
