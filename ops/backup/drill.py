"""Drills: the newest backup restored to a scratch server and checked, by the same job that cron runs."""

from __future__ import annotations

import json
from typing import Any

from environment.report import Report
from ops.backup import repository
from ops.hosts.session import Session
from roles import paths


def run(session: Session, report: Report) -> dict[str, Any]:
    """Carry out a drill and return its report. Raises RepositoryFailed when it ended without one."""
    before = reports(session)[-1:]
    try:
        repository.follow(session, session.manifest.repository_host.name, f"{paths.JOB} --follow drill", report)
    except repository.RepositoryFailed:
        if reports(session)[-1:] == before:
            raise
    return reports(session)[-1]


def reports(session: Session) -> list[dict[str, Any]]:
    """What drills found, oldest first; `text` is the report for people."""
    said = session.run(
        session.manifest.repository_host.name,
        f"cd {paths.DRILLS} && for one in *.json; do [ -e $one ] && "
        "jq -c --rawfile text ${one%.json}.txt '. + {text: $text}' $one; done; true",
    )
    return [json.loads(line) for line in said.splitlines()]
