"""Figures that are kept: below docs/evidence, each file with what it takes to judge and to repeat them."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from environment.load import ROOT
from tools.git import git

FOLDER = ROOT / "docs" / "evidence"


def circumstances(command: str) -> dict[str, Any]:
    """Command, commit, date (UTC) and machine."""
    return {
        "command": command,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
    }


def commit() -> str:
    """What is checked out, as people write it."""
    return git("rev-parse", "--short=10", "HEAD")


def keep(path: Path, content: dict[str, Any]) -> None:
    """Write the file whole, so that an interruption leaves the one before."""
    waiting = path.with_suffix(".part")
    waiting.write_text(json.dumps(content, indent=1) + "\n")
    waiting.replace(path)
    print(f"written: {path.relative_to(ROOT)}", flush=True)
