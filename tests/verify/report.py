"""Writes what `ops.verification` reads: the failures, each with its test, its sentence and what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SENTENCE = "sentence"


class Report:
    """A pytest plugin; at the end the file holds `{"failures": [text, …], "passed": number}`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures: list[str] = []
        self.passed = 0

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Keep the first line of the test's docstring beside it: it names the requirements."""
        doc = getattr(getattr(item, "obj", None), "__doc__", None) or "no sentence"
        item.user_properties.append((SENTENCE, doc.strip().splitlines()[0].rstrip(".")))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count, or keep what was found."""
        if report.failed:
            sentence = dict(report.user_properties).get(SENTENCE, "")
            test = report.nodeid.rpartition("/")[2].partition(".py::")
            self.failures.append(f"{test[0]}.{test[2]}: {sentence}: {_found(report)}")
        elif report.when == "call" and report.passed:
            self.passed += 1

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self.path.write_text(json.dumps({"failures": self.failures, "passed": self.passed}))


def _found(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    told = text.removeprefix("Failed: ").removeprefix("AssertionError: ").partition("\nassert ")[0]
    return " ".join(told.split())[:2000]
