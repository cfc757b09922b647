"""Pulumi's state where several controllers reach it: whether the last update ended well is in Pulumi's own history there.

Real servers: an S3-compatible one over TLS, and PostgreSQL. The program is a small one, Pulumi is the same.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from environment import unfinished
from environment.load import ROOT
from environment.waiting import until
from ops.state import stack
from processes import pulumi_engine
from tests.system.s3 import S3
from tools.scratch_server import SUPERUSER_PASSWORD, running

PROGRAM = """
import os, time, pulumi
from environment import unfinished
from processes import pulumi_engine
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Step(Resource):
    pass

class Provider(ResourceProvider):
    def create(self, props):
        pulumi_engine.end_with_it(with_children=False)  # as Keel's own provider
        pulumi_engine.remember(unfinished.engine("env"))  # as each step does that begins
        if os.environ.get("BEGUN"):
            open(os.environ["BEGUN"], "w").close()
            time.sleep(600)
        if os.environ.get("FAIL"):
            raise RuntimeError("it fails on purpose")
        return CreateResult(props["name"], props)

for name in os.environ["STEPS"].split():
    Step(Provider(), name, {"name": name})
"""


@contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    """A bucket on a server of its own."""
    server = S3(folder / "s3", "127.0.0.1")
    server.start()
    try:
        yield server.state
    finally:
        server.stop()


@contextmanager
def postgresql(_: Path) -> Iterator[dict[str, str]]:
    """A database on a server of its own."""
    with running() as server:
        with server.connect() as superuser:
            superuser.autocommit = True
            superuser.execute("create database state")
        where = f"postgres:{SUPERUSER_PASSWORD}@127.0.0.1:{server.port}/state"
        with psycopg.connect(f"postgresql://{where}"):
            yield {"PULUMI_BACKEND_URL": f"postgres://{where}?sslmode=disable"}


@pytest.mark.parametrize(
    "path", ["~/keel-{}", "~keel-{}", "keel-{}", "./keel-{}/../other-{}", "/keel-{}", "/keel-{}?no_tmp_dir=true"]
)
def test_a_folder_is_where_pulumi_has_it(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever $HOME says. Pulumi names the folder that it did not find."""
    (tmp_path / "Pulumi.yaml").write_text("name: keel\nruntime: python\n")
    monkeypatch.setattr(unfinished, "PROJECT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file://" + path.replace("{}", secrets.token_hex(8)))
    asked = subprocess.run(["pulumi", "whoami", "--non-interactive"], cwd=tmp_path, capture_output=True, text=True)
    backend = unfinished.backend()
    assert backend and asked.stderr.rstrip().endswith(f"stat {os.path.normpath(backend)}: no such file or directory")


@pytest.mark.parametrize("backend", [s3, postgresql])
def test_an_update_that_did_not_end_well_is_known_to_every_controller(
    backend: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed one and a killed one; until an update has succeeded. The lock of the killed one goes by itself where it ran, and nowhere
    else."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "Pulumi.yaml").write_text("name: keel\nruntime: python\n")
    (tmp_path / "project" / "__main__.py").write_text(PROGRAM)
    for module in (unfinished, stack):
        monkeypatch.setattr(module, "PROJECT", tmp_path / "project")
    monkeypatch.setenv("KEEL_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    begun = tmp_path / "begun"

    def pulumi(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=tmp_path / "project", env=os.environ | variables, stdout=sys.stderr, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def up(steps: str, **variables: str) -> int:
        return pulumi("up", "-y", "--skip-preview", "-s", "env", STEPS=steps, **variables).wait(60)

    def mark() -> str | None:
        unfinished._not_ended.cache_clear()  # it is asked once in each run of the program
        return unfinished.mark("env", ["any"])

    with backend(tmp_path) as variables:
        for name, value in {**variables, "PULUMI_CONFIG_PASSPHRASE": "words"}.items():
            monkeypatch.setenv(name, value)
        assert pulumi("stack", "init", "env").wait(60) == 0
        assert mark() is None
        assert up("a") == 0 and mark() is None
        assert up("a b", FAIL="yes") != 0
        failed = mark()
        assert failed and failed.startswith("update of ")
        assert up("a b", FAIL="yes") != 0 and mark() not in (None, failed), "another time, another mark"
        assert up("a b") == 0 and mark() is None

        ended = datetime.now(UTC)
        until(lambda: datetime.now(UTC) > ended + unfinished.SECOND, 5, "a second that the history tells apart")
        killed = pulumi("up", "-y", "--skip-preview", "-s", "env", STEPS="a b c", BEGUN=str(begun))
        until(begun.exists, 60, "the step to begin")
        killed.kill()
        killed.wait()
        marked = mark()
        assert marked and marked.startswith("state of ")
        assert up("a b c") != 0, "the lock of the one that was killed is still there"
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(pulumi_engine, "BOOT", Path("/etc/hostname"))  # a machine of the same name
            assert list(stack.take("env")) == []
        assert up("a b c") != 0
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
            with pytest.raises(stack.Busy, match=rf"process {killed.pid}\) since .*pulumi cancel -s env"):
                list(stack.take("env"))
        assert [f"process {killed.pid}" in owner for owner in stack.take("env")] == [True]
        assert list(stack.take("env")) == []
        assert up("a b c") == 0 and mark() is None
