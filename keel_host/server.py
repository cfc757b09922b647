"""This host's server, asked by its programs as the login that sees ages of sessions and may end them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict

from keel_host.config import Member
from keel_host.processes import Failed

ANSWERS_WITHIN = 20
"""Seconds; the next look follows anyway."""
NO_SERVER = 2
"""psql's exit status where there is no server to speak to."""
FULL = "out of shared memory"
BEFORE = "\\set ON_ERROR_STOP on\nset statement_timeout = '10s';\n"


class NoRoom(Failed):
    """The table of locks, which all databases share, is full: no one can log in."""


def lines(host: Member, question: str) -> list[str]:
    """What the server answers; nothing where none runs, or where the host's settings bound no one. ``:'bounds'`` in the
    question are the host's, in JSON. Raises NoRoom, or Failed where the server does not do as it is asked."""
    if not host.bounds:
        return []
    bounds = json.dumps([{"login": login, **asdict(bound)} for login, bound in sorted(host.bounds.items())])
    # The settings of the session before any statement, so that nothing but the catalogue is ever looked into.
    options = "options=-csearch_path=pg_catalog"
    command = (
        "psql", "-XAtq", "-v", f"bounds={bounds}", "-f", "-",
        f"host={host.sockets} dbname=postgres user={host.ends_sessions} connect_timeout=5 {options}",
    )  # fmt: skip
    try:
        done = subprocess.run(
            command, input=BEFORE + question, capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"the server did not answer within {ANSWERS_WITHIN} s") from None
    if done.returncode == NO_SERVER and FULL in done.stderr:
        raise NoRoom(f"psql: {done.stderr.strip()[-800:]}")
    if done.returncode == NO_SERVER:
        return []
    if done.returncode:
        raise Failed(f"psql: {done.stderr.strip()[-800:]}")
    return done.stdout.splitlines()
