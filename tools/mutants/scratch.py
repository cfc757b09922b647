"""The checkout as it is, copied: nothing is changed in the working tree."""

from __future__ import annotations

import compileall
import hashlib
import py_compile
import shutil
import subprocess
from pathlib import Path

LAYERS = ("keel_host", "environment", "processes", "roles", "ops", "db")
"""Code under test."""


def files(root: Path) -> list[str]:
    """What is tracked, and what is new and not ignored: a test can be tried before it is committed."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, text=True)
    return sorted({path for path in listed.splitlines() if (root / path).is_file()})


def digest(root: Path, paths: list[str]) -> str:
    """Twelve hex digits naming these files and what is in them."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.encode() + b"\0" + (root / path).read_bytes() + b"\0")
    return total.hexdigest()[:12]


def copy(root: Path, target: Path) -> None:
    """Copy the checkout and compile it.

    Compiled files carry a hash of their source: a file that is changed and put back within one second, at the same
    length, would deceive those that carry its time.
    """
    for path in files(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target / path)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(target, quiet=2, invalidation_mode=mode, workers=1)
