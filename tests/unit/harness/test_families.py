"""Which scenarios of a family a gate runs."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.gate.families import DRAWN, Scenario, changed_since, chosen

FAULTS = [Scenario("faults", f"fault {n}", ("roles/patroni/",)) for n in range(8)]
ALERTS = [Scenario("alerts", f"alert {n}", (f"roles/alert{n}/",)) for n in range(5)]


def test_three_of_each_family_are_drawn() -> None:
    found = chosen([*FAULTS, *ALERTS], [], seed=1)
    assert Counter(scenario.family for scenario in found) == {"faults": 3, "alerts": 3}
    assert DRAWN == 3


def test_the_seed_decides() -> None:
    assert chosen(FAULTS, [], 1) == chosen(FAULTS, [], 1)
    assert len({frozenset(chosen(FAULTS, [], seed)) for seed in range(20)}) > 5


def test_families_are_drawn_apart() -> None:
    """A scenario more in one family changes nothing in the other."""
    drawn = chosen([*FAULTS, *ALERTS], [], 4)
    assert chosen(FAULTS, [], 4) == {scenario for scenario in drawn if scenario.family == "faults"}


def test_what_the_change_touches_runs_besides() -> None:
    found = chosen([*FAULTS, *ALERTS], ["roles/alert2/role.py", "README.md"], 1)
    assert ALERTS[2] in found
    assert Counter(scenario.family for scenario in found)["alerts"] == 4
    assert chosen(FAULTS, ["roles/patroni/role.py"], 1) == set(FAULTS)


def test_a_path_is_a_beginning_not_a_part() -> None:
    assert not FAULTS[0].touched(["docs/roles/patroni/README.md", "roles/patroni.md"])


def test_a_small_family_runs_whole() -> None:
    assert chosen(FAULTS[:2], [], 1) == set(FAULTS[:2])


SUITE = """
import pytest

@pytest.mark.family("letters", "letters/")
@pytest.mark.parametrize("letter", ["a", "b", "c", "d", pytest.param("e", marks=pytest.mark.touches("e.py"))])
def test_letter(letter): pass

def test_alone(): pass
"""


def test_pytest_leaves_out_the_rest_and_lists_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(SUITE)
    monkeypatch.setattr("tests.gate.families.changed_since", lambda revision: {"base": ["e.py"]}[revision])
    everything = pytester.runpytest_inprocess("-p", "tests.gate.families")
    everything.assert_outcomes(passed=6)
    drawn = pytester.runpytest_inprocess("-p", "tests.gate.families", "--draw", "7", "--since", "base", "-v")
    drawn.assert_outcomes(passed=5, deselected=1)
    assert "test_letter[e] PASSED" in drawn.stdout.str()
    assert drawn.stdout.str().count("letters: left out by seed 7: ") == 1


def test_the_change_is_what_git_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed since, not committed, and not known to git yet."""
    monkeypatch.setattr("tools.git.ROOT", tmp_path)

    def git(*arguments: str) -> None:
        subprocess.run(
            ("git", "-c", "user.name=k", "-c", "user.email=k@test.example", *arguments), cwd=tmp_path, check=True
        )

    git("init", "-q")
    for name in ("before", "committed", "changed"):
        (tmp_path / name).write_text(name)
        git("add", name)
        git("commit", "-qm", name)
    (tmp_path / "changed").write_text("again")
    (tmp_path / "new").touch()
    assert changed_since("HEAD~2") == ["changed", "committed", "new"]
    assert changed_since("HEAD") == ["changed", "new"]
    with pytest.raises(subprocess.CalledProcessError):
        changed_since("nowhere")
