"""What a step of `pulumi up` does, a module each: see :class:`Step`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from environment.report import Report
    from ops.hosts.session import Session


class Step(Protocol):
    """A module that carries out a step."""

    def apply(self, session: Session, inputs: dict[str, Any], report: Report) -> dict[str, Any]:
        """Make it so; what the resource records of it, the same after every run. Raises what the operator is to read."""
        ...


class Observed(Step, Protocol):
    """A step that can tell what is out of place."""

    def observe(self, session: Session, inputs: dict[str, Any]) -> list[str]:
        """What differs, one line each, sorted; changes nothing."""
        ...


class Foreseen(Step, Protocol):
    """A step that can tell what a change of its inputs will do to running services."""

    def foresee(self, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        """A sentence per service and hosts that fare alike. Asks no host, needs no secret."""
        ...
