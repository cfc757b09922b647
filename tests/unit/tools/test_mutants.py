"""`make mutants`: what is changed, which tests are asked, what is made of their answers."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cosmic_ray import plugins
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_item import MutationSpec

from environment.load import ROOT
from tools.mutants import mutations, report, trials, warm, workers
from tools.mutants.__main__ import drawn, possible
from tools.mutants.mutations import InvertMembership, Place, ReplaceReturn, Spot
from tools.mutants.report import AIMS, Layer, Outcome, Review, reviews, wilson
from tools.mutants.selection import Record, Selection

CODE = '''
from typing import TYPE_CHECKING

if TYPE_CHECKING or 1 == 2:
    from a import b

LIMIT = 3


def enough(number: int) -> bool:
    """At least 3."""
    if number >= LIMIT and not (
        number == 0
    ):
        return bool(number)
    return False


if __name__ == "__main__":
    enough(4)
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with one file in it."""
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/code.py").write_text(CODE)
    return tmp_path


def changes(root: Path) -> dict[str, str]:
    """Operator and new line of every change of the file."""
    found = {}
    for spec in mutations.specs(root, "ops/code.py"):
        added = [" ".join(line[1:].split()) for line in mutations.difference(root, spec).splitlines() if line[0] == "+"]
        found[f"{spec.operator_name.split('/')[1]} {spec.start_pos[0]} {spec.occurrence}"] = " ".join(added)
    return found


def test_comparisons_booleans_numbers_and_returns_are_changed(root: Path) -> None:
    """And nothing that no test can run: types, the entry of a program, texts."""
    assert changes(root) == {
        "ReplaceComparisonOperator_Eq_NotEq 13 1": "number != 0",
        "ReplaceComparisonOperator_GtE_Gt 12 0": "if number > LIMIT and not (",
        "ReplaceComparisonOperator_GtE_Lt 12 0": "if number < LIMIT and not (",
        "AddNot 12 1": "if not number >= LIMIT and not (",
        "NumberReplacer 7 4": "LIMIT = 4",
        "NumberReplacer 7 5": "LIMIT = 2",
        "NumberReplacer 13 6": "number == 1",
        "NumberReplacer 13 7": "number == -1",
        "ReplaceAndWithOr 12 0": "if number >= LIMIT or not (",
        "ReplaceFalseWithTrue 16 0": "return True",
        "ReplaceUnaryOperator_Delete_Not 12 0": "if number >= LIMIT and (",
        "ReplaceReturn 15 0": "return not (bool(number))",
    }


@pytest.mark.parametrize("operator", [InvertMembership, ReplaceReturn])
def test_our_operators_do_what_their_examples_say(operator: Any) -> None:
    """Cosmic Ray finds them by name."""
    assert plugins.get_operator(f"keel/{operator.__name__}") is operator
    for example in operator.examples():
        assert mutate_code(example.pre_mutation_code, operator(), 0) == example.post_mutation_code


def test_what_another_operator_changes_is_returned_as_it_is() -> None:
    """Constants and comparisons have operators of their own; an empty list cannot become one."""
    for value in ("None", "True", "1", "a == b", "not a", "[]"):
        assert mutate_code(f"def f() -> list[int]:\n    return {value}\n", ReplaceReturn(), 0) is None


def test_a_draw_is_its_seed(root: Path) -> None:
    """The same seed draws the same changes in the same order, another one others; none changes nothing."""
    (root / "ops/code.py").write_text("".join(f"def f{i}(a):\n    return a > {i}\n" for i in range(5)))
    specs = possible(root, ["ops/code.py"])
    first = drawn(root, specs, 6, "ops 1")
    assert first == drawn(root, possible(root, ["ops/code.py"]), 6, "ops 1")
    assert set(map(str, first)) != set(map(str, drawn(root, specs, 6, "ops 2")))
    assert len(set(map(str, first))) == 6
    everything = drawn(root, specs, None, "ops 1")
    assert sorted(map(str, everything)) == sorted(map(str, specs))
    assert all(mutations.mutated(root, spec) is not None for spec in everything)


def test_a_change_that_changes_nothing_is_not_drawn(root: Path) -> None:
    """A large float plus one is the same float."""
    (root / "ops/code.py").write_text("A = 1e300\n")
    specs = possible(root, ["ops/code.py"])
    assert len(specs) == 2
    assert drawn(root, specs, 2, "ops 1") == []


def at(first: int, last: int = 0, *, on_import: bool = False, path: str = "ops/code.py", line: int = 0) -> Place:
    """Of a change that shows where it is."""
    return Place(path, line or first, (Spot(path, first, last or first, on_import),))


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (13, at(12, 14, line=13)),
        (16, at(16)),
    ],
)
def test_where_a_change_is(root: Path, line: int, place: Place) -> None:
    """A statement with all its lines, of a compound one only the head; inside a function or not."""
    specs = [spec for spec in mutations.specs(root, "ops/code.py") if spec.start_pos[0] == line]
    assert {mutations.place(root, spec) for spec in specs} == {place}


@pytest.mark.parametrize(
    ("name", "text", "spots", "tests"),
    [
        ("db/b.py", "from ops.code import LIMIT\ndef f():\n    if LIMIT > 2:\n        return\n", {(3, 4)}, set()),
        ("db/b.py", "from ops import code\ndef f():\n    g(\n        code.LIMIT)\n", {(3, 4)}, set()),
        ("tests/unit/test_b.py", "from ops.code import LIMIT\n", set(), {"tests/unit/test_b.py"}),
        # Wherever else it is read, its value may be in anything that was made on import.
        ("db/b.py", "from ops.code import LIMIT\nTWICE = 2 * LIMIT\n", None, set()),
        ("db/b.py", "from ops.code import LIMIT\ndef f(a=LIMIT): pass\n", None, set()),
        ("tests/unit/help.py", "from ops.code import LIMIT\n", None, set()),
        ("roles/a.j2", "{{ LIMIT }}", None, set()),
    ],
)
def test_a_constant_shows_where_it_is_read(
    root: Path, name: str, text: str, spots: set[tuple[int, int]] | None, tests: set[str]
) -> None:
    """Its own module's function reads it too."""
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text(text)
    (spec,) = (spec for spec in mutations.specs(root, "ops/code.py") if spec.start_pos[0] == 7 and spec.occurrence == 4)
    found = mutations.place(root, spec)
    if spots is None:
        assert found == at(7, on_import=True)
    else:
        own = Spot("ops/code.py", 12, 15, on_import=False)
        assert set(found.spots) == {own, *(Spot(name, *span, on_import=False) for span in spots)}
        assert found.tests == tests


def record(file: str, seconds: dict[str, float], lines: dict[str, list[int]], failed: str = "") -> Record:
    """A recorder's answer about `ops/code.py`: test → its lines."""
    names = list(seconds)
    masks = {str(names.index(name)) if name else "": hex(sum(1 << n for n in found)) for name, found in lines.items()}
    text = json.dumps({"tests": seconds, "failed": [failed], "lines": {"ops/code.py": masks} if masks else {}})
    return Record.of(file, text)


RECORDS = [
    record("tests/slow", {"tests/slow::a": 9.0, "tests/slow::b": 1.0}, {"tests/slow::a": [4, 5], "tests/slow::b": [5]}),
    record("tests/quick", {"tests/quick::a": 0.1, "tests/quick::b": 0.1}, {"": [2], "tests/quick::a": [5]}),
    record("tests/other", {"tests/other::a": 0.1}, {}),
    record("tests/red", {"tests/red::a": 0.1}, {"tests/red::a": [5]}, failed="tests/red::a"),
]


@pytest.mark.parametrize(
    ("place", "tests"),
    [
        # The quicker file first; a test that fails without a change is not asked.
        (at(5), {"tests/quick": ["a"], "tests/slow": ["a", "b"]}),
        (at(3, 4), {"tests/slow": ["a"]}),
        # A function that runs while tests are collected gives every test of the file its result.
        (at(2), {"tests/quick": ["a", "b"]}),
        # What runs on import does so for all of a process that has the file, and for no other.
        (at(1, on_import=True), {"tests/quick": ["a", "b"], "tests/slow": ["a", "b"]}),
        # A constant, read in two places, and by a test file.
        (
            Place("ops/code.py", 9, (*at(4).spots, *at(9).spots), frozenset({"tests/other"})),
            {"tests/other": ["a"], "tests/slow": ["a"]},
        ),
        (at(9), {}),
        (at(1, on_import=True, path="ops/none.py"), {}),
    ],
)
def test_tests_are_chosen_by_what_they_run(place: Place, tests: dict[str, list[str]]) -> None:
    """In the order in which they answer soonest."""
    expected = [(file, [f"{file}::{name}" for name in names]) for file, names in tests.items()]
    found = {file: sorted(names) for file, names in Selection(RECORDS).chosen(place).items()}
    assert list(found.items()) == expected


def outcome(path: str = "ops/code.py", how: str = "", *, killed: bool = True, diff: str = "-a\n+b") -> Outcome:
    """Of a change of line 1."""
    return Outcome(path, 1, "core/AddNot", diff, killed, how, reached=True)


def test_who_noticed_a_change_of_a_file_is_asked_first_about_the_next() -> None:
    """Only about that file; a test in doubt is not asked at all."""
    selection, place = Selection(RECORDS), at(5)
    selection.noticed(outcome("ops/other.py", "tests/slow::b"))
    assert list(selection.chosen(place)) == ["tests/quick", "tests/slow"]
    selection.noticed(outcome(how="tests/slow::b"))
    assert list(selection.chosen(place)) == ["tests/slow", "tests/quick"]
    selection.doubted.add("tests/quick::a")
    assert list(selection.chosen(place)) == ["tests/slow"]


@pytest.mark.parametrize(
    ("killed", "drawn", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 0, 0, 1)],
)
def test_the_interval(killed: int, drawn: int, low: float, high: float) -> None:
    """Two of them are Newcombe's examples (Statistics in Medicine 17, 1998), method 3."""
    assert wilson(killed, drawn) == pytest.approx((low, high), abs=0.0001)


def test_an_aim_is_reached_by_the_lower_end_and_only_by_kills() -> None:
    """Of 150 in roles 129 are not enough, though they are 86 %; what a person says of survivors changes nothing."""
    said = {("ops/code.py", "-a\n+b"): Review(equivalent="it is")}
    for killed, reached in ((129, False), (130, True)):
        outcomes = [outcome()] * killed + [outcome(killed=False)] * (150 - killed)
        assert Layer("roles", 900, outcomes, said).reached is reached
        assert Layer("roles", 900, outcomes, said).figures()["equivalent"] == 150 - killed
    assert AIMS == {"keel_host": 0.8, "environment": 0.8, "processes": 0.8, "roles": 0.8, "ops": 0.7, "db": 0.7}


def test_survivors_are_shown_with_what_is_known_of_them() -> None:
    """A reviewed one is found although it moved to another depth."""
    known = reviews("- {file: ops/code.py, change: \"-a  b\\n+c\", caught: 'tests/system/test_10_up.py::test_x'}")
    outcomes = [outcome(killed=False, diff="-    a b\n+    c"), outcome(killed=False), outcome(how="limit")]
    layer = Layer("ops", 9, outcomes, known)
    figures = layer.figures()
    assert [figures[word] for word in ("drawn", "killed", "survived", "caught later", "open")] == [3, 1, 2, 1, 1]
    assert figures["of them by the limit"] == 1
    assert figures["killed by"] == {"limit": 1}
    assert [entry.get("caught") for entry in layer.survivors()] == ["tests/system/test_10_up.py::test_x", None]
    with pytest.raises(ValueError, match="caught by a slower test or equivalent"):
        reviews("- {file: a, change: b}")


def test_reviewed_survivors_are_of_this_code() -> None:
    """Their lines are there, and the tests that are said to notice them."""
    for (file, change), review in reviews(report.REVIEWED.read_text()).items():
        code = "\n".join(" ".join(line.split()) for line in (ROOT / file).read_text().splitlines())
        before = "\n".join(line[1:].strip() for line in change.splitlines() if line.startswith("-"))
        assert before in code, f"{file} no longer has:\n{before}"
        if review.caught:
            path, _, name = review.caught.partition("::")
            assert f"def {name.split('[')[0]}(" in (ROOT / path).read_text(), review.caught


Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Asked:
    """A worker whose tests answer as the test of this module wants."""

    def __init__(self, root: Path, answer: Answer) -> None:
        self.root, self.answer, self.asked = root, answer, list[Any]()

    def ask(self, job: dict[str, Any], timeout: float) -> dict[str, Any]:
        """The file as it is now, and the answer."""
        self.asked.append(job["tests"])
        changed = (self.root / "ops/code.py").read_text() != CODE
        return {"ended": True, "code": 0, "seconds": 0.1, **self.answer({**job, "changed": changed})}


def spec_of(root: Path, operator: str) -> MutationSpec:
    """The first change by this operator."""
    return next(spec for spec in mutations.specs(root, "ops/code.py") if spec.operator_name.endswith(operator))


def tried(root: Path, answer: Answer, selection: Selection) -> tuple[Outcome, Asked]:
    """The change of line 16."""
    worker, spec = Asked(root, answer), spec_of(root, "ReplaceFalseWithTrue")
    result = trials.trial(worker, spec, selection)  # type: ignore[arg-type]
    assert (root / "ops/code.py").read_text() == CODE
    return Outcome.of(spec, result), worker


def selection() -> Selection:
    """Two tests run line 16."""
    return Selection([record("tests/t", {"tests/t::a": 1.0, "tests/t::b": 1.0}, {f"tests/t::{n}": [16] for n in "ab"})])


def test_a_change_is_killed_by_a_failure_and_by_nothing_else(root: Path) -> None:
    """No test collected is no failure; an end by the limit is said."""
    fails = {"code": 1, "failed": "tests/t::a"}
    assert tried(root, lambda job: fails if job["changed"] else {}, selection())[0].how == "tests/t::a"
    for answer, killed, how in (
        ({"code": 0}, False, "2 tests, 0.1 s"),
        ({"code": 5}, False, "2 tests, 0.1 s"),
        ({"code": -9, "ended": False}, True, "limit"),
        ({"code": 4}, True, "status 4"),
    ):
        found = tried(root, lambda job, answer=answer: answer, selection())[0]  # type: ignore[misc]
        assert (found.killed, found.how, found.reached) == (killed, how, True)
    found = tried(root, lambda job: {"code": 1}, Selection([]))[0]
    assert (found.killed, found.how, found.reached) == (False, "no test runs it", False)


def test_a_test_that_fails_without_the_change_kills_nothing(root: Path) -> None:
    """It is tried alone before it counts, once; the others are asked again without it."""
    doubtful = {"code": 1, "failed": "tests/t::a"}
    chosen = selection()
    found, worker = tried(root, lambda job: doubtful if "tests/t::a" in job["tests"]["tests/t"] else {}, chosen)
    assert not found.killed
    assert worker.asked == [
        {"tests/t": ["tests/t::a", "tests/t::b"]},
        {"tests/t": ["tests/t::a"]},
        {"tests/t": ["tests/t::b"]},
    ]
    found, worker = tried(root, lambda job: {"code": 1, "failed": "tests/t::b"} if job["changed"] else {}, chosen)
    found, again = tried(root, lambda job: {"code": 1, "failed": "tests/t::b"} if job["changed"] else {}, chosen)
    assert found.killed
    assert (len(worker.asked), len(again.asked)) == (2, 1)


def test_an_interrupted_session_goes_on_where_it_was(root: Path, tmp_path: Path) -> None:
    """What has a result is not tried again, and who killed is remembered."""
    specs = [spec for spec in mutations.specs(root, "ops/code.py") if spec.start_pos[0] in (15, 16)]
    session, count = tmp_path / "session.sqlite", 0

    def interrupted(job: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        count += job["changed"]
        if count == 2:
            raise KeyboardInterrupt
        return {"code": int(job["changed"]), "failed": "tests/t::a"}

    chosen = Selection([record("tests/t", {"tests/t::a": 1.0}, {"tests/t::a": [15, 16]})])
    with pytest.raises(KeyboardInterrupt):
        trials.tried([Asked(root, interrupted)], session, specs, chosen)  # type: ignore[list-item]
    chosen = Selection(chosen.records)
    worker = Asked(root, lambda job: {"code": 0})
    outcomes = trials.tried([worker], session, specs, chosen)  # type: ignore[list-item]
    assert sorted(found.killed for found in outcomes) == [False, True]
    assert len(worker.asked) == 1
    assert chosen.killers["ops/code.py"]["tests/t"] == 1
    (survivor,) = [found for found in outcomes if not found.killed]
    (root / "ops/code.py").write_text("# A line more.\n" + CODE)
    (again,) = trials.remaining(root, session)
    assert again.start_pos[0] == survivor.line + 1


def waits(job: dict[str, Any]) -> int:
    """A child that does nothing for longer than a test may take."""
    time.sleep(60)
    return 0


def test_a_trial_that_waits_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock, because it uses no processor time."""
    monkeypatch.setattr(warm, "_run", waits)
    asking, end = os.pipe()
    with os.fdopen(asking) as stdin, os.fdopen(end, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        answer = warm.attempt({"timeout": 0.01})
    assert not answer["ended"]
    assert answer["seconds"] < 30


def test_an_interrupted_trial_has_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked is gone: what was running then was not killed by its limit."""
    monkeypatch.setattr(warm, "_run", waits)
    asking, end = os.pipe()
    os.close(end)
    with os.fdopen(asking) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(SystemExit, match="no result"):
            warm.attempt({"timeout": 600})


def test_a_worker_runs_real_tests_in_a_copy(tmp_path: Path) -> None:
    """Recorded by line, what a shared fixture or a cache ran included; a change fails there and leaves the checkout alone."""
    files = {
        "ops/code.py": """
            from functools import cache

            @cache
            def loaded() -> int:
                return 3

            def more(number: int) -> bool:
                return number > loaded()

            def less(number: int) -> bool:
                return number < loaded()
            """,
        "tests/unit/test_code.py": """
            import pytest
            from ops import code

            @pytest.fixture(scope="module")
            def big() -> bool:
                return code.more(4)

            def test_first(big): assert big
            def test_second(big): assert big
            def test_cached(): assert code.loaded() == 3
            def test_end(): assert not code.less(3)
            def test_nothing(): pass
            """,
    }
    source = tmp_path / "source"
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(textwrap.dedent(text))
    for name in ("__init__", "plugin", "scratch", "warm"):
        (source / "tools/mutants").mkdir(parents=True, exist_ok=True)
        (source / f"tools/mutants/{name}.py").write_text((ROOT / f"tools/mutants/{name}.py").read_text())
    (source / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = --import-mode=importlib\n")
    subprocess.run(["git", "init", "-q", source], check=True)
    test = "tests/unit/test_code.py"
    with workers.running(source, 1, modules=["pytest"]) as crew:
        (found,) = trials.recorded(crew, source, tmp_path / "records", [test])
        lines = {
            line: sorted(
                name.split("::")[1][5:]
                for name, mask in found.reached["ops/code.py"].items()
                if name and mask >> line & 1
            )
            for line in (6, 9, 12)
        }
        assert lines == {6: ["cached", "end", "first", "second"], 9: ["first", "second"], 12: ["end"]}
        outcomes = trials.tried(
            crew,
            tmp_path / "session.sqlite",
            [spec_of(source, "Gt_LtE"), spec_of(source, "Lt_LtE")],
            Selection([found]),
        )
        assert [(o.line, o.killed, o.how) for o in outcomes] == [
            (9, True, f"{test}::test_first"),
            (12, True, f"{test}::test_end"),
        ]
        copies = crew[0].root.parent.parent
    assert not copies.exists()
    assert (source / "ops/code.py").read_text() == textwrap.dedent(files["ops/code.py"])
