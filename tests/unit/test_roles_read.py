"""What a role renders from outside its folder makes it run again."""

from __future__ import annotations

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
