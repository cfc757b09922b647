"""Two people operate one environment, each with the repository, the passphrase and the way to the state, and nothing else.

The state moves from a folder to an S3-compatible server over TLS, as docs/two-people.md says.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from environment.waiting import until
from tests.system.environments import Ephemeral
from tests.system.s3 import S3

SHOWN = "show log_min_duration_statement"


@pytest.fixture(scope="module")
def pair(single: Ephemeral) -> Iterator[tuple[Ephemeral, Ephemeral]]:
    """The environment through two controllers, its state in a bucket."""
    folder = Path(tempfile.mkdtemp(prefix="keel-test-state-"))
    server = S3(folder / "s3", "127.0.0.1")
    server.start()
    try:
        single.up()
        state = folder / "state.json"
        single.pulumi("stack", "export", "--file", str(state))
        first = replace(single, backend=server.state)
        first.pulumi("stack", "select", "--create")
        first.pulumi("stack", "import", "--file", str(state))
        second = replace(first, project=folder / "second")
        shutil.copytree(single.project, second.project, ignore=shutil.ignore_patterns("state"))
        yield first, second
    finally:
        server.stop()
        shutil.rmtree(folder)


def changed(by: Ephemeral, milliseconds: int) -> None:
    """A commit of the stack file that one of them has."""
    by.config = by.config | {
        "keel:postgres": {**by.config.get("keel:postgres", {}), "log_min_duration_statement": milliseconds}
    }
    by.save()


def effective(pair: tuple[Ephemeral, Ephemeral]) -> str:
    with pair[0].session() as session:
        return session.run("all1", f"psql -U postgres -d postgres -XAtqc '{SHOWN}'").strip()


def test_a_second_controller_sees_the_same_environment(pair: tuple[Ephemeral, Ephemeral]) -> None:
    """What it does is recorded as its own, and nothing is left to do for the other."""
    first, second = pair
    second.recover()
    changed(second, 4321)
    second.up()  # there is no history yet that says how the last one ended, so every step runs once
    assert effective(pair) == "4321ms"
    changed(first, 4321)
    first.up("--expect-no-changes")
    (newest, *_) = json.loads(first.keel("who", "--json").stdout)["changes"]
    assert newest["command"] == "pulumi up" and "converge data" in newest["steps"]


def test_what_one_left_half_done_the_other_ends(pair: tuple[Ephemeral, Ephemeral]) -> None:
    """PLAT-48: killed after the server had the new value, and the other knows only the old stack file, which is what the state
    has of the later steps."""
    first, second = pair
    before = json.loads(first.keel("who", "--json").stdout)["changes"][0]["who"]
    changed(second, 1234)
    running = second.start()
    until(lambda: effective(pair) == "1234ms", 300, "the new value on the server", every=0.2)
    running.kill()
    running.wait()
    refused = first.up(check=False)
    assert refused.returncode and "pulumi cancel" in refused.stdout + refused.stderr
    assert "was killed; its lock is removed" in second.recover().stdout, "where it ran it is known that it is gone"
    first.recover()
    done = first.up()
    assert effective(pair) == "4321ms" and "verification" in done.stdout
    ours, theirs, *_ = json.loads(second.keel("who", "--json").stdout)["changes"]
    assert before not in (ours["who"], theirs["who"]) and ours["who"] != theirs["who"]
    assert "converge data" in theirs["steps"] and "converge data" in ours["steps"]
