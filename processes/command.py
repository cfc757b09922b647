"""How a small program that `make` runs ends: with a sentence, be it refused or interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable

from environment.errors import KeelError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def carry_out(work: Callable[[], None]) -> None:
    """Do ``work``. Ends the process when it cannot be done."""
    try:
        work()
    except KeelError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted. What was done stays; run it again\n")
        sys.exit(INTERRUPTED)
