"""Where the checkout lies makes no difference to the histories."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from db import migrate
from environment.products import ROOT, catalogue


def test_a_checkout_may_lie_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-26: % is no interpolation, : no separator; by hand, and where Keel runs Alembic itself."""
    place = tmp_path / '100% of a%2Fb: o\'c "d" (é)'
    place.mkdir()
    for name in ("alembic.ini", "migrations", "db", "environment", "keel_host"):
        (place / name).symlink_to(ROOT / name)
    program = Path(sys.executable).with_name("alembic")
    by_hand = subprocess.run([program, "-n", "ruleiq", "heads"], cwd=place, capture_output=True, text=True, check=False)
    assert by_hand.returncode == 0, by_hand.stderr
    head = by_hand.stdout.split()[0]
    monkeypatch.setattr(migrate, "ROOT", place)
    monkeypatch.setattr(migrate, "INI", place / "alembic.ini")
    monkeypatch.chdir("/")
    assert migrate.head(catalogue()["ruleiq"]) == head
