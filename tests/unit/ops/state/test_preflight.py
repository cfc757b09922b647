"""What `make up` refuses before it changes anything: ports that are taken, stacks that are wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from environment.load import ROOT, read_stack_file, stack_file
from ops.state.preflight import PortsTaken, main
from tests.slots import reserve


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that this process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stacks are in a folder of the test's own."""
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr("environment.load.STACKS", tmp_path / "stacks")
    return tmp_path


def write(project: Path, published: dict[str, int]) -> None:
    config = read_stack_file(ROOT / "stacks" / "Pulumi.ci.yaml")
    config["keel:network"]["published"] = published
    (project / "stacks" / "Pulumi.elsewhere.yaml").write_text(yaml.safe_dump({"config": config}))


def test_a_taken_port_is_told_with_its_setting_and_holder(project: Path, taken: int) -> None:
    """X-20: port, setting path and who holds it, before anything is changed."""
    write(project, {"primary": taken, "pgbouncer": 1, "redis": 2, "ssh": 3})
    with pytest.raises(PortsTaken) as refused:
        main("elsewhere")
    told = str(refused.value)
    assert f"port {taken} on 127.0.0.1 (keel:network.published.primary) is taken by" in told
    assert "Nothing was changed" in told


def test_free_ports_pass(project: Path) -> None:
    """The same stack with free ports is not refused."""
    free = reserve().port
    write(project, {"primary": free, "pgbouncer": free + 1, "redis": free + 2, "ssh": free + 3})
    main("elsewhere")


def test_the_command_ends_with_one_sentence_and_no_traceback() -> None:
    """An unknown environment is told with those there are."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.state.preflight", "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert all(stack in done.stderr for stack in ("dev", "ci", "staging", "production"))
    assert stack_file("dev").exists()
