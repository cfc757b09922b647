"""Where the change that a gate judges begins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def base() -> str:
    """`KEEL_BASE`; else, where HEAD is ahead of the branch it follows, the point where it left it; else the last commit that is a
    day older than HEAD: what landed within a day counts as one change. The first commit where there is none."""
    if named := os.environ.get("KEEL_BASE"):
        return named
    left = _git("merge-base", "HEAD", "@{upstream}")
    head = _git("rev-parse", "HEAD")
    if left and left != head:
        return left
    when = int(_git("log", "-1", "--format=%ct"))
    older = _git("rev-list", "-1", f"--before={when - 86400}", "HEAD")
    return older or _git("rev-list", "--max-parents=0", "HEAD").split()[0]


def _git(*arguments: str) -> str:
    """What git says; nothing where it fails (a branch that follows none)."""
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True).stdout.strip()
