"""`./keel db revision`: what a new revision is called, and where it goes."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from typer.testing import CliRunner, Result

from db import migrate
from db.alembic_options import ID_LENGTH
from environment.products import ROOT, Product, short
from ops.cli.app import app
from tests.db.fixtures import only
from tests.unit.cli_fakes import opened, session

TEXTS = {
    "add tags": "add_tags",
    " Add: Tags, to the user's PROJECTS! ": "add_tags_to_the_user_s_projects",
    "100 % größer / naïve": "100_grosser_naive",
    "__a--b__": "a_b",
    "длинное name": "name",
    "word " * 30: None,
}
"""What somebody types, and what stands behind the number; None: as much of it as there is room for."""

product = only("jeex_idea")


def keel(*arguments: str) -> Result:
    """The command line, in this process."""
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def versions(product: Product, at_head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the product's revisions, in which the command writes; its database is at head."""
    folder = tmp_path / "versions"
    shutil.copytree(ROOT / "migrations" / product.name / "versions", folder)
    copied = migrate.config(product, at_head)
    copied.set_main_option("version_locations", str(folder))

    @contextmanager
    def migrator(*_: object) -> Iterator[str]:
        yield at_head

    monkeypatch.setenv("ENV", "dev")
    monkeypatch.setattr(migrate, "config", lambda *_: copied)
    monkeypatch.setattr("ops.products.migrations.migrator", migrator)
    opened(monkeypatch, session(tmp_path))
    return folder


@pytest.mark.parametrize("text", TEXTS)
def test_a_new_revision_is_the_next_number_and_its_text(product: Product, versions: Path, text: str) -> None:
    """BAC-30, ADA-19, CF-24, X-14: lower snake case whatever was typed; file and id are the same and fit their column."""
    before, head = {path.stem for path in versions.glob("*.py")}, migrate.head(product)
    written = keel("db", "revision", product.name, text)
    assert written.exit_code == 0, written.output
    (made,) = {path.stem for path in versions.glob("*.py")} - before
    assert migrate.head(product) == made
    assert int(short(made)) == int(short(head)) + 1
    assert made.removeprefix(f"{short(made)}_") == TEXTS[text] or (TEXTS[text] is None and len(made) >= ID_LENGTH - 1)
    assert re.fullmatch(r"\d{3}(_[a-z0-9]+)+", made) and len(made) <= ID_LENGTH
    assert f"{made}.py" in written.stdout


def test_a_time_stands_in_front_where_the_document_says_so(
    product: Product, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BAC-30: YYYYMMDD_HHMM, and what it does."""
    by_time = product.model_copy(update={"revision_ids": "timestamp"})
    monkeypatch.setattr("ops.products.lookup.product_of", lambda *_: by_time)
    assert keel("db", "revision", product.name, "Add Tags").exit_code == 0
    made = ScriptDirectory.from_config(migrate.config(product)).get_current_head()
    assert made and re.fullmatch(r"20\d{6}_[0-2]\d[0-5]\d_add_tags", made)


@pytest.mark.parametrize("text", ["", "!?", "…"])
def test_a_text_without_letters_is_refused(versions: Path, product: Product, text: str) -> None:
    """BAC-30: exit status 1 and a sentence; no file is written."""
    before = sorted(versions.iterdir())
    refused = keel("db", "revision", product.name, text)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "no letter a-z and no digit. Nothing was written" in refused.stderr
    assert sorted(versions.iterdir()) == before


def merged(product: Product, versions: Path, name: str, *below: str) -> str:
    """A revision by hand, on these; two make it a merge."""
    down = repr(below[0] if len(below) == 1 else below)
    body = "def upgrade() -> None: ...\n\n\ndef downgrade() -> None: ...\n"
    (versions / f"{name}.py").write_text(
        f"revision = {name!r}\ndown_revision = {down}\nbranch_labels = depends_on = None\n\n\n{body}"
    )
    return name


@pytest.mark.parametrize("name", ["300d75e02a79", "merge", None])
def test_a_history_that_was_merged_goes_on(product: Product, versions: Path, at_head: str, name: str | None) -> None:
    """BAC-30, JEEX-26: whatever Alembic or a person calls the merge, the next number is above all others."""
    head = migrate.head(product)
    above = int(short(head)) + 1
    branches = [merged(product, versions, f"{above:03}_{side}", head) for side in "ab"]
    with pytest.raises(migrate.MigrationError, match=rf"merge heads --rev-id {above + 1:03}_merge -m merge") as told:
        migrate.head(product)
    if name is None:
        arguments = str(told.value).rpartition("alembic -n")[2].split()
        name = arguments[arguments.index("--rev-id") + 1]
        command.merge(migrate.config(product), "heads", message="merge", rev_id=name)
        assert (versions / f"{name}.py").exists()
    else:
        merged(product, versions, name, *branches)
    assert migrate.head(product) == name
    migrate.upgrade(product, at_head)
    try:
        assert migrate.current(product, at_head) == name
        written = keel("db", "revision", product.name, "add tags")
    finally:
        migrate.downgrade(product, at_head, head)
    assert written.exit_code == 0, written.output
    assert migrate.head(product) == f"{above + (2 if name.endswith('_merge') else 1):03}_add_tags"


def test_a_number_that_two_branches_have_is_refused(product: Product, versions: Path) -> None:
    """RIQ-26: `products.<name>.revision` and a rollback name one revision, or are told which there are."""
    head = migrate.head(product)
    above = f"{int(short(head)) + 1:03}"
    branches = [merged(product, versions, f"{above}_{side}", head) for side in "ab"]
    merged(product, versions, "300d75e02a79", *branches)
    assert migrate.resolve(product, branches[0]) == branches[0]
    with pytest.raises(migrate.MigrationError, match=f"2 revisions are called {above}.*{above}_a, {above}_b"):
        migrate.resolve(product, above)
