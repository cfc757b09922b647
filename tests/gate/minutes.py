"""Where the minutes go: each test, and each command that it runs, as a line of JSON in the file that KEEL_TEST_MINUTES names.

Without the variable nothing is kept. A pytest plug-in (`-p tests.gate.minutes`); tests.gate reads what it kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KEPT = "KEEL_TEST_MINUTES"


def keep(kind: str, name: str, seconds: float) -> None:
    """Add a line. One write each, so that processes can share the file."""
    if path := os.environ.get(KEPT):
        line = {"kind": kind, "name": name, "seconds": round(seconds, 3)}
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def measured(kind: str, name: str) -> Iterator[None]:
    """Keep how long the block takes, however it ends."""
    began = time.monotonic()
    try:
        yield
    finally:
        keep(kind, name, time.monotonic() - began)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep each phase of each test, once: where xdist runs, its controller hears what the workers report."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        keep(report.when or "", report.nodeid, report.duration)
