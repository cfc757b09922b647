"""Where the change that a gate judges begins."""

from __future__ import annotations

import os
from contextlib import suppress
from subprocess import CalledProcessError

from tools.git import git


def base() -> str:
    """`KEEL_BASE`; else, where HEAD is ahead of the branch it follows, the point where it left it; else the last commit that is a
    day older than HEAD: what landed within a day counts as one change. The first commit where there is none."""
    if named := os.environ.get("KEEL_BASE"):
        return named
    head = git("rev-parse", "HEAD")
    with suppress(CalledProcessError):  # a branch that follows none
        if (left := git("merge-base", "HEAD", "@{upstream}")) != head:
            return left
    when = int(git("log", "-1", "--format=%ct"))
    older = git("rev-list", "-1", f"--before={when - 86400}", "HEAD")
    return older or git("rev-list", "--max-parents=0", "HEAD").split()[0]
