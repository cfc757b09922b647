"""What every test of the command line needs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def usual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets the variable for the programs that it starts; the next test must not find it."""
    monkeypatch.setenv("ENV", "dev")
