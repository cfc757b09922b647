"""Ctrl-C at `./keel`: one sentence, nothing left."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import yaml

from environment.load import ROOT, read_stack_file, stack_file


def test_ctrl_c_ends_a_command_with_one_sentence(tmp_path: Path) -> None:
    """Here it asks a host that accepts a connection and says nothing. Status 130; the ssh that waited has ended."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        config = read_stack_file(stack_file("dev"))
        config["keel:network"]["published"] = {"ssh": silent.getsockname()[1]}
        (tmp_path / "stacks").mkdir()
        (tmp_path / "stacks/Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "converge", "--all"], cwd=ROOT, text=True, process_group=0,
            env={**os.environ, "KEEL_PROJECT": str(tmp_path), "ENV": "dev"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        connection, _ = silent.accept()  # whether it is up
        connection.close()
        connection, _ = silent.accept()
        group = os.pidfd_open(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=10)
        connection.close()
    assert (process.returncode, said) == (130, "")
    assert [line for line in errors.splitlines() if line and not line.startswith("[")] == [
        "error: interrupted. What was done stays; run it again"
    ]
    assert select.select([group], [], [], 0)[0]
    os.close(group)
    assert not list(Path("/dev/shm").glob(f"keel-session-{process.pid}-*"))
    assert not _group(process.pid)


def _group(leader: int) -> list[str]:
    """The processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader and fields[0] not in "ZX":
            found.append(path.parent.name)
    return found
