"""Stack files for tests: the real ones, changed in places."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from environment.load import read_stack_file, stack_file

ROOTS = {f"keel:{name}": f"a root secret of the tests, {name}, long enough" for name in ("access", "pki", "backup")}
REMOVED = object()
"""As a value of a patch: the setting is taken out."""


def config(stack: str, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration of a real stack file with ``patch`` applied: path below `keel:` → value."""
    found = copy.deepcopy(_written(stack))
    for path, value in (patch or {}).items():
        section, *inner = path.split(".")
        place: dict[str, Any] = found
        last = f"keel:{section}"
        for part in inner:
            place, last = place.setdefault(last, {}), part
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return found


@cache
def _written(stack: str) -> dict[str, Any]:
    return read_stack_file(stack_file(stack))
