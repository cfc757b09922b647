"""What the step of the databases asks for, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from db.spec import Migrated
from environment.kind import Kind
from ops.products import databases
from tests.unit.cli_fakes import session


@pytest.mark.parametrize("kind", Kind)
def test_the_application_creates_objects_in_dev_only(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BAC-11, X-46: BA Copilot may CREATE in `public` in dev; ci, staging and production do not give that."""
    monkeypatch.setattr(databases, "_migrated", lambda *_: Migrated.NEVER)
    monkeypatch.setattr(databases, "read_cluster", lambda _: None)
    superuser: Any = MagicMock()
    assert databases.spec(session(tmp_path, stack=kind.value), superuser).development is (kind is Kind.DEV)
