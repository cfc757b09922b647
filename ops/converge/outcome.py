"""What a run of the roles came to."""

from __future__ import annotations

from environment.types import Model


class Outcome(Model):
    """What a run did, or would do when dry."""

    changes: tuple[str, ...]
    """`host: operation`, in order."""
    unreachable: tuple[str, ...]
    hosts: int
    """Those that were reached."""
    operations: int
