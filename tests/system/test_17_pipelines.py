"""The pipelines of docs/ci: the commands that stand in the files, in a checkout of their own with a base and a pull request."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from environment.products import short
from ops.state import slots
from tests.gate.minutes import measured
from tests.pipelines import github, gitlab
from tests.system.checkout import Checkout
from tests.system.environments import COMMAND, Ephemeral, remove_leftovers
from tests.system.inventory import leftovers

PRODUCT = "jeex_idea"
DIFFERENT = 3
REVISION = '''\
"""Projects by name

Revision: {id}
Revises: {below}
"""

from alembic import op

revision = "{id}"
down_revision = "{below}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    op.execute("create index idx_projects_name on projects (name)")


def downgrade() -> None:
    """Drop it."""
    op.execute("drop index idx_projects_name")
'''
ASKED = "status = 'in_progress'"
"""A condition of one query."""
RECORDED = "index idx_projects_name: CREATE INDEX idx_projects_name ON public.projects USING btree (name)\n"


class PullRequest(Checkout):
    """A branch that adds an index, with its model and its line of the catalogue, on a base that has been committed."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self.git("init", "-q", "-b", "main")
        self.base = self.commit("base")
        versions = self.root / "migrations" / PRODUCT / "versions"
        below = max(path.stem for path in versions.glob("*.py"))
        revision = f"{int(short(below)) + 1:03}_projects_name"
        self.revision = versions / f"{revision}.py"
        self.revision.write_text(REVISION.format(id=revision, below=below))
        self.policies, self.queries = (self.root / "db" / PRODUCT / file for file in ("policies.sql", "queries.yaml"))
        for file, text in {
            "models.py": '\nIndex("idx_projects_name", Project.name)\n',
            "catalogue.txt": RECORDED,
        }.items():
            with (self.root / "db" / PRODUCT / file).open("a") as opened:
                opened.write(text)
        self.git("checkout", "-q", "-b", "change")
        self.commit("change")
        # As the services set them; the second is of the base branch, which in a test has gone no further.
        self.variables |= {"ENV": name, "KEEL_BASE": self.base}

    def git(self, *arguments: str) -> str:
        """Git in the checkout, whoever runs the tests."""
        who = ("-c", "user.name=keel", "-c", "user.email=keel@keel.invalid", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, *arguments], cwd=self.root, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self, message: str) -> str:
        """Everything; the commit."""
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def shell(self, command: str) -> str:
        """A line of a pipeline, as its service runs it."""
        with measured("command", command):
            return self.run("bash", "-e", "-o", "pipefail", "-c", command)

    def refused(self, *command: str) -> str:
        """Standard output of `./keel db …`, which finds a difference."""
        process = self.start("./keel", "db", *command, PRODUCT)
        said, _ = process.communicate(timeout=COMMAND)
        assert process.returncode == DIFFERENT, said[-6000:]
        return said


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """Of an environment that is not there, and that leaves nothing."""
    made = f"test-ci-{secrets.token_hex(2)}"
    yield made
    remove_leftovers(made)
    slots.free(made, tmp_path.resolve() / "checkout" / "stacks" / f"Pulumi.{made}.yaml")


def test_the_pipelines(single: Ephemeral, name: str, tmp_path: Path) -> None:
    """PLAT-27, PLAT-29, BAC-48: every command of a pipeline passes for a pull request that adds an index. For one whose migration
    does not go down, whose policy shows a stranger's rows, or whose query is slower, its command fails and says so. Nothing is left."""
    change = PullRequest(tmp_path, name)
    *commands, down = github()
    assert [*commands, down] == gitlab()
    for command in commands:
        change.shell(command)

    text = change.revision.read_text()
    change.revision.write_text(text.replace('op.execute("drop index idx_projects_name")', "pass"))
    said = change.refused("rehearse")
    assert f"{change.revision.stem} leaves after its way down: extra: index idx_projects_name" in said
    change.revision.write_text(text)

    policies = change.policies.read_text()
    change.policies.write_text(policies + "create policy everybody on projects for select using (true);\n")
    assert "projects: select with other identity reaches the row" in change.refused("tenants")
    change.policies.write_text(policies)

    queries = change.queries.read_text()
    assert ASKED in queries
    change.queries.write_text(queries.replace(ASKED, f"{ASKED} and pg_sleep(0.002) is not null", 1))
    said = change.refused("compare", "--json")
    found = {one["query"]: one["verdict"] for one in json.loads(said[said.index("{\n") :])[PRODUCT]}
    assert [*found.values()].count("slower") == 1 and set(found.values()) == {"slower", "as before"}
    change.queries.write_text(queries)

    assert json.loads(change.run("./keel", "db", "scratch", PRODUCT, "--list", "--json")) == []
    change.shell(down)
    assert leftovers(name) == {}
