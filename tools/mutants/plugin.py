"""pytest's side: run chosen tests in a given order, or record which test runs which lines."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

from tools.mutants.scratch import LAYERS

OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "--tb=short")


def run(job: dict[str, Any]) -> int:
    """A job of `Warm`: `record` names a test file, `tests` those of a trial by file."""
    out = Path(job["out"])
    if "record" in job:
        recorder = Recorder()
        code = pytest.main([*OPTIONS, job["record"]], plugins=[recorder])
        out.write_text(json.dumps(recorder.result()))
    else:
        chosen = Chosen(job["tests"])
        code = pytest.main([*OPTIONS, "-x", *job["tests"]], plugins=[chosen])
        out.write_text(json.dumps({"failed": chosen.failed}))
    return int(code)


class Chosen:
    """Only these tests, file by file as given; within a file in its own order, for fixtures that tests share."""

    def __init__(self, tests: dict[str, list[str]]) -> None:
        """File → names of its tests."""
        self.order = list(tests)
        self.wanted = {name for names in tests.values() for name in names}
        self.failed: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the others out."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.wanted),
            key=lambda item: self.order.index(item.nodeid.split("::")[0]),
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The first that failed."""
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


class Recorder:
    """Coverage with a context for each test, and one for each fixture that several tests share.

    What runs while a shared fixture is set up belongs to every test that uses the fixture, not only to the first.
    What a cache answered in a later test ran in an earlier one, so our caches are emptied before each test.
    """

    def __init__(self) -> None:
        """Begins at once, before a module of ours is imported."""
        self.coverage = coverage.Coverage(data_file=None, source=list(LAYERS), messages=False)
        self.coverage.start()
        self.contexts = [""]
        self.shared: dict[int, str] = {}
        self.uses: dict[str, list[str]] = {}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def _within(self, context: str) -> Iterator[None]:
        self.contexts.append(context)
        self.coverage.switch_context(context)
        try:
            yield
        finally:
            self.contexts.pop()
            self.coverage.switch_context(self.contexts[-1])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The test's own context, its set-up and end included."""
        for cached in _caches():
            cached.cache_clear()
        within = self._within(item.nodeid)
        next(within)
        result = yield
        next(within, None)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, object, object]:
        """The context of a fixture that outlives a test."""
        if fixturedef.scope == "function":
            return (yield)
        name = f"fixture {fixturedef.argname} {len(self.shared)} {request.node.nodeid}"
        self.shared[id(fixturedef)] = name
        within = self._within(name)
        next(within)
        try:
            return (yield)
        finally:
            next(within, None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Which shared fixtures this test has."""
        definitions = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
        used = [self.shared.get(id(found[-1])) for found in definitions.values()]
        self.uses[item.nodeid] = [name for name in used if name]
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Duration of set-up, call and end together."""
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        if report.failed:
            self.failed.add(report.nodeid)

    def result(self) -> dict[str, Any]:
        """See `selection.Record`."""
        self.coverage.stop()
        data = self.coverage.get_data()
        root = Path.cwd()
        tests = sorted(self.seconds)
        lines: dict[str, dict[str, str]] = {}
        for file in data.measured_files():
            path = str(Path(file).relative_to(root))
            masks: defaultdict[str, int] = defaultdict(int)
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    masks[context] |= 1 << line
            seen = {
                str(index): masks.get(test, 0) | _union(masks.get(name, 0) for name in self.uses.get(test, ()))
                for index, test in enumerate(tests)
            } | {"": masks.get("", 0)}
            if any(seen.values()):
                lines[path] = {key: hex(mask) for key, mask in seen.items() if mask}
        return {
            "tests": {test: round(self.seconds[test], 3) for test in tests},
            "failed": sorted(self.failed),
            "lines": lines,
        }


def _union(masks: Iterator[int]) -> int:
    total = 0
    for mask in masks:
        total |= mask
    return total


def _caches() -> Iterator[Any]:
    """Cached functions and methods of our modules."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in LAYERS:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    yield value
                elif isinstance(value, type):
                    yield from (part for part in vars(value).values() if hasattr(part, "cache_clear"))
