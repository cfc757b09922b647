"""The step `databases`: what the model declares of roles, databases, extensions and grants (PLAT-07, -09, -10, -28)."""

from __future__ import annotations

from typing import Any

from environment.report import Report
from ops.hosts.session import Session
from ops.products import databases


def apply(session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
    """Make the cluster hold what the model declares."""
    databases.provide(session, report)
    return {}


def observe(session: Session, inputs: dict[str, Any]) -> list[str]:
    """What differs, one line each, with the SQL that would undo it."""
    return [str(difference) for difference in databases.differences(session)]
