"""The gate: queues side by side, and what it reports of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.gate import change, minutes, report
from tests.gate.__main__ import watch
from tests.gate.queues import DATABASES, LANES, Queue, after
from tests.gate.report import Spent


def shell(name: str, *commands: str) -> Queue:
    """A queue of shell commands."""
    return Queue(name, tuple(("sh", "-c", command) for command in commands))


def test_queues_run_side_by_side_and_their_commands_in_order(tmp_path: Path) -> None:
    """Each waits for the other half-way: one after the other they would never end."""
    meet = "echo > {0}/{1}; timeout 10 sh -c 'until test -e {0}/{2}; do :; done' && echo met"
    ended = watch(
        [shell("l", "echo first", meet.format(tmp_path, "l", "r")), shell("r", meet.format(tmp_path, "r", "l"))],
        tmp_path,
    )
    left, right = sorted(ended, key=lambda queue: queue.name)
    assert (left.said(), right.said()) == (["first", "met"], ["met"])
    assert left.failed == right.failed == []
    assert left.wall > 0


def test_a_failed_command_is_named_and_the_rest_of_its_queue_runs(tmp_path: Path) -> None:
    (queue,) = watch([shell("one", "exit 3", "echo goes on")], tmp_path)
    assert queue.failed == ["one: sh -c exit 3: exit status 3"]
    assert queue.said() == ["goes on"]


def test_the_next_begins_when_one_has_ended(tmp_path: Path) -> None:
    """Of three, two side by side: the last finds that one has ended, and the long one ends once the last has run."""
    short, last = tmp_path / "short", tmp_path / "last"
    ended = watch(
        [
            shell("long", f"timeout 10 sh -c 'until test -e {last}; do :; done'"),
            shell("short", f"test ! -e {last} && echo > {short}"),
            shell("last", f"test -e {short} && echo > {last}"),
        ],
        tmp_path,
        at_once=2,
    )
    assert {queue.name: queue.failed for queue in ended} == {"long": [], "short": [], "last": []}
    assert ended[0].name == "short"


def test_every_lane_has_a_queue_and_the_draw() -> None:
    first, *lanes = after(("--draw", "1"))
    assert (first, [queue.name for queue in lanes]) == (DATABASES, list(LANES))
    assert all(queue.commands[0][-2:] == ("--draw", "1") for queue in lanes)


def test_the_report_adds_up_by_command_file_and_test() -> None:
    spent = [
        Spent("setup", "tests/a.py::one", 60.0),
        Spent("call", "tests/a.py::one", 5.0),
        Spent("call", "tests/a.py::two", 1.0),
        Spent("call", "tests/b.py::three", 600.0),
        Spent("command", "pulumi up", 40.4),
        Spent("command", "pulumi up", 20.4),
    ]
    assert report.lines(spent, {"dev": 61.0, "db": 3.0}, 700.0) == [
        "where 11:40 minutes went: dev 1:01, db 0:03",
        "commands of the system tests, the longest 1 of 1:",
        "    1:00     2 ×  pulumi up",
        "files, the longest 2 of 2:",
        "   10:00     1 ×  tests/b.py",
        "    1:06     3 ×  tests/a.py",
        "tests, the longest 3 of 3:",
        "   10:00     1 ×  tests/b.py::three",
        "    1:05     2 ×  tests/a.py::one",
        "    0:01     1 ×  tests/a.py::two",
    ]


def git(folder: Path, *arguments: str, at: int = 0) -> str:
    """In ``folder``, committed ``at`` so many seconds."""
    who = ("-c", "user.name=k", "-c", "user.email=k@test.example")
    variables = {"GIT_COMMITTER_DATE": f"{1_700_000_000 + at} +0000", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ("git", *who, *arguments), cwd=folder, check=True, capture_output=True, text=True, env=variables
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits: two days, an hour, and no time old."""
    monkeypatch.setattr("tools.git.ROOT", tmp_path)
    monkeypatch.delenv("KEEL_BASE", raising=False)
    git(tmp_path, "init", "-q", "-b", "main")
    for name, at in (("old", 0), ("hour", 170_000), ("head", 173_600)):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", name, at=at)
    return tmp_path


def subject(folder: Path, revision: str) -> str:
    """What the commit is called."""
    return git(folder, "log", "-1", "--format=%s", revision)


def test_a_days_commits_are_one_change(repository: Path) -> None:
    assert subject(repository, change.base()) == "old"


def test_a_branch_is_its_commits(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "work", "--track", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "work", at=173_700)
    assert subject(repository, change.base()) == "head"


def test_where_everything_is_new_it_begins_with_the_first_commit(repository: Path) -> None:
    git(repository, "checkout", "-q", "--orphan", "young")
    git(repository, "commit", "-q", "--allow-empty", "-m", "first", at=173_600)
    assert subject(repository, change.base()) == "first"


def test_the_variable_comes_first(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEL_BASE", "v1.2")
    assert change.base() == "v1.2"


@pytest.mark.parametrize("worker", [None, "gw0"])
def test_a_phase_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: str | None) -> None:
    """xdist's workers report to the controller, which hears each phase too."""
    monkeypatch.setenv(minutes.KEPT, str(tmp_path / "kept"))
    if worker:
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
    else:
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    phase = SimpleNamespace(when="call", nodeid="tests/a.py::one", duration=1.5, failed=False)
    minutes.pytest_runtest_logreport(phase)  # type: ignore[arg-type]
    assert report.read(tmp_path / "kept") == ([] if worker else [Spent("call", "tests/a.py::one", 1.5)])


def test_each_failure_is_told_with_its_reason(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long one the beginning and the end, the shorter the more there are; what broke before or after a test too."""
    monkeypatch.setenv(minutes.KEPT, str(pytester.path / "kept"))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(
        test_a="""
        import pytest

        @pytest.fixture
        def broken():
            raise OSError("no door")

        def test_long():
            assert False, "begins " + "x" * 9000 + " ends"

        def test_broken(broken):
            pass

        def test_good():
            pass
        """
    )
    pytester.runpytest_inprocess("-p", "tests.gate.minutes")
    long, broken = report.failures(report.read(pytester.path / "kept"))
    assert long.startswith("FAILED in call: test_a.py::test_long: test_a.py:8: AssertionError: begins xxx")
    assert long.endswith("ends assert False") and len(long) < report.REASONS
    assert broken == "FAILED in setup: test_a.py::test_broken: test_a.py:5: OSError: no door"
    many = report.failures([Spent("call", f"test_{number}", 1, "x" * 9000) for number in range(30)])
    assert len(many) == 30 and all(report.SHORTEST < len(line) < 2 * report.SHORTEST for line in many)
