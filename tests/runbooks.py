"""The commands of a runbook, so that a test runs them as they are written."""

from __future__ import annotations

from environment.load import ROOT


def commands(page: str, heading: str, **names: str) -> list[str]:
    """The indented lines below the heading, without what follows a `#`; `names` replace the words in capitals."""
    text = (ROOT / "docs" / "runbooks" / page).read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.split("    #")[0].strip() for line in section.splitlines() if line.startswith("    ")]
    assert lines, f"docs/runbooks/{page} has no commands below {heading!r}"
    for name, value in names.items():
        lines = [line.replace(name, value) for line in lines]
    return lines
