"""`keel db rehearse`, `tenants` and `compare` without a server: what is tried, printed, and the exit statuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from db.compare import Compared, Verdict
from db.rehearse import Rehearsal, Step
from ops.cli.app import app
from ops.products import base, rehearsal
from tests.unit.cli_fakes import opened, session

SAME = Compared("newest", Verdict.SAME, 1.0, 1.1, ["idx"], ["idx"])
WORSE = [
    Compared("newest", Verdict.SLOWER, 1.0, 3.0, ["idx"], ["idx"]),
    Compared("newest", Verdict.LOST, 1.0, 1.0, ["idx"], []),
]
NEW = Compared("newest", Verdict.NEW, None, 1.1, [], ["idx"])


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What trying a product gives, by its name; the products that differ are `changed`."""
    opened(monkeypatch, session(tmp_path))
    given: dict[str, Any] = {"changed": ["jeex_idea"]}

    @contextmanager
    def files(revision: str) -> Iterator[base.Base]:
        given["base"] = revision
        yield base.Base(revision, tmp_path)

    monkeypatch.setattr(base, "base_of", files)
    monkeypatch.setattr(rehearsal, "changed", lambda *_: given["changed"])
    for deed in ("rehearsed", "two_tenants", "compared"):
        monkeypatch.setattr(rehearsal, deed, lambda _session, name, *_, **__: given[name])
    return given


def keel(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["db", *arguments])


@pytest.mark.parametrize(("findings", "status"), [([], 0), (["001 does not go down: no"], 3)])
def test_a_rehearsal(found: dict[str, Any], findings: list[str], status: int) -> None:
    """PLAT-27: the products that differ from the base; each finding is a line."""
    found["jeex_idea"] = Rehearsal([Step("001", None)], True, findings)
    said = keel("rehearse", "--base", "main")
    assert (said.exit_code, found["base"]) == (status, "main")
    assert f"jeex_idea: 1 new revision(s) up, down and up again: {len(findings)} difference(s)" in said.stdout
    assert all(f"jeex_idea: {sentence}" in said.stdout for sentence in findings)
    said = keel("rehearse", "--json")
    assert (said.exit_code, found["base"]) == (status, "origin/main")
    assert json.loads(said.stdout) == {"jeex_idea": {"revisions": ["001"], "new": True, "findings": findings}}


@pytest.mark.parametrize("command", ["rehearse", "compare"])
def test_where_no_file_differs_nothing_is_tried(found: dict[str, Any], command: str) -> None:
    """BAC-48: and it says so."""
    found["changed"] = []
    said = keel(command)
    assert said.exit_code == 0 and "nothing to try" in said.stdout
    assert json.loads(keel(command, "--json").stdout) == {}


@pytest.mark.parametrize(
    ("sentences", "status", "words"),
    [(None, 0, "has no tenants"), ([], 0, "two tenants: 0 finding(s)"), (["users: read"], 3, "jeex_idea: users: read")],
)
def test_two_tenants(found: dict[str, Any], sentences: list[str] | None, status: int, words: str) -> None:
    """PLAT-16: a product without tenants passes and is named."""
    found["jeex_idea"] = sentences
    said = keel("tenants", "jeex_idea")
    assert said.exit_code == status and words in said.stdout
    assert json.loads(keel("tenants", "jeex_idea", "--json").stdout) == {"jeex_idea": sentences}


@pytest.mark.parametrize(("queries", "status"), [([SAME, NEW], 0), ([SAME, WORSE[0]], 3), ([WORSE[1]], 3), ([], 0)])
def test_a_comparison(found: dict[str, Any], queries: list[Compared], status: int) -> None:
    """BAC-44, BAC-46: one query that is slower or without its index is enough."""
    found["jeex_idea"] = queries
    said = keel("compare")
    assert said.exit_code == status
    assert all(one.verdict.value in said.stdout for one in queries)
    assert queries or "jeex_idea: nothing to compare" in said.stdout
    document = json.loads(keel("compare", "--json").stdout)["jeex_idea"]
    assert [(one["verdict"], one["ratio"]) for one in document] == [
        (one.verdict.value, one.ratio and round(one.ratio, 3)) for one in queries
    ]
