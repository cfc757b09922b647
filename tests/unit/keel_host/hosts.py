"""Hosts on which the programs of `keel_host` run: the settings that the roles write, with every path in a test's folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from environment.load import ROOT
from keel_host.config import BackupHost, Member, text
from roles.jobs import role as jobs
from roles.order import ROLES
from roles.postgres import role as postgres
from tests.roles.targets import manifest_of, target
from tests.stand_ins import first_on_path

START = """
import sys
from importlib import import_module
from pathlib import Path
from keel_host import config
kind = getattr(config, sys.argv[1])
kind.FILE = Path(sys.argv[2])
sys.exit(import_module(f"keel_host.programs.{sys.argv[3]}").main(sys.argv[4:]))
"""
"""Runs a program with other settings than this machine's."""


def backup_host(folder: Path, **changed: Any) -> BackupHost:
    """The backup host of `dev`; stand-ins in ``folder`` take the place of the server's and Keel's programs."""
    volume = folder / "volume"
    real = jobs.settings(target(ROLES["jobs"], "ops1", manifest_of("dev")))
    host = replace(
        real,
        binaries=folder,
        library=folder,
        logs=folder / "logs",
        locks=folder / "locks",
        schema=folder / "schema",
        volume=volume,
        archive=volume / "generation-1" / "archive" / "dev",
        dumps=volume / "dumps",
        metrics=volume / "metrics",
        known_moments=volume / "known-moments",
        drills=volume / "drills",
        restore_points=volume / "restore-points.jsonl",
        positions=volume / "positions.log",
        archive_gaps=volume / "archive-gaps.jsonl",
        alerts=folder / "alerts.json",
        certificates=folder / "tls",
        copied=volume / "second-copied",
        **changed,
    )
    for needed in (host.logs, host.locks, host.dumps, host.metrics, host.known_moments, host.drills):
        needed.mkdir(parents=True, exist_ok=True)
    return host


def member(folder: Path, **changed: Any) -> Member:
    """A database host of `dev`; stand-ins in ``folder`` take the place of the server's programs."""
    real = postgres.settings(target(ROLES["postgres"], "db1", manifest_of("dev")))
    return replace(real, binaries=folder, recovery_order=folder / "keel-recovery.json", **changed)


def command(folder: Path, host: BackupHost | Member, program: str, *arguments: str) -> list[str]:
    """The command that runs a program on ``host``, to be started in the project's root."""
    settings = folder / "settings.json"
    settings.write_text(text(host))
    return [sys.executable, "-c", START, type(host).__name__, str(settings), program, *arguments]


def run(folder: Path, host: BackupHost | Member, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ``host`` to its end, with the stand-ins of ``folder`` first on PATH."""
    started = command(folder, host, program, *arguments)
    return subprocess.run(started, capture_output=True, text=True, cwd=ROOT, env=first_on_path(folder))
