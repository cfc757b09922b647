"""What git says of this checkout."""

from __future__ import annotations

import subprocess

from environment.load import ROOT


def git(*arguments: str) -> str:
    """Standard output, stripped. Raises CalledProcessError with git's own words in `stderr`."""
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
