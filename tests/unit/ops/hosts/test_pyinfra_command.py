"""pyinfra's own command line with Keel's inventory and roles: a dry run looks, a real one is refused."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from environment.derive import public_openssh
from environment.load import ROOT
from tests.unit.cli_fakes import environment
from tests.unit.ops.hosts.test_host_keys import paramiko_key
from tests.unit.sshd import Server, serving

ROOTS = environment(stack="ci").roots
PYINFRA = """
import sys
from ops.hosts import environment as opened
from tests.unit.cli_fakes import environment
from pyinfra_cli.main import main

published = {"network.published.ssh": int(sys.argv.pop(1))}
opened.load_environment = lambda name: environment(published, name)
main()
"""
"""The real command line; only the port of the one host is another."""


@pytest.fixture
def host() -> Iterator[Server]:
    """A host on which nothing of Keel is: it answers everything in words that say nothing."""
    server = Server(paramiko_key(ROOTS.ssh_key("all1")), public_openssh(ROOTS.ssh_key("controller")))
    with serving(server):
        yield server


def pyinfra(host: Server | SimpleNamespace, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it over all roles."""
    (tmp_path / "command.py").write_text(PYINFRA)
    return subprocess.run(
        [sys.executable, str(tmp_path / "command.py"), str(host.port), "ops/hosts/inventory.py", "roles/deploy.py", *options],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ENV": "ci", "PYINFRA_PROGRESS": "off"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("options", [(), ("-y",), ("--serial", "-y"), ("--json", "--yes")])
def test_a_real_run_is_refused_before_the_host_is_asked_anything(
    host: Server, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """It would restart every member of a cluster at the same moment, and no lock would keep another controller out."""
    done = pyinfra(host, tmp_path, *options)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "carries nothing out: give --dry. Nothing was changed." in said
    assert "./keel -e ci converge" in said
    assert "Traceback" not in done.stderr
    assert host.ran == []


def test_a_dry_run_shows_what_would_change_and_only_looks(host: Server, tmp_path: Path) -> None:
    done = pyinfra(host, tmp_path, "--dry")
    assert done.returncode == 0, done.stderr
    assert "postgres: file /etc/patroni/config.yml" in done.stderr
    assert host.ran
    changing = (
        "apt-get",
        "systemctl start",
        "systemctl restart",
        "systemctl enable",
        "mv ",
        "install ",
        "mkdir",
        "chown",
    )
    assert [command for command in host.ran if any(word in command for word in changing)] == []


def test_an_environment_that_is_not_up_is_one_sentence(tmp_path: Path) -> None:
    """As ./keel says it, not the traceback of an inventory that failed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        done = pyinfra(SimpleNamespace(port=taken.getsockname()[1]), tmp_path, "--dry")
    assert done.returncode == 1
    assert "ci is not up: none of its hosts answers" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
