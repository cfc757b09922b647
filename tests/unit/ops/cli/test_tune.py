"""`keel tune`: every size with where it came from, and what it would be elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from environment import sizing
from environment.settings import Settings
from ops.cli.app import app
from ops.hosts import environment as hosts
from tests.unit.cli_fakes import environment


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is changed in the stack file that the command reads."""
    patch: dict[str, Any] = {}

    def load_settings(name: str) -> Settings:
        return environment(patch, name).settings

    monkeypatch.setattr(hosts, "load_settings", load_settings)
    return patch


def run(*options: str, env: str = "dev") -> Any:
    return CliRunner().invoke(app, ["--env", env, "tune", *options], env={"COLUMNS": "300"})


def sizes(*options: str, env: str = "dev") -> dict[str, dict[str, str]]:
    result = run("--json", *options, env=env)
    assert result.exit_code == 0, result.output
    return {line["name"]: line for line in json.loads(result.stdout)["sizes"]}


def test_each_size_says_where_it_came_from(stack: dict[str, Any]) -> None:
    """JEEX-05: the stack file, what follows from it, Keel's default, PostgreSQL's default; no size is left out."""
    stack |= {
        "hosts.db1.memory": 4096, "hosts.db2.memory": "auto", "postgres.work_mem": 9,
        "postgres.parameters": {"temp_buffers": "16MB", "max_wal_size": "3GB"},
    }  # fmt: skip
    found = sizes()
    assert {name: (line["value"], line["origin"]) for name, line in found.items() if name in (
        "hosts.db1.memory", "hosts.db2.memory", "hosts.db2.cpus", "work_mem", "max_wal_size", "temp_buffers", "shared_buffers",
        "max_connections", "hash_mem_multiplier", "wal_buffers",
    )} == {
        "hosts.db1.memory": ("4096 MiB", "stack file"), "hosts.db2.memory": ("2048 MiB", "derived"),
        "hosts.db2.cpus": ("2", "Keel's default"), "work_mem": ("9MB", "stack file"), "max_wal_size": ("3GB", "stack file"),
        "temp_buffers": ("16MB", "stack file"), "shared_buffers": ("256MB", "derived"),
        "max_connections": ("100", "Keel's default"), "hash_mem_multiplier": ("2", "PostgreSQL's default"),
        "wal_buffers": ("-1", "PostgreSQL's default"),
    }  # fmt: skip
    assert {*sizing.SETTINGS, *sizing.COUNTS, *sizing.AMOUNTS} <= found.keys()
    assert all(line["reason"] for line in found.values())


def test_other_hosts_are_imagined(stack: dict[str, Any]) -> None:
    """What is set stays; of the rest, what it would be. The stack file is as it was."""
    stack["postgres.work_mem"] = 8
    found = sizes("--memory", "8192", "--cpus", "8")
    assert {name: (found[name]["value"], found[name]["instead"]) for name in (
        "hosts.db1.memory", "hosts.edge1.memory", "shared_buffers", "work_mem", "max_parallel_workers"
    )} == {
        "hosts.db1.memory": ("2048 MiB", "8192 MiB"), "hosts.edge1.memory": ("1024 MiB", "1024 MiB"),
        "shared_buffers": ("256MB", "2048MB"), "work_mem": ("8MB", "8MB"), "max_parallel_workers": ("2", "8"),
    }  # fmt: skip


def test_hosts_that_would_be_refused_are_refused_here(stack: dict[str, Any]) -> None:
    """Every reason, and how much would do."""
    result = run("--memory", "300", "--cpus", "1")
    assert result.exit_code == 2
    assert "with memory 300, cpus 1 on every database host" in result.output
    assert "hosts.db1.memory = 300: at least 455 MiB" in result.output and "hosts.db2.memory" in result.output
    for option, value, allowed in (("--memory", "127", "MiB from 128 to 2097151"), ("--cpus", "0", "from 0.1 to 1024")):
        result = run(option, value)
        assert (result.exit_code, f"{option} {value}: " in result.output, allowed in result.output) == (2, True, True)


@pytest.mark.parametrize("env", ["ci", "production"])
def test_a_table_for_people(stack: dict[str, Any], env: str) -> None:
    """It ends with the sum on every database host."""
    result = run(env=env)
    assert result.exit_code == 0, result.output
    assert "shared_buffers" in result.stdout
    assert ("keel:postgres.max_connections" in result.stdout) is (env == "production")
    host = "all1" if env == "ci" else "db3"
    assert [
        line
        for line in result.stdout.splitlines()
        if line.startswith(f"{host}: ") and " MiB for PostgreSQL, of " in line
    ]
