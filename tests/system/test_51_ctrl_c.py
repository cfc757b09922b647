"""Ctrl-C once ends `make up` within seconds, wherever it is, and leaves nothing behind; the next one goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pytest

from environment.waiting import until
from migrations.session import LOCK
from ops.hosts.session import Session
from tests.system.by_hand import by_hand
from tests.system.environments import Ephemeral
from tests.system.terminal import Terminal, making_up

SECONDS = 10
"""Issue 12: a running step ends within so many."""
STUB = "mv /usr/bin/etcdctl /usr/bin/etcdctl.real && printf '#!/bin/sh\\nexit 1\\n' > /usr/bin/etcdctl && chmod 755 /usr/bin/etcdctl"


class Moment(NamedTuple):
    """Where `make up` is held up."""

    config: dict[str, Any]
    """What is changed, so that it comes there."""
    held_up: Callable[[Session], Any]
    """Holds it up for as long as this lasts."""
    reached: Callable[[Session, Terminal], bool]
    gone: Callable[[Session], bool] = lambda _: True
    """Nothing of it is left on the hosts."""


@contextmanager
def a_unit_that_does_not_serve(session: Session) -> Iterator[None]:
    session.run("edge1", STUB)
    try:
        yield
    finally:
        session.run("edge1", "mv -f /usr/bin/etcdctl.real /usr/bin/etcdctl")


@contextmanager
def statement(session: Session, text: str) -> Iterator[None]:
    """A session that holds a lock of jeex_idea's database."""
    with by_hand(session, "jeex_idea") as connection:
        connection.execute(text.encode())
        yield


def asks(session: Session, condition: str) -> bool:
    """Whether a session of the database is there of which ``condition`` holds."""
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        found = connection.execute(
            f"select from pg_stat_activity where datname = 'jeex_idea' and pid <> pg_backend_pid() and {condition}".encode()
        ).fetchone()
    return found is not None


WAITING_LOOP = "pgrep -f 'until etcdct[l]' || true"
OF_A_TURN = "usename = 'jeex_idea_migrator' and query like '%pg_try_advisory_lock%'"
FOR_A_TABLE = "wait_event_type = 'Lock' and query like '%alembic_version%'"
MOMENTS = {
    "a unit is awaited": Moment(
        {"keel:etcd": {"heartbeat_ms": 110}},
        a_unit_that_does_not_serve,
        lambda session, _: session.run("edge1", WAITING_LOOP).strip() != "",
        lambda session: session.run("edge1", WAITING_LOOP).strip() == "",
    ),
    "a statement waits": Moment(
        {"keel:databases": {"backup_before_migration": True}},
        lambda session: statement(session, "lock table alembic.alembic_version in access exclusive mode"),
        lambda session, _: asks(session, FOR_A_TABLE),
        lambda session: not asks(session, FOR_A_TABLE),
    ),
    "a migration waits for its turn": Moment(
        {"keel:databases": {"backup_before_migration": True}},
        lambda session: statement(session, f"select pg_advisory_lock({LOCK})"),
        lambda session, _: asks(session, OF_A_TURN),
        lambda session: not asks(session, OF_A_TURN),
    ),
    "the verification runs": Moment(
        {"keel:haproxy": {"check_interval_ms": 900}},
        lambda _: ExitStack(),
        lambda _, terminal: any("-m pytest" in line for line in terminal.running()),
    ),
}


@pytest.mark.family("Ctrl-C", "processes/", "ops/step.py", "components/step.py", "roles/kit/operations.py")
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_once_ends_it_and_the_next_run_goes_on(twin: Ephemeral, moment: str) -> None:
    """PLAT-48: no process, no lock on a host and no lock of Pulumi's that the next run does not take over."""
    config, held_up, reached, gone = MOMENTS[moment]
    before = {key: twin.config.get(key) for key in config}
    twin.config.update(config)
    twin.save()
    try:
        with twin.session() as session, held_up(session), making_up(twin) as terminal:
            until(
                lambda: reached(session, terminal), 240, f"the moment when {moment}",
                last=lambda: terminal.said[-3000:], every=0.3,
            )  # fmt: skip
            seconds = terminal.interrupt()
            assert seconds < SECONDS, f"{seconds:.1f} s: {terminal.running()}\n{terminal.said[-3000:]}"
            assert terminal.process.wait(SECONDS)
            assert "interrupted at: " in terminal.said, terminal.said[-3000:]
            until(lambda: gone(session), SECONDS, "what it had asked for to be gone")
            for host in session.manifest.hosts:
                session.run(host.name, "flock -n /run/keel.lock true")
    finally:
        twin.config.update(before)
        for key in [key for key, value in before.items() if value is None]:
            del twin.config[key]
        twin.save()
    with making_up(twin) as again:
        assert again.process.wait(600) == 0, again.why
