"""The programs that roles put on hosts, run as they are rendered, with stand-ins for what they call."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def stand_in(folder: Path, name: str, script: str) -> None:
    """A program called ``name`` that writes its arguments down first."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{script}\n')
    path.chmod(0o755)


def run(tmp_path: Path, program: str, *arguments: str, **replaced: str) -> subprocess.CompletedProcess[str]:
    """Run a rendered program with paths replaced, stand-ins first on PATH."""
    text = program
    for old, new in replaced.items():
        text = text.replace(old.replace("__", "/"), new)
    path = tmp_path / "program"
    path.write_text(text)
    path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([str(path), *arguments], capture_output=True, text=True, env=environment)


def calls(tmp_path: Path) -> str:
    """What was called, in order."""
    path = tmp_path / "calls"
    return path.read_text() if path.exists() else ""
