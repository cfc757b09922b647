"""From what Pulumi plans to make to the state in which that is made already. Pure: data in, data out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from ops.state.docker_diff import CONTAINER, NETWORK, VOLUME, Difference

Planned = dict[str, Any]
"""What Pulumi plans for one resource, as `pulumi preview --save-plan` writes it."""
Resource = dict[str, Any]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a plan contains in place of values that are known only once a resource exists."""
STEP = "pulumi-python:dynamic/keel:"
HOST_IMAGE, DRAIN = f"{STEP}HostImage", f"{STEP}Drain"
DOCKER = (NETWORK, VOLUME, CONTAINER)


@dataclass(frozen=True)
class Found:
    """What Docker has in the place of a planned resource."""

    id: str
    image: str = ""
    """Of a container: the image it runs."""
    differences: dict[str, Difference] = field(default_factory=dict)


def inputs(planned: Planned) -> dict[str, Any]:
    """What the program asks for."""
    return dict(planned["goal"].get("inputDiff", {}).get("adds") or {})


def of_type(plan: Mapping[str, Planned], *types: str) -> dict[str, Planned]:
    """The planned resources of some types, by URN."""
    return {urn: planned for urn, planned in plan.items() if planned["goal"]["type"] in types}


@dataclass(frozen=True)
class Adoption:
    """A plan, and what runs already."""

    plan: Mapping[str, Planned]
    """By URN."""
    found: Mapping[str, Found]
    """Docker's resources that are there, by URN."""
    image: str | None
    """Id of the image that the program would build; None when it is not there."""

    def resources(self) -> list[Resource]:
        """The state's resources: what was found, as it runs, and what that hangs on.

        Steps that do their work when they are created are left to the next `up`. A drain does not: it works when its host
        is about to go, so it is recorded, with whatever is not as planned about the host as a difference of its own.
        """
        order = TopologicalSorter({urn: self._needs(urn) for urn in self._ids})
        return [self._resource(urn) for urn in order.static_order()]

    @cached_property
    def _ids(self) -> dict[str, str]:
        """URN → id of everything that is recorded; components have none."""
        return {urn: made for urn, planned in self.plan.items() if (made := self._id(urn, planned)) is not None}

    def _id(self, urn: str, planned: Planned) -> str | None:
        kind = planned["goal"]["type"]
        if kind in DOCKER:
            return self.found[urn].id if urn in self.found else None
        if kind.startswith(STEP):
            made = self.image if kind == HOST_IMAGE else kind == DRAIN and self._drained(planned)
            return "{action}/{name}".format(**inputs(planned)) if made else None
        return str(uuid.uuid4()) if planned["goal"].get("custom") else ""

    def _needs(self, urn: str) -> set[str]:
        goal = self.plan[urn]["goal"]
        needs = {*goal.get("dependencies", ()), goal.get("parent"), _provider(goal)}
        return {need for need in needs if need in self._ids}

    def _drained(self, drain: Planned) -> Found | None:
        """What runs in the place of the container that a drain belongs to."""
        host = inputs(drain)["host"]
        urns = (urn for urn, planned in of_type(self.plan, CONTAINER).items() if planned["goal"]["name"] == host)
        return next((self.found[urn] for urn in urns if urn in self.found), None)

    def _resource(self, urn: str) -> Resource:
        planned, goal = self.plan[urn], self.plan[urn]["goal"]
        asked, beyond = inputs(planned), dict(self._beyond(urn))
        made: Resource = {"urn": urn, "type": goal["type"], "custom": bool(self._ids[urn])}
        made["outputs"] = _known(planned.get("state") or {}) | beyond
        if made["custom"]:
            made["id"] = self._ids[urn]
            made["inputs"] = _known(asked) | {name: value for name, value in beyond.items() if name in asked}
        if "parent" in goal:
            made["parent"] = goal["parent"]
        if provider := _provider(goal):
            made["provider"] = f"{provider}::{self._ids[provider]}"
        made["dependencies"] = [need for need in goal.get("dependencies", ()) if need in self._ids]
        made["propertyDependencies"] = {
            name: [need for need in needs or () if need in self._ids]
            for name, needs in goal.get("propertyDependencies", {}).items()
        }
        return made

    def _beyond(self, urn: str) -> Iterator[tuple[str, Any]]:
        """What is known beyond the plan, or is not as planned."""
        planned = self.plan[urn]
        kind = planned["goal"]["type"]
        if kind == HOST_IMAGE:
            yield from {"image": self.image, "drift": []}.items()
        elif kind == DRAIN and (drained := self._drained(planned)):
            others = {name: found for name, (found, _) in drained.differences.items() if name != "image"}
            if others:
                yield "specification", inputs(planned)["specification"] | {"found": others}
            yield from {"image": drained.image, "drift": []}.items()
        elif kind in DOCKER:
            if self.found[urn].image:
                yield "image", self.found[urn].image
            yield from ((name, found) for name, (found, _) in self.found[urn].differences.items())


def _provider(goal: Mapping[str, Any]) -> str | None:
    """URN of a resource's provider: its reference without the id at the end."""
    return goal["provider"].rpartition("::")[0] if "provider" in goal else None


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != UNKNOWN}
