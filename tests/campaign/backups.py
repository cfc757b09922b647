"""Disasters at random moments while a client writes, and what came back."""

from __future__ import annotations

import random
import re
import shutil
import time
from datetime import UTC, datetime
from typing import Any

from ops.cluster.patroni import members
from ops.hosts.session import Session
from tests.system.disaster import PHASES, kill_in_phase, lose_everything
from tests.system.environments import Ephemeral
from tests.system.fingerprint import fingerprint
from tests.system.writer import Write, Writer, forget_writes, written

WRITTEN = re.compile(r"jeex_idea: public\.users$|roles$")
"""What the client changes, and so cannot be compared as it was."""


def rebuild(environment: Ephemeral, chance: random.Random) -> dict[str, Any]:
    """PLAT-36, ADA-25, ADA-26: everything but the repository is lost at once, by chance the state too.

    What was acknowledged comes back up to one moment, and nothing of it is missing before; all else is as it was.
    """
    environment.up()
    with environment.session() as session:
        forget_writes(session)
        before, schemas = _untouched(session), _schemas(session)
        with Writer(session.manifest, session.roots) as writer:
            writer.await_rows(50)
            time.sleep(chance.uniform(0, 75))  # the disaster comes when it comes
            lost_at = datetime.now(UTC)
            lose_everything(environment)
    state_lost = chance.random() < 0.5
    if state_lost:
        shutil.rmtree(environment.project / "state")
        (environment.project / "state").mkdir()
    environment.config["keel:recovery"] = {"token": f"campaign-{chance.getrandbits(48):012x}"}
    environment.save()
    begun = time.monotonic()
    environment.recover()
    environment.up()
    seconds = time.monotonic() - begun
    with environment.session() as session:
        found = written(session)
        assert _untouched(session) == before, "rows that nobody wrote are not as they were"
        assert _schemas(session) == schemas, "the schemas are not as they were"
    judged = judge_rebuild(writer.acknowledged, found, lost_at)
    return {"state_lost": state_lost, "rto_seconds": round(seconds, 1), **judged}


def judge_rebuild(acknowledged: dict[str, Write], found: set[str], lost_at: datetime) -> dict[str, Any]:
    """Rows, those missing, and RPO: seconds from the first missing acknowledgement to the disaster. Raises AssertionError
    where anything but the end is missing."""
    there = [email in found for email in acknowledged]
    assert there == sorted(there, reverse=True), "an acknowledged row is missing before one that is there"
    missing = [write for email, write in acknowledged.items() if email not in found]
    rpo = (lost_at - missing[0].acknowledged).total_seconds() if missing else 0.0
    return {"acknowledged": len(there), "missing": len(missing), "rpo_seconds": round(rpo, 1)}


def moment(environment: Ephemeral, chance: random.Random) -> dict[str, Any]:
    """PLAT-34, JEEX-29: back to a random moment while a client writes; the command is killed in a random phase first.

    Every row acknowledged before the moment is there, none that began after it.
    """
    environment.up()
    with environment.session() as session:
        forget_writes(session)
        with Writer(session.manifest, session.roots) as writer:
            writer.await_rows(200)
            time.sleep(chance.uniform(0, 20))
            choice = chance.choice(list(writer.acknowledged.values()))
        end = choice.began + (choice.acknowledged - choice.began) * chance.random()
        phase = chance.choice((None, *PHASES))
        command = ("restore", "--to", end.isoformat(), "--yes")
        print(f"to {end.isoformat()}, killed at: {phase}", flush=True)
        if phase:
            kill_in_phase(environment, phase, *command)
        begun = time.monotonic()
        environment.keel(*command)
        seconds = time.monotonic() - begun
        found = written(session)
        well = {member.name: member.well for member in members(session)}
    judged = judge_moment(writer.acknowledged, found, end)
    assert all(well.values()), well
    environment.keel("verify")
    return {"killed_at": phase, "seconds": round(seconds, 1), **judged}


def judge_moment(acknowledged: dict[str, Write], found: set[str], end: datetime) -> dict[str, Any]:
    """Rows before and after ``end``. Raises AssertionError where one of before is missing, or one of after is there."""
    before = {email for email, write in acknowledged.items() if write.acknowledged <= end}
    after = {email for email, write in acknowledged.items() if write.began > end}
    assert not before - found, f"{len(before - found)} rows acknowledged before {end} are missing"
    assert not after & found, f"{len(after & found)} rows that began after {end} are there"
    return {"before": len(before), "after": len(after)}


SCENARIOS = {"rebuild": rebuild, "moment": moment}


def _untouched(session: Session) -> dict[str, object]:
    return {name: value for name, value in fingerprint(session).items() if not WRITTEN.search(name)}


def _schemas(session: Session) -> dict[str, str]:
    """pg_dump's own account of each database without its rows; the tool's random words left out."""
    leader = session.leader().name
    return {
        product: session.run(leader, f"pg_dump -U postgres -d {product} --schema-only | grep -v restrict | sha256sum")
        for product in session.manifest.products
    }
