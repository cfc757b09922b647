"""A primary with two replicas: an `up` and a restore that were killed are brought to their end by the next one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ops.cluster.patroni import members
from tests.system.disaster import PHASES, kill_at, kill_in_phase
from tests.system.environments import Ephemeral
from tests.system.markers import forget_markers, mark, marked

MOMENTS = {
    "while hosts are made": "Container db1 created",
    "in the middle of the chain": "Ready db2-ready creating",
    "while roles run": "Converge data creating",
    "while the database is migrated": "Migration jeex_idea creating",
}


@pytest.mark.family("killed up", "ops/state/clear_killed.py", "ops/state/stack.py", "components/")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_up(trio: Ephemeral, moment: str) -> None:
    """PLAT-36: each is later than the one before, so the next run goes on where the killed one was."""
    process = trio.start()
    kill_at(process, process.stdout, MOMENTS[moment])
    # Now and then the kill meets Pulumi while it writes these; here each does.
    for path in (trio.project / "state").glob(".pulumi/stacks/**/*.json.attrs"):
        path.write_text("")
    assert "was killed; its lock is removed" in trio.recover().stdout


def test_it_is_finished_by_the_next(trio: Ephemeral) -> None:
    """PLAT-36: a first run can be run again, wherever it was interrupted."""
    trio.up()
    trio.up("--expect-no-changes")


@dataclass(frozen=True)
class Back:
    """The way back to a moment. ``timelines``: those of the members before it."""

    command: tuple[str, ...]
    timelines: set[int | None]


@pytest.fixture(scope="module")
def back(trio: Ephemeral) -> Back:
    """Rows before the moment and one after it."""
    with trio.session() as session:
        mark(session, "before")
        moment = mark(session, "kept")
        mark(session, "after")
        return Back(("restore", "--to", moment.isoformat(), "--yes"), {member.timeline for member in members(session)})


@pytest.mark.family(
    "killed restore", "ops/backup/restore.py", "ops/backup/repository.py", "roles/postgres/", "roles/pgbackrest/"
)
@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_restore(trio: Ephemeral, back: Back, phase: str) -> None:
    """PLAT-34: it comes as far as each phase again, wherever the one before was killed."""
    kill_in_phase(trio, phase, *back.command)


def test_the_same_command_brings_it_to_its_end(trio: Ephemeral, back: Back) -> None:
    """PLAT-34, JEEX-29: rows before the moment are there, the one after is not, and both replicas stream on the new timeline."""
    told = trio.keel(*back.command).stdout
    assert "was interrupted; this one replaces it" in told
    assert "everything committed after" in told and "reach:" in told
    with trio.session() as session:
        assert marked(session) == ["before", "kept"]
        forget_markers(session)
        found = members(session)
    assert {member.name: member.well for member in found} == {"db1": True, "db2": True, "db3": True}
    assert len({member.timeline for member in found}) == 1
    assert {member.timeline for member in found}.isdisjoint(back.timelines)
    assert trio.keel("verify").returncode == 0
    assert trio.backups()["stanza"]["backup"][-1]["type"] == "full", "a new timeline begins with a full backup"
