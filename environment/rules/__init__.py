"""Rules that span sections of a stack file. Each looks only at the sections it names, and all are checked at once."""

from environment.rules import capacity, placement, services  # noqa: F401 - importing them registers their rules
from environment.rules.base import Problem, check

__all__ = ["Problem", "check"]
