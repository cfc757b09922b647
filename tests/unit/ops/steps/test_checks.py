"""The verification's list of checks: current, exact, and missed when a check does not run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environment.manifest import Manifest
from environment.program import load
from ops.hosts.session import Session, open_session
from ops.steps import checks, verification
from tests.unit.stacks import config


def manifest(stack: str, **patch: Any) -> Manifest:
    """Of a stack file of this checkout."""
    return load(stack, config(stack, patch)).manifest


@pytest.fixture
def session() -> Iterator[Session]:
    """With the hosts of dev, of which none is asked."""
    environment = load("dev", config("dev"))
    with open_session(environment.manifest, environment.roots) as opened:
        yield opened


def test_the_list_of_checks_is_current() -> None:
    assert checks.RECORD.read_text() == checks.record(), "run: python -m ops.steps.checks"


@pytest.mark.parametrize("decorator", ["pytest.mark.parametrize('x', [1, 2])", "pytest.fixture(params=[1, 2])"])
def test_a_test_that_could_not_be_counted_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, decorator: str
) -> None:
    (tmp_path / "conftest.py").touch()
    (tmp_path / "test_new.py").write_text(f"@{decorator}\ndef test_it(x): ...\n")
    monkeypatch.setattr(checks, "SUITE", tmp_path)
    with pytest.raises(checks.Uncounted, match=r"test_new.py: test_it: "):
        checks.record()


# fmt: off
SUBJECTS = {
    "dev": {
        "host": ["db1", "db2", "edge1", "ops1"], "server": ["db1", "db2"], "archiving": ["db1", "db2"],
        "delayed": [], "store": ["db1", "db2", "edge1"],
        "edge": ["edge1"], "cache": ["edge1"], "repository": ["1 (backup volume)"],
        "listed": ["ai_assistant", "bacopilot", "componentforge", "jeex_idea", "ruleiq"],
        "product": ["ai_assistant", "bacopilot", "componentforge", "jeex_idea", "ruleiq"],
        "tenanted": ["bacopilot", "componentforge", "jeex_idea", "ruleiq"],
        "secured": ["ai_assistant"],
        "access": [
            "pooled-bacopilot", "pooled-componentforge", "pooled-jeex_idea", "pooled-ruleiq",
            "direct-bacopilot", "direct-componentforge", "direct-jeex_idea", "direct-ruleiq",
        ],
        "uuid": ["uuidv7", "gen_random_uuid"],
    },
}
# fmt: on


def test_what_a_check_is_made_for() -> None:
    """PLAT-49: every host, server, product, … of the environment, no fewer."""
    found = {kind: [checks.title(subject) for subject in each(manifest("dev"))] for kind, each in checks.EACH.items()}
    assert found == SUBJECTS["dev"]


@pytest.mark.parametrize(
    ("stack", "has"),
    [
        ("dev", {"replicas": True, "readers": True, "contained": True, "published": True, "jeex_idea": True}),
        ("ci", {"replicas": False, "readers": False, "contained": True, "published": True, "jeex_idea": True}),
    ],
)
def test_what_an_environment_has(stack: str, has: dict[str, bool]) -> None:
    assert {what: there(manifest(stack)) for what, there in checks.ONLY_WITH.items()} == has


def test_a_product_held_at_a_revision_and_a_delayed_replica_are_counted_as_such() -> None:
    held = manifest(
        "dev",
        **{"products.jeex_idea.revision": "001", "postgres.apply_delay": {"db2": 60}, "postgres.synchronous": False},
    )
    assert "jeex_idea" in [checks.title(subject) for subject in checks.EACH["listed"](held)]
    for kind in ("product", "tenanted"):
        assert "jeex_idea" not in [checks.title(subject) for subject in checks.EACH[kind](held)]
    assert [checks.title(subject) for subject in checks.EACH["delayed"](held)] == ["db2"]
    assert [what for what, there in checks.ONLY_WITH.items() if there(held)] == ["replicas", "contained", "published"]


def test_the_names_are_pytests() -> None:
    """For each combination of subjects once, in pytest's order; none where what it needs is absent."""
    implied = checks.implied(manifest("dev"))
    assert {"test_hosts.test_units[ops1]", "test_pgbouncer.test_wrong_password[edge1-ruleiq]"} < set(implied)
    assert "test_replication.test_delayed" not in implied
    assert len(implied) == len(set(implied)) > 300
    assert [name for name in checks.implied(manifest("ci")) if "replicas" in name] == []


def suite(*reports: dict[str, list[str]], status: int = 0) -> Any:
    """In place of pytest's processes: each writes what it reported and ends with ``status``."""
    left = list(reports)

    class Process:
        returncode = status

        def __init__(self, command: list[str], env: dict[str, str], **_: Any) -> None:
            Path(env["KEEL_REPORT"]).write_text(json.dumps(left.pop(0)))

        def communicate(self) -> tuple[str, None]:
            return "", None

    return Process


def report(ran: list[str], *failures: str) -> dict[str, list[str]]:
    """As tests/verify/report.py writes it."""
    return {"ran": ran, "failures": list(failures)}


@pytest.mark.parametrize("lost", ["test_rls.", "test_hosts.test_units[db2]"], ids=["a file", "a check"])
def test_a_check_that_does_not_run_fails_the_verification(
    monkeypatch: pytest.MonkeyPatch, session: Session, lost: str
) -> None:
    """PLAT-49: all that ran passed, and the verification fails: it names the checks that did not run."""
    implied = checks.implied(session.manifest)
    ran = [name for name in implied if not name.startswith(lost)]
    monkeypatch.setattr(
        "ops.steps.verification.subprocess.Popen", suite(report(ran[:9]), report(ran[9:]), report(ran[:9]))
    )
    result = verification.run(session)
    part = verification.run(session, "tests/verify/test_tls.py")
    assert str(result) == f"{len(ran)} of {len(implied)} checks ran, 1 failed"
    (failure,) = result.failures
    gone = len(implied) - len(ran)
    assert f"PLAT-49: {gone} of {len(implied)} checks that the manifest implies did not run: {lost}" in failure
    assert part.failures == []


@pytest.mark.parametrize(("status", "ran"), [(0, True), (1, True), (2, False), (3, False), (5, False)])
def test_the_suite_ran_where_pytest_says_passed_or_failed(
    monkeypatch: pytest.MonkeyPatch, session: Session, status: int, ran: bool
) -> None:
    """PLAT-49: any other status is an end before its time, whatever has been reported until then."""
    monkeypatch.setattr("ops.steps.verification.subprocess.Popen", suite(report(["a check"]), status=status))
    result = verification.run(session, "tests/verify/test_tls.py")
    assert result.ran == (["a check"] if ran else [])
    assert [f"(pytest exit {status})" in failure for failure in result.failures] == ([] if ran else [True])


def test_each_file_of_the_suite_is_one_process_alone(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none has much more to do than the other."""
    given: list[list[str]] = []
    implied = checks.implied(session.manifest)

    def pytest_of(_context: Path, _report: Path, targets: tuple[str, ...]) -> Any:
        given.append([Path(target).stem for target in targets])
        return suite(report([]))([], {"KEEL_REPORT": str(_report)})

    monkeypatch.setattr(verification, "_pytest", pytest_of)
    verification.run(session)
    assert sorted(name for part in given for name in part) == sorted(
        path.stem for path in checks.SUITE.glob("test_*.py")
    )
    fewest, most = sorted(len([name for name in implied if name.partition(".")[0] in part]) for part in given)
    assert most - fewest < len(implied) / 20


def test_the_step_says_how_many_ran_and_fails(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """PLAT-49: in the report of the step, and in the error that ends `pulumi up`."""
    implied = checks.implied(session.manifest)
    said: list[str] = []
    monkeypatch.setattr(verification, "_await_archive_attempt", lambda session: None)
    monkeypatch.setattr(verification, "finish", lambda *_: None)
    ran = report(implied[:9]), report(implied[9:]), report(implied[1:9]), report(implied[9:], "x: RIQ-03: y")
    monkeypatch.setattr("ops.steps.verification.subprocess.Popen", suite(*ran))
    verification.apply(session, {}, said.append)
    with pytest.raises(verification.VerificationFailed, match=r" checks ran, 2 failed, requirements PLAT-49, RIQ-03\n"):
        verification.apply(session, {}, said.append)
    total = len(implied)
    assert said[:2] == [f"verification: {total} checks", f"verification: {total} of {total} checks ran, 0 failed"]


@pytest.mark.parametrize(("number", "end"), [(10, "c8, c9"), (11, "c8, c9 and 1 more"), (23, "c8, c9 and 13 more")])
def test_ten_of_the_checks_that_did_not_run_are_named(number: int, end: str) -> None:
    wanted = [f"c{count}" for count in range(number)] + ["ran"]
    (failure,) = verification.missing(wanted, ["ran"])
    assert f"{number} of {number + 1} checks" in failure
    assert failure.endswith(end)
    assert verification.missing(wanted, wanted) == []
