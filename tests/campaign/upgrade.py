"""An environment of an earlier release comes to this one by one `make up`, while products write (PLAT-48, JEEX-32).

Two releases manage the same environment as people's checkouts do: one clone, in which first the earlier revision is checked
out, then this one, with the state beside it.
"""

from __future__ import annotations

import random
import secrets
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from environment.load import ROOT, read_stack_file
from environment.products import Product
from environment.urls import product_urls
from ops.hosts.session import Session
from ops.state.copies import moved
from ops.state.slots import Slot, reserve
from tests.campaign.backups import WRITTEN
from tests.rls.tenants import tenants
from tests.system.environments import Ephemeral, discard
from tests.system.fingerprint import fingerprint
from tests.system.majority import Majority
from tests.system.writer import Writer, written
from tools.git import git

FORMER = {
    "ed4eec8": "the last one without any of the walls: flat trust, no firewall, no login that only looks, hosts of another shape",
    "e666c70": "a week older: the one whose weaknesses were found, and whose Pulumi program and programs on hosts are older still",
}
"""Revisions before the first release whose environments are taken over, and why these."""
RULE = """
insert into rules (rule_id, category, title, description, severity, enforcement)
values ('UPGRADE-1', 'upgrade', 'kept', 'written before an upgrade', 'INFO', 'optional')
"""
LONGEST_PAUSE = 60.0
"""Seconds. Two switchovers, the etcd members and the servers one by one, and no crash: ttl and start-up are not in it."""


def upgrade(_: Ephemeral, chance: random.Random) -> dict[str, Any]:
    """From one of the former revisions."""
    former = chance.choice(list(FORMER))
    return {"former": former} | upgraded(former)


def upgraded(former: str) -> dict[str, Any]:
    """No acknowledged row is lost, nothing else changes, etcd keeps its majority, the end is verified and a second `up` empty."""
    present = git("rev-parse", "HEAD")
    with checked_out(former, "dev") as (there, slot):
        cold = make_up(there)
        with there.session() as session:
            write_as_products(session)
            before = rows(session)
            with (
                Majority(session) as majority,
                Writer(session.manifest, session.roots) as pooled,
                Writer(session.manifest, session.roots, direct=True) as direct,
            ):
                pooled.await_rows(20)
                direct.await_rows(20)
                check_out(there, slot, present, "dev")
                seconds = make_up(there)
                for writer in (pooled, direct):
                    writer.await_rows(20, since=datetime.now(UTC), limit=30)
            lost = (pooled.acknowledged.keys() | direct.acknowledged.keys()) - written(session)
            after = rows(session)
        pauses = {"pooled": pooled.longest_pause(), "direct": direct.longest_pause()}
        figures = {
            "cold_seconds": cold,
            "seconds": seconds,
            "acknowledged": len(pooled.acknowledged) + len(direct.acknowledged),
            "longest_pause": pauses,
            "errors": {name: _codes(writer) for name, writer in (("pooled", pooled), ("direct", direct))},
            "majority_looks": majority.looks,
        }
        print(figures, flush=True)
        assert not lost, f"{len(lost)} acknowledged rows are lost"
        changed = {table for table in before.keys() | after.keys() if before.get(table) != after.get(table)}
        assert not changed, f"these are not as they were: {sorted(changed)}"
        assert majority.looks > 20 and not majority.lost, majority.lost
        assert max(pauses.values()) < LONGEST_PAUSE, pauses
        make_up(there, "--expect-no-changes")
        there.pulumi("preview", "--refresh", "--expect-no-changes")
    return figures


@contextmanager
def checked_out(former: str, like: str) -> Iterator[tuple[Ephemeral, Slot]]:
    """An environment like the stack ``like``, not up yet, of a clone in which `former` is checked out; gone afterwards."""
    name = f"test-upgrade-{secrets.token_hex(2)}"
    there = Ephemeral(name, Path(tempfile.mkdtemp(prefix=f"keel-{name}-")), {})
    try:
        git("clone", "--quiet", "--no-checkout", str(ROOT), str(there.project))
        (there.project / "state").mkdir()
        slot = reserve()
        check_out(there, slot, former, like)
        yield there, slot
    finally:
        discard(there)


def check_out(there: Ephemeral, slot: Slot, revision: str, like: str) -> None:
    """A revision, with its own stack file of ``like`` under the environment's name."""
    subprocess.run(["git", "-C", there.project, "checkout", "--quiet", "--detach", revision], check=True)
    there.config = moved(read_stack_file(there.project / "stacks" / f"Pulumi.{like}.yaml"), slot)
    there.save()


def made_up(there: Ephemeral, *options: str) -> subprocess.CompletedProcess[str]:
    """`make up` in the clone with these options of `pulumi up`, from a shell that knows nothing of this checkout."""
    foreign = {"PYTHONPATH", "KEEL_PROJECT"}
    flags = " ".join(["--yes --skip-preview --non-interactive --color never", *options])
    variables = {name: value for name, value in there.variables.items() if name not in foreign}
    return subprocess.run(
        ["make", "up", f"UP_FLAGS={flags}"],
        cwd=there.project, env=variables, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=1500,
    )  # fmt: skip


def make_up(there: Ephemeral, *options: str) -> float:
    """As :func:`made_up`, which must succeed; its seconds."""
    began = time.monotonic()
    done = made_up(there, *options)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    return round(time.monotonic() - began, 1)


def write_as_products(session: Session) -> None:
    """Rows of two users in every table of users' rows, by each product's application; a rule where rows are nobody's."""
    for entry in session.manifest.products.values():
        with psycopg.connect(product_urls(session.manifest, session.roots, entry.product)["application"]) as connection:
            _write(connection, entry.product)
            connection.commit()


def _write(connection: psycopg.Connection[Any], product: Product) -> None:
    if product.identity_type is None:
        connection.execute(RULE)
        return
    with tenants(connection, product):
        connection.commit()


def rows(session: Session) -> dict[str, object]:
    """What the products' tables hold, but those that the writers change and Alembic's."""
    found = fingerprint(session)
    return {name: rows for name, rows in found.items() if not WRITTEN.search(name) and ": alembic." not in name}


def _codes(writer: Writer) -> Counter[str]:
    """How often a writer was refused, by the server's code."""
    return Counter(error.partition(":")[0] for error in writer.errors)
