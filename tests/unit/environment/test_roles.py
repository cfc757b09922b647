"""What a role renders from outside its folder makes it run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from environment import roles
from environment.load import ROOT

READING = [
    (role, pattern) for names in roles.stages().values() for role in names for pattern in roles.entry(role).reads
]


@pytest.mark.parametrize(("role", "pattern"), READING)
def test_what_is_read_is_there(role: str, pattern: str) -> None:
    assert list(ROOT.glob(pattern)), f"{role} reads {pattern}, which no file is"


def test_a_changed_catalogue_runs_the_jobs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drill compares with the record of this checkout."""
    (tmp_path / "db" / "ruleiq").mkdir(parents=True)
    for name in ("roles", "environment"):
        (tmp_path / name).symlink_to(ROOT / name)
    record = tmp_path / "db" / "ruleiq" / "catalogue.txt"
    monkeypatch.setattr(roles, "ROLES", tmp_path / "roles")
    record.write_text("table users:\n")
    before = roles.digest("backup")
    record.write_text("table users: row-level security\n")
    assert before.keys() == roles.digest("backup").keys()
    assert before["jobs"] != roles.digest("backup")["jobs"]


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("redis/role.py", {"redis"}),
        ("redis/templates/users.acl.j2", {"redis"}),
        ("kit/engine.py", {"redis", "haproxy", "pgbouncer", "logins"}),
        ("paths.py", {"redis", "haproxy", "pgbouncer", "logins"}),
        ("redis/README.md", set()),
        ("redis/__pycache__/role.pyc", set()),
    ],
)
def test_an_edited_role_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, changed: set[str]
) -> None:
    """Its own files and what all roles share; neither what is read by people nor what Python leaves behind."""
    copied = shutil.copytree(ROOT / "roles", tmp_path / "roles", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(roles, "ROLES", copied)
    before = roles.digest("edge")
    edited = copied / path
    edited.parent.mkdir(exist_ok=True)
    edited.write_bytes((edited.read_bytes() if edited.exists() else b"") + b"# edited")
    after = roles.digest("edge")
    assert {role for role in before if before[role] != after[role]} == changed
    assert all(len(value) == 12 for value in after.values())
