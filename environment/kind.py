"""What an environment is for, as its stack file says: the one answer on which defaults hang, whatever its name.

    python -m environment.kind ENVIRONMENT

prints its kind, and `remade` where a mistake costs nothing. Standard library only: the Makefile and the set-up of a fresh machine
ask before anything that reads YAML is there. The settings as a whole are read by :mod:`environment.load`.
"""

from __future__ import annotations

import os
import re
import sys
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = Path(os.environ.get("KEEL_PROJECT") or ROOT)
"""Where Pulumi.yaml and the stack files are; tests put ephemeral environments elsewhere."""
STACKS = PROJECT / "stacks"


class Kind(StrEnum):
    """What an environment is for; staging and production refuse everything that is published (PLAT-47)."""

    DEV = "dev"
    CI = "ci"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def guarded(self) -> bool:
        """True where data must survive a mistake: volumes are kept, published roots are refused."""
        return self in (Kind.STAGING, Kind.PRODUCTION)

    @property
    def encrypted(self) -> bool:
        """True where no client connects in clear: everywhere but in dev, which offers TLS too (PLAT-39, X-51)."""
        return self is not Kind.DEV


_SECTION = re.compile(r"^( +)(['\"]?)keel:environment\2 *:(.*(?:\n\1 .*|\n *$)*)", re.MULTILINE)
_KIND = re.compile(r"(?<![\w-])(['\"]?)kind\1 *: *(['\"]?)([\w-]*)\2 *(?=[,}'\n]|$)")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*", re.MULTILINE)


def stated(text: str) -> Kind | None:
    """The kind in the text of a stack file, in any form in which YAML or Pulumi writes it.

    None where it is not there, or not beyond doubt: then nothing published is used, and no question is left out.
    """
    sections = _SECTION.findall(_COMMENT.sub("", text.replace("\r\n", "\n")))
    found = [kind for *_, section in sections for *_, kind in _KIND.findall(section)]
    return Kind(found[0]) if len(found) == len(sections) == 1 and found[0] in list(Kind) else None


def of(environment: str) -> Kind | None:
    """The kind of ``environment``; None where its stack file is not there or does not say it."""
    try:
        return stated((STACKS / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    kind = of(sys.argv[1])
    sys.stdout.write(f"{kind}{'' if kind.guarded else ' remade'}\n" if kind else "")
