"""How work of some length says where it is."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str], None]
"""Takes one line of progress: host or product, what is done, n of m."""
