"""Record what each test runs, then try one change after another; both go on where they were interrupted."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tools.mutants import mutations, scratch
from tools.mutants.report import Outcome
from tools.mutants.selection import Record, Selection
from tools.mutants.workers import Worker, spread

FAST = ("tests/unit/", "tests/components/", "tests/roles/")
DATABASE = ("tests/db/", "tests/test_")
TESTS = {
    **dict.fromkeys(("environment", "processes", "roles"), FAST),
    **dict.fromkeys(("keel_host", "ops", "db"), (*FAST, *DATABASE)),
}
"""Which tests are asked about a layer: those of `make test` that need no environment."""

DECIDES = (
    *(f"{folder}/" for folder in (*scratch.LAYERS, "components", "migrations", "stacks", "tests")),
    "conftest.py", "pyproject.toml", "requirements.txt", "tools/mutants/plugin.py",
)  # fmt: skip
"""What the result of a test depends on."""

LIMIT = 30
"""Seconds of processor time that any trial may take; one with long tests may take ten times as long as they took."""

PARSING = threading.Lock()
"""Python 3.11 counts the depth of a syntax tree for all threads together and takes their sum for an error."""


def decides(root: Path) -> list[str]:
    """The files among `DECIDES`."""
    return [path for path in scratch.files(root) if path.startswith(DECIDES) and not path.endswith(".md")]


def asked(root: Path, layer: str) -> list[str]:
    """The layer's test files."""
    return [path for path in decides(root) if path.startswith(TESTS[layer]) and _is_test(path)]


def _is_test(path: str) -> bool:
    return Path(path).name.startswith("test_") and path.endswith(".py")


def recorded(crew: list[Worker], root: Path, folder: Path, files: list[str]) -> list[Record]:
    """What each test file runs.

    A record is kept below `folder` until its test file, or what is no test file, changes; one with failures is kept
    for this time only. Raises RuntimeError when pytest itself fails.
    """
    rest = scratch.digest(root, [path for path in decides(root) if not _is_test(path)])
    kept = {file: folder / rest / f"{scratch.digest(root, [file])}.json" for file in files}
    (folder / rest).mkdir(parents=True, exist_ok=True)
    unknown = [file for file in files if not kept[file].exists()]
    records = {file: Record.of(file, path.read_text()) for file, path in kept.items() if file not in unknown}
    if unknown:
        print(f"recording what {len(unknown)} test files run", flush=True)

    def record(worker: Worker, file: str) -> None:
        answer = worker.ask({"record": file}, 900)
        if "failed" not in answer:
            raise RuntimeError(f"{file} could not be recorded:\n{worker.log[-3000:]}")
        text = worker.out.read_text()
        records[file] = Record.of(file, text)
        if not answer["failed"]:
            part = kept[file].with_suffix(".part")
            part.write_text(text)
            part.replace(kept[file])
        for failed in answer["failed"]:
            print(f"  left out, it fails without a change: {failed}", flush=True)

    spread(crew, unknown, record)
    return [records[file] for file in files]


def tried(crew: list[Worker], session: Path, specs: list[MutationSpec], selection: Selection) -> list[Outcome]:
    """The outcome of each; those that the session has are not tried again."""
    database = WorkDB(session, WorkDB.Mode.create)
    if not database.num_work_items:
        database.add_work_items(WorkItem.single(f"{number:05d}", spec) for number, spec in enumerate(specs))
    for item, result in database.completed_work_items:
        selection.noticed(Outcome.of(item.mutations[0], result))
    pending = sorted(database.pending_work_items, key=lambda item: item.job_id)
    done, lock = len(specs) - len(pending), threading.Lock()

    def attempt(worker: Worker, item: WorkItem) -> None:
        nonlocal done
        result = trial(worker, item.mutations[0], selection)
        with lock:
            done += 1
            database.set_result(item.job_id, result)
            outcome = Outcome.of(item.mutations[0], result)
            selection.noticed(outcome)
            word = "killed" if outcome.killed else "survived"
            print(f"{done}/{len(specs)} {word:8} {outcome.path}:{outcome.line}  {outcome.how}", flush=True)

    spread(crew, pending, attempt)
    outcomes = [Outcome.of(item.mutations[0], result) for item, result in database.completed_work_items]
    database.close()
    return sorted(outcomes, key=lambda outcome: (outcome.path, outcome.line, outcome.operator))


def trial(worker: Worker, spec: MutationSpec, selection: Selection) -> WorkResult:
    """Change the file in the worker's checkout, run the tests that reach it, put the file back.

    A test that kills for the first time has to pass alone without the change: one that fails anyway kills nothing.
    """
    path = worker.root / spec.module_path
    before = path.read_text()
    with PARSING:
        after = mutations.mutated(worker.root, spec)
        diff, place = mutations.difference(worker.root, spec), mutations.place(worker.root, spec)
    assert after is not None
    while tests := selection.chosen(place):
        path.write_text(after)
        try:
            answer = worker.ask({"tests": tests}, limit(tests, selection))
        finally:
            path.write_text(before)
        # 5: a change under which not one of the tests is collected was noticed by none.
        if answer["ended"] and answer["code"] in (0, 5):
            how = f"{sum(map(len, tests.values()))} tests, {answer['seconds']} s"
            return WorkResult(WorkerOutcome.NORMAL, how, TestOutcome.SURVIVED, diff)
        failed = answer.get("failed")
        if failed and "::" in failed and failed not in selection.trusted:
            alone = {failed.split("::")[0]: [failed]}
            again = worker.ask({"tests": alone}, limit(alone, selection))
            if again["code"]:
                print(f"  left out, it fails alone without a change: {failed}", flush=True)
                selection.doubted.add(failed)
                continue
            selection.trusted.add(failed)
        by = (failed or f"status {answer['code']}") if answer["ended"] else "limit"
        return WorkResult(WorkerOutcome.NORMAL, by, TestOutcome.KILLED, diff)
    return WorkResult(WorkerOutcome.NO_TEST, "no test runs it", TestOutcome.SURVIVED, diff)


def limit(tests: dict[str, list[str]], selection: Selection) -> float:
    """Seconds of processor time."""
    return max(LIMIT, 10 * sum(selection.seconds(names) for names in tests.values()))


def remaining(root: Path, session: Path) -> list[MutationSpec]:
    """Those of a session's changes that no test noticed, found again in the code of now."""
    database = WorkDB(session, WorkDB.Mode.open)
    done: list[tuple[MutationSpec, Any]] = [
        (item.mutations[0], result) for item, result in database.completed_work_items
    ]
    database.close()
    found = []
    for spec, result in done:
        if result.test_outcome != TestOutcome.SURVIVED:
            continue
        same = [
            now
            for now in mutations.specs(root, str(spec.module_path))
            if now.operator_name == spec.operator_name and mutations.difference(root, now) == result.diff
        ]
        if same:
            found.append(min(same, key=lambda now: abs(now.start_pos[0] - spec.start_pos[0])))
        else:
            print(f"no longer there: {spec.module_path}:{spec.start_pos[0]}\n{result.diff}")
    return found
