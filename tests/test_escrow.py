"""The whole procedure of docs/runbooks/escrow.md, with Pulumi itself; its parts are in tests/unit/environment/test_escrow.py."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import yaml

from environment.derive import Roots
from environment.load import ROOT

ROOTS = Roots("staging", "a" * 40, "p" * 40, "b" * 40)
PASSPHRASE = "kept in another place"


def test_roots_that_were_lost_come_back_from_the_sheet(tmp_path: Path) -> None:
    """JEEX-30: write, check, lose the stack's passphrase, restore under a new one, and the same passwords, authority and
    repository key follow."""
    for name in ("Pulumi.yaml", "stacks"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "state").mkdir()
    description = yaml.safe_load((tmp_path / "Pulumi.yaml").read_text())
    description["backend"] = {"url": f"file://{tmp_path}/state"}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump(description))
    stack = tmp_path / "stacks" / "Pulumi.staging.yaml"
    original = stack.read_text()
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    variables = {
        **os.environ,
        "ENV": "staging",
        "KEEL_PROJECT": str(tmp_path),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "the stack's own",
    }

    def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env=variables, input=given, text=True, capture_output=True)

    def keel(*arguments: str) -> subprocess.CompletedProcess[str]:
        more = ("--passphrase-file", str(tmp_path / "passphrase"))
        return subprocess.run(
            [sys.executable, "-m", "ops.cli", "--env", "staging", "escrow", *arguments, *more],
            cwd=ROOT, env={**variables, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, text=True, capture_output=True,
        )  # fmt: skip

    assert run("pulumi", "stack", "init", "staging").returncode == 0
    for name in ("access", "pki", "backup"):
        assert (
            run(
                "pulumi", "config", "set", "--secret", f"keel:{name}", "-s", "staging", given=getattr(ROOTS, name)
            ).returncode
            == 0
        )
    sheet = tmp_path / "sheet.json"
    done = keel("write", str(sheet))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert keel("write", str(sheet)).returncode == 2, "an existing sheet is not overwritten"
    assert keel("check", str(sheet)).returncode == 0
    assert run("pulumi", "config", "set", "--secret", "keel:backup", "-s", "staging", given="c" * 40).returncode == 0
    other = keel("check", str(sheet))
    assert other.returncode == 3 and "backup" in other.stdout and "access" not in other.stdout
    # The stack's passphrase is lost: nothing of the stack file's secrets can be read any more.
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").mkdir()
    stack.write_text(original)
    variables["PULUMI_CONFIG_PASSPHRASE"] = "a new one"
    assert run("pulumi", "stack", "init", "staging").returncode == 0
    unasked = keel("restore", str(sheet))
    assert unasked.returncode == 2 and "no terminal to ask" in unasked.stderr
    done = keel("restore", str(sheet), "--yes")
    assert done.returncode == 0, done.stderr
    assert keel("check", str(sheet)).returncode == 0
    assert not [
        secret for secret in (ROOTS.access, ROOTS.pki, ROOTS.backup) if secret in done.stdout + stack.read_text()
    ]
