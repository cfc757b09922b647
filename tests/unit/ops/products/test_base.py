"""The revision that a checkout is compared with: where it was left, and its files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from environment import digest
from ops.products import base
from ops.products.base import Fill, NoBase, NotMade, base_of, fill

WHO = ("-c", "user.name=keel", "-c", "user.email=keel@keel.invalid", "-c", "commit.gpgsign=false")


class Repository:
    """A branch that leaves `main`, which goes on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")
        for name in base.MAKING:
            self.write(name if "." in name else f"{name}/file.py", "as it was")
        self.write("db/shop/product.yaml", "name: shop")
        self.left = self.commit()
        self.git("checkout", "-q", "-b", "change")
        self.write("db/file.py", "changed")
        self.changed = self.commit()
        self.git("checkout", "-q", "main")
        self.write("db/file.py", "went on")
        self.commit()
        self.git("checkout", "-q", "change")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *WHO, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "a commit")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """This checkout is the branch."""
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # of a hook that runs the tests
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(base, "ROOT", tmp_path)
    return Repository(tmp_path)


def test_the_base_is_where_the_branch_left_it(repository: Repository) -> None:
    """BAC-48: what the base branch got since is no difference of the change; the files are gone in the end."""
    with base_of("main") as found:
        assert (found.commit, (found.folder / "db/file.py").read_text()) == (repository.left, "as it was")
        assert (found.has("shop"), found.has("market")) == (True, False)
        folder = found.folder
    assert not folder.exists()


@pytest.mark.parametrize("revision", ["origin/main", ""])
def test_a_base_that_is_not_there(repository: Repository, revision: str) -> None:
    """BAC-48: nor fetched."""
    with pytest.raises(NoBase, match=r"cannot be compared.*Nothing was changed.*fetch-depth: 0"), base_of(revision):
        pass


def test_a_product_whose_files_are_the_same_is_not_tried(tmp_path: Path) -> None:
    """BAC-48: its own files count, and those that make every database; documents do not."""
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        for name in ("db/shop/models.py", "db/market/models.py", "db/migrate.py", "migrations/shop/versions/001.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("the same")

    def differing() -> list[str]:
        return [
            name
            for name in ("shop", "market")
            if digest.of_database(name, root=first) != digest.of_database(name, root=second)
        ]

    (second / "db/shop/README.md").write_text("more")
    assert differing() == []
    (second / "migrations/shop/versions/002.py").write_text("more")
    assert differing() == ["shop"]
    (second / "db/migrate.py").write_text("more")
    assert differing() == ["shop", "market"]


def test_files_that_make_no_database(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-27: whose they are, and what they say; the program imports the folder's own Keel."""
    program = repository.root / "program.py"
    program.write_text("import sys, json, db\nsys.exit(f\"{db.__path__[0]} {json.load(sys.stdin)['size']}\")")
    monkeypatch.setattr(base, "PROGRAM", program)
    with (
        base_of("main") as found,
        pytest.raises(NotMade, match="shop: the files of the base made no database: ") as caught,
    ):
        fill(Fill(found.folder, "shop", "postgresql://"), "small")
    assert f"{found.folder}/db small" in str(caught.value)
    with pytest.raises(NotMade, match="the files of this checkout made no database"):
        fill(Fill(repository.root, "shop", "postgresql://"), "small")
