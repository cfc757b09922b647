"""The commands that stand in the pipelines of docs/ci, in the order in which they run."""

from __future__ import annotations

from typing import Any

import yaml

from environment.load import ROOT

FOLDER = ROOT / "docs" / "ci"


def read(file: str) -> dict[str, Any]:
    """One of the files; every value is a text."""
    found: dict[str, Any] = yaml.load((FOLDER / file).read_text(), yaml.BaseLoader)  # else `on` is a boolean
    return found


def github() -> list[str]:
    """Of the steps that run one."""
    (job,) = read("github-actions.yml")["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab() -> list[str]:
    """Of the only job, those after it included."""
    (job,) = read("gitlab-ci.yml").values()
    return [*job["script"], *job["after_script"]]
