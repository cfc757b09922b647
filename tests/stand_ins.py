"""Programs in place of those that the code under test calls: each writes its arguments down first."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def stand_in(folder: Path, name: str, script: str) -> None:
    """A program called ``name`` that writes its arguments down first."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{script}\n')
    path.chmod(0o755)


def first_on_path(folder: Path) -> dict[str, str]:
    """An environment in which the stand-ins of ``folder`` come first."""
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def run_script(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the text of a shell script, with the stand-ins of ``folder`` first on PATH."""
    path = folder / "script"
    path.write_text(script)
    path.chmod(0o755)
    return subprocess.run([str(path), *arguments], capture_output=True, text=True, env=first_on_path(folder))


def calls(folder: Path) -> str:
    """What was called, in order."""
    path = folder / "calls"
    return path.read_text() if path.exists() else ""
