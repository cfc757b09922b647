"""What `make` and the pipeline run, by the names that the documents give."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from environment.load import ROOT


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Make in this repository, for dev; also where make itself runs the tests."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments, "ENV=dev"], cwd=ROOT, capture_output=True, text=True, check=False
    )


def commands(*arguments: str) -> list[str]:
    """What make would run."""
    done = make("-n", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_documents_targets() -> None:
    """BAC-47: docker-up, migrate and test-db."""
    assert commands("docker-up") == commands("up")
    assert commands("migrate") == ["tools/run pulumi up -s dev --yes --skip-preview"]
    assert commands("test-db") == ["tools/run pytest -q tests/db tests/test_*.py"]


@pytest.mark.parametrize(
    ("kind", "flags"), [("dev", " --yes --skip-preview"), ("ci", " --yes --skip-preview"), ("staging", "")]
)
def test_no_question_hangs_on_the_kind_and_not_on_the_name(tmp_path: Path, kind: str, flags: str) -> None:
    """PLAT-47, PLAT-48: an environment called `dev` may be staging, and one of a pull request is made to be remade."""
    (tmp_path / "stacks").mkdir()
    for name in ("pr-123", "dev"):
        (tmp_path / f"stacks/Pulumi.{name}.yaml").write_text(f"config:\n  keel:environment: {{kind: {kind}}}\n")
        said = subprocess.run(
            ["make", "--no-print-directory", "-n", "up", "down", f"ENV={name}"],
            cwd=ROOT, env={**os.environ, "KEEL_PROJECT": str(tmp_path)}, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        assert f"tools/run pulumi up -s {name} --suppress-outputs{flags or ' '}" in said
        assert f"tools/run --no-docker pulumi destroy -s {name}{flags or ' '}" in said


def test_dev_setup_ends_with_test_data() -> None:
    """BAC-32, BAC-47: environment and services, migrations, then every product's demo rows."""
    *before, last = commands("dev-setup")
    assert before == commands("up")
    assert last == "./keel --env dev db seed --set demo"


def test_a_migration_needs_a_text() -> None:
    """BAC-30, BAC-47: `make migration` with a product and a text makes one; without either it says how and fails."""
    assert commands("migration", "product=bacopilot", "name=add tags")[-1] == (
        './keel --env dev db revision bacopilot "add tags"'
    )
    for given in ([], ["product=bacopilot"], ["name=add tags"]):
        refused = make("migration", *given)
        assert refused.returncode != 0
        assert refused.stdout == 'usage: make migration product=NAME name="what it does"\n'


def test_the_pipeline() -> None:
    """BAC-48: on pushes to main and develop that touch migrations, models or SQL, and on pull requests to main."""
    text = (ROOT / ".github" / "workflows" / "database.yml").read_text()
    workflow: dict[Any, Any] = yaml.load(text, yaml.BaseLoader)  # else `on` is a boolean
    assert workflow["name"] == "Database CI/CD"
    push, jobs = workflow["on"]["push"], workflow["jobs"]
    assert push["branches"] == ["main", "develop"]
    assert {"db/**", "migrations/**"} <= set(push["paths"])
    assert workflow["on"]["pull_request"]["branches"] == ["main"]
    assert list(jobs) == ["migration-test", "performance-test"]
    assert jobs["performance-test"]["needs"] == "migration-test"
    for job in jobs.values():
        assert {"python-version": "3.11"} in [step.get("with") for step in job["steps"]]
    assert jobs["migration-test"]["steps"][-1] == {"run": ".ci/run"}
