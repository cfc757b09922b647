"""Families of scenarios: faults, damages, moments of a kill: the same test with another choice.

    @pytest.mark.family("damage", "roles/pgbackrest", "ops/backup/jobs.py")
    @pytest.mark.parametrize("what", [...])

Each item of the test is one scenario of the family. Without `--draw` all of them run. With `--draw SEED` a family runs its
scenarios that the change since `--since REV` touches (a changed path begins with one that the mark names; `touches` on one
parameter adds paths for that scenario alone), and ``DRAWN`` of the others by chance. What is left out is listed at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from tools.git import git

DRAWN = 3

RESULT = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Scenario:
    """One choice of a family. ``paths``: where a change concerns it, from the project's root."""

    family: str
    name: str
    paths: tuple[str, ...]

    def touched(self, changed: Iterable[str]) -> bool:
        """Whether one of the changed files concerns it."""
        return any(file.startswith(self.paths) for file in changed)


def chosen(scenarios: Sequence[Scenario], changed: Iterable[str], seed: int) -> set[Scenario]:
    """Per family, those that the change touches and ``DRAWN`` of the rest; the same for the same seed."""
    changed, found = list(changed), {scenario for scenario in scenarios if scenario.touched(changed)}
    rest: defaultdict[str, list[Scenario]] = defaultdict(list)
    for scenario in scenarios:
        if scenario not in found:
            rest[scenario.family].append(scenario)
    for family, others in rest.items():
        found.update(Random(f"{seed} {family}").sample(others, min(DRAWN, len(others))))
    return found


def changed_since(revision: str) -> list[str]:
    """Files that differ from ``revision``, those not committed included. Raises CalledProcessError for an unknown one."""
    differ = git("diff", "--name-only", revision)
    new = git("ls-files", "--others", "--exclude-standard")
    return f"{differ}\n{new}".split()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--draw SEED`, `--since REV`."""
    parser.addoption(
        "--draw", type=int, metavar="SEED", help="of each family what the change touches and three by chance"
    )
    parser.addoption("--since", metavar="REV", help="where the change begins, for --draw (default: none of it counts)")


def pytest_configure(config: pytest.Config) -> None:
    """The two marks."""
    config.addinivalue_line(
        "markers", "family(name, *paths): one scenario of a family; paths: what a change must touch"
    )
    config.addinivalue_line("markers", "touches(*paths): more paths, for one parameter of a family")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not drawn."""
    seed, since = config.getoption("--draw"), config.getoption("--since")
    if seed is None:
        return
    families = {item: scenario for item in items if (scenario := of(item))}
    keep = chosen(list(families.values()), changed_since(since) if since else [], seed)
    left_out = [item for item, scenario in families.items() if scenario not in keep]
    config.stash[RESULT] = [f"{families[item].family}: left out by seed {seed}: {item.nodeid}" for item in left_out]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def of(item: pytest.Item) -> Scenario | None:
    """The scenario that an item is; None where it belongs to no family."""
    mark = item.get_closest_marker("family")
    if mark is None:
        return None
    more = [path for touches in item.iter_markers("touches") for path in touches.args]
    return Scenario(mark.args[0], item.nodeid, (*mark.args[1:], *more))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was left out."""
    for line in config.stash.get(RESULT, []):
        terminalreporter.write_line(line)
