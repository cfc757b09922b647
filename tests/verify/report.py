"""Writes what `ops.steps.verification` reads: the checks that ran, and the failures, each with its sentence and what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SENTENCE = "sentence"


class Report:
    """A pytest plugin; at the end the file holds `{"ran": [check, …], "failures": [text, …]}`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures: list[str] = []
        self.ran: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Keep the first line of the test's docstring with it: it names the requirements."""
        doc = getattr(getattr(item, "obj", None), "__doc__", None) or "no sentence"
        item.user_properties.append((SENTENCE, doc.strip().splitlines()[0].rstrip(".")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep that it ran, and what was found. One whose fixtures failed did run: its failure says why not further."""
        module, _, test = report.nodeid.rpartition("/")[2].partition(".py::")
        if (report.when == "call" and not report.skipped) or (report.when == "setup" and report.failed):
            self.ran.append(f"{module}.{test}")
        if report.failed:
            sentence = dict(report.user_properties).get(SENTENCE, "")
            self.failures.append(f"{module}.{test}: {sentence}: {_found(report)}")

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self.path.write_text(json.dumps({"ran": self.ran, "failures": self.failures}))


def _found(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    told = text.removeprefix("Failed: ").removeprefix("AssertionError: ").partition("\nassert ")[0]
    return " ".join(told.split())[:2000]
