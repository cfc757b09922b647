"""Record what runs, where Pulumi's state was lost, so that the next `up` replaces and restarts nothing.

What the program would make is Pulumi's own plan for an empty state; what runs is asked of Docker. Both together are a state in
which every resource of Docker is recorded as it runs: what is not as the stack file wants it stays a difference. Pulumi completes it
in a folder apart from the real backend, where the next `up` is tried too; only a whole state comes into its place, at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from environment.errors import UNCHANGED, KeelError
from environment.names import LABEL
from environment.report import Report
from ops.hosts.docker import docker, image_id, inspect
from ops.hosts.session import Session
from ops.state import stack
from ops.state.docker_diff import COMMAND, CONTAINER, NETWORK, differences
from ops.state.from_plan import DOCKER, HOST_IMAGE, UNKNOWN, Adoption, Found, Planned, inputs, of_type


class NotAdoptable(KeelError):
    """What is there cannot be recorded: why, and what to do first. Nothing was changed."""


class Row(NamedTuple):
    """A property that is not as the stack file wants it."""

    name: str
    """Docker's."""
    property: str
    found: str
    wanted: str


def look(session: Session, report: Report, *, make_missing: bool = False) -> Adoption:
    """What will be recorded. Changes nothing. Raises NotAdoptable, Busy or PulumiFailed.

    With ``make_missing`` what is not there is left to the next `up`.
    """
    name = session.manifest.identity.name
    for owner in stack.take(name):
        report(f"the run of {owner} was killed; its lock is removed")
    recorded = [resource for resource in stack.resources(stack.read(name)) if resource["type"] == CONTAINER]
    if recorded:
        raise NotAdoptable(
            f"Pulumi's state of {name} records {len(recorded)} container(s): there is nothing to adopt",
            UNCHANGED,
            f"`make up ENV={name}` goes on from there",
        )
    report("what the program would make")
    return _found(name, _plan(session), make_missing)


def hosts(adoption: Adoption) -> list[str]:
    """The hosts whose containers run."""
    planned = of_type(adoption.plan, CONTAINER)
    return [planned[urn]["goal"]["name"] for urn in planned if urn in adoption.found]


def _aside(session: Session) -> Path:
    """Folder of a backend for this session alone. Plans and states hold secrets: it is where the session's keys are."""
    return session.folder / "pulumi"


def _plan(session: Session) -> dict[str, Planned]:
    """What Pulumi would make of an empty state."""
    name, backend = session.manifest.identity.name, _aside(session)
    backend.mkdir()
    path = backend / "plan.json"
    stack.pulumi("stack", "init", name, "--no-select", backend=backend)
    # --suppress-outputs: with --show-secrets, which the plan needs, the stack's outputs would be printed in clear.
    options = ("--save-plan", str(path), "--show-secrets", "--suppress-outputs")
    stack.pulumi("preview", "-s", name, *options, backend=backend)
    plan: dict[str, Planned] = json.loads(path.read_text())["resourcePlans"]
    return plan


def _found(name: str, plan: dict[str, Planned], make_missing: bool) -> Adoption:
    """What Docker has in the place of what is planned. Raises NotAdoptable with everything that is in the way."""
    (host_image,) = of_type(plan, HOST_IMAGE).values()
    image = image_id(inputs(host_image)["tag"])
    found: dict[str, Found] = {}
    missing: list[str] = []
    problems: list[str] = []
    for urn, planned in of_type(plan, *DOCKER).items():
        kind, asked = planned["goal"]["type"], inputs(planned)
        there = inspect(COMMAND[kind], asked["name"])
        if there is None:
            missing.append(f"{COMMAND[kind]} {asked['name']}")
            continue
        if kind == CONTAINER and not there["State"]["Running"]:
            problems.append(f"container {asked['name']} does not run: docker start {asked['name']}")
        if asked.get("image") == UNKNOWN:
            asked["image"] = image or f"{inputs(host_image)['tag']}, not built yet"
        found[urn] = Found(there.get("Id") or there["Name"], there.get("Image", ""), differences(kind, there, asked))
    if not any(plan[urn]["goal"]["type"] == CONTAINER for urn in found):
        raise NotAdoptable(
            f"no container of {name} is on this machine: nothing to adopt", advice=f"`make up ENV={name}` creates it"
        )
    if missing and not make_missing:
        problems.append(
            f"not there: {', '.join(missing)}. With --make-missing it is left out, and the next `up` creates it (data is on "
            "volumes)"
        )
    problems += [
        f"{kind} is not in the stack file, and `up` would remove it: add it there first" for kind in _others(name, plan)
    ]
    if problems:
        raise NotAdoptable("\n  ".join([f"{name} cannot be adopted as it is", *problems]), UNCHANGED)
    return Adoption(plan, found, image)


def _others(name: str, plan: dict[str, Planned]) -> Iterator[str]:
    """Containers and networks of the environment that the plan does not contain."""
    for kind, listing in (
        (CONTAINER, ("ps", "-a", "--format", "{{.Names}}")),
        (NETWORK, ("network", "ls", "--format", "{{.Name}}")),
    ):
        planned = {inputs(resource)["name"] for resource in of_type(plan, kind).values()}
        for other in docker(*listing, "--filter", f"label={LABEL}={name}").split():
            if other not in planned:
                yield f"{COMMAND[kind]} {other}"


def rows(adoption: Adoption) -> list[Row]:
    """Everything that is not as the stack file wants it."""
    return [
        Row(inputs(adoption.plan[urn])["name"], name, _text(runs), _text(wanted))
        for urn, found in adoption.found.items()
        for name, (runs, wanted) in found.differences.items()
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


class Rehearsal(NamedTuple):
    """The state that will be written, and what the next `up` would do with it."""

    state: dict[str, Any]
    ahead: list[str]
    """What becomes of Docker's resources, one `operation kind name` each; empty when they stay as they are."""


def rehearse(session: Session, adoption: Adoption, report: Report) -> Rehearsal:
    """Make the state, let Pulumi complete it with what it reads of Docker, and preview the next `up`, all of it
    aside. Raises PulumiFailed."""
    name, backend = session.manifest.identity.name, _aside(session)
    state = stack.read(name, backend)
    state["deployment"] = {**(state.get("deployment") or {}), "resources": adoption.resources()}
    stack.write(name, state, backend)
    report("Pulumi reads what runs")
    stack.pulumi("refresh", "-s", name, "--yes", "--skip-preview", "--suppress-outputs", backend=backend)
    report("what the next `up` would do")
    steps = json.loads(stack.pulumi("preview", "-s", name, "--json", backend=backend))["steps"]
    return Rehearsal(stack.read(name, backend), list(_ahead(steps)))


def _ahead(steps: list[dict[str, Any]]) -> Iterator[str]:
    for step in steps:
        kind, name = step["urn"].split("::")[2:]
        if (command := COMMAND.get(kind.rpartition("$")[2])) and step["op"] != "same":
            yield f"{step['op']} {command} {name}"


def write(session: Session, state: dict[str, Any]) -> None:
    """Put the state in its place. Raises PulumiFailed."""
    stack.write(session.manifest.identity.name, state)
