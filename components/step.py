"""The dynamic resource behind everything Pulumi does beyond containers: a step carried out by `python -m ops.step`.

The module path and the class name of :class:`StepProvider` are a stable interface: states hold pickled references to
them. The provider is thin and captures nothing; secrets reach it through ``configure`` and leave it only on the
step's standard input.
"""

from __future__ import annotations

import sys
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from components.impact import impact
from environment import roles, unfinished
from environment.changes import refused
from environment.derive import SECRETS, roots_for
from environment.kind import Kind
from environment.manifest import Manifest
from environment.unfinished import step_key
from processes import pulumi_engine
from processes.step import StepFailed, interrupt, run_step

BOOKKEEPING = frozenset({"__provider", "drift"})
BEFORE_REPLACEMENT = frozenset({"drain", "leave"})
"""Actions that prepare the end of what runs: on a first creation nothing runs yet."""
COMPARED = {
    "image": frozenset({"dockerfile", "tag"}),
    "drain": frozenset({"host", "image", "specification"}),
    "ready": frozenset({"aliases", "container", "container_name", "host"}),
    # Where each host is, so that the record that the next one reads is true.
    "leave": frozenset({"hosts", "addresses"}),
}
"""Actions that carry the manifest only to find their way: these inputs run them."""
UNRECORDED = frozenset({"image", "drain", "ready"})
"""Actions that are not written down when they begin: a container that they made, or left alone, has another id, or the same."""
AGAIN = "again"
"""An input: why the step runs again although its other inputs are as recorded (environment/unfinished.py)."""
OBSERVED = frozenset({"image", "ready", "converge", "databases", "migration", "verification"})
"""Actions that can tell what is out of place; a drain or a recovery has nothing to look at."""


class StepProvider(ResourceProvider):
    """Create, update, read and delete by running a step."""

    def configure(self, req: ConfigureRequest) -> None:
        # Pulumi prints the traceback of what a provider raises; the message is what a person needs.
        sys.tracebacklimit = 0
        # A killed engine leaves its plugins behind.
        pulumi_engine.end_with_it(with_children=False)
        pulumi_engine.hear_interrupts(interrupt)
        self._roots = {name: value for name in SECRETS if (value := req.config.get(name))}

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse what a running environment does not take, before anything else is asked for: in a preview too."""
        failures = []
        if news["action"] == "leave" and olds:
            old, new = (Manifest.from_slice(_plain(side)["manifest"]) for side in (olds, news))
            failures = [CheckFailure("", sentence) for sentence in refused(old, new)]
        return CheckResult(news, failures)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare inputs only and tell what a change will do; no host is touched. Drift recorded by a refresh is a
        difference too."""
        compared = COMPARED.get(news["action"], news.keys() - BOOKKEEPING - {AGAIN})
        changed = {key for key in compared if olds.get(key) != news.get(key)}
        if news.get(AGAIN) and news[AGAIN] != olds.get(AGAIN):
            changed.add(AGAIN)
        if changed:
            for line in impact(_plain(olds), _plain(news), self._foresee):
                pulumi.log.info(line)
        return DiffResult(changes=bool(changed or olds.get("drift")), replaces=[], delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        if props["action"] in BEFORE_REPLACEMENT:
            return CreateResult(f"{props['action']}/{props['name']}", {**_plain(props), "drift": []})
        return CreateResult(f"{props['action']}/{props['name']}", self._apply(props))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._apply(news, olds))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Record what is out of place, so that the next preview shows it and the next update repairs it."""
        try:
            drift = self._run("observe", props) if props["action"] in OBSERVED else []
        except StepFailed as error:
            # An environment that does not answer is drift too: a refresh must go on, or nothing could be repaired.
            drift = [f"cannot be looked at: {str(error).splitlines()[0]}"]
        return ReadResult(id_, {**_plain(props), "drift": drift})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing to do: what a step did is on the hosts and goes with them."""

    def _apply(self, props: dict[str, Any], olds: dict[str, Any] | None = None) -> dict[str, Any]:
        environment, action = props["manifest"]["identity"]["name"], props["action"]
        if action not in UNRECORDED:
            unfinished.began(environment, step_key(action, props["name"]))
            pulumi_engine.remember(unfinished.engine(environment))
        try:
            outputs = self._run("apply", props, olds) or {}
        except StepFailed:
            if action == "verification":  # what it found may be anybody's work: all of it is done again
                unfinished.began(environment, FIRST)
            raise
        if action == "verification":
            unfinished.verified(environment)
        return {**_plain(props), **outputs, "drift": []}

    @staticmethod
    def _foresee(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        """What a change does to running services, rendered in a process that knows the roles. A preview must not fail for it."""
        request = {"action": "converge", "phase": "foresee", "olds": olds, "inputs": news}
        try:
            return list(run_step(request, _unsaid))
        except StepFailed as error:
            return [f"what that does to running services is not known: {str(error).splitlines()[0]}"]

    def _run(self, phase: str, props: dict[str, Any], olds: dict[str, Any] | None = None) -> Any:
        identity = props["manifest"]["identity"]
        roots = roots_for(identity["name"], Kind(identity["kind"]), self._roots)
        request = {
            "action": props["action"],
            "phase": phase,
            "inputs": _plain(props) | _before(props["action"], _plain(olds or {}), bool(olds and olds.get("drift"))),
            "roots": roots.secrets(),
        }
        return run_step(request, _unsaid if phase == "observe" else _show)


FIRST = step_key("converge", next(iter(roles.stages())))
"""The step after which everything is done again."""


def _before(action: str, olds: dict[str, Any], drift: bool) -> dict[str, Any]:
    """What a step must know of the run before: who was there and where, or which container was well."""
    known = {"leave": "manifest", "drain": "manifest", "ready": "container"}.get(action)
    return {} if known is None or drift or known not in olds else {"before": olds[known]}


def _plain(props: dict[str, Any]) -> dict[str, Any]:
    return {key: _whole(value) for key, value in props.items() if key not in BOOKKEEPING}


def _whole(value: Any) -> Any:
    """Pulumi hands every number back as a float; whole ones are integers here."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


def _show(text: str) -> None:
    pulumi.log.info(text, ephemeral=True)


def _unsaid(text: str) -> None:
    """A refresh or a preview looks at everything at once; what it looks at just now is of no use."""


class Step(Resource, module="keel", name="Step"):
    """Base of the step resources; sub-classes only give the type its name in Pulumi's tree."""

    drift: pulumi.Output[list[str]]

    def __init__(self, action: str, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        props = {"action": action, "name": name, "drift": None, **inputs}
        super().__init__(StepProvider(), name, props, opts)
