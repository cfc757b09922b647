"""The real program, run against a Pulumi that only writes down what it is asked to register."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest.mock import patch

import pulumi
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime.proto import resource_pb2

from environment.load import ROOT

_SIGNATURE, _SECRET = rpc._special_sig_key, rpc._special_secret_sig


@dataclass(frozen=True)
class Registered:
    """One resource as Pulumi's engine would be asked for it."""

    request: resource_pb2.RegisterResourceRequest
    urn: str

    @property
    def name(self) -> str:
        return str(self.request.name)

    @property
    def kind(self) -> str:
        """The last part of the type: Container, Drain, …"""
        return str(self.request.type).rpartition(":")[2]

    @property
    def parent(self) -> str:
        return _name(self.request.parent)

    @property
    def dependencies(self) -> set[str]:
        """Names of what it waits for."""
        return {_name(urn) for urn in self.request.dependencies}

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """As a provider sees them, secrets included."""
        return dict(secrets_as(None, rpc.deserialize_properties(self.request.object)))

    @cached_property
    def open_inputs(self) -> Any:
        """As the state keeps them readable: a secret is its mark only."""
        return secrets_as("[secret]", MessageToDict(self.request.object))


def secrets_as(mark: str | None, value: Any) -> Any:
    """``value`` with ``mark`` in place of what Pulumi encrypts, or with the secrets in clear when it is None."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return secrets_as(mark, value["value"]) if mark is None else mark
        return {key: secrets_as(mark, item) for key, item in value.items()}
    if isinstance(value, list):
        return [secrets_as(mark, item) for item in value]
    return value


@dataclass(frozen=True)
class Program:
    """What one run of the program registered, and its outputs."""

    resources: tuple[Registered, ...]
    outputs: Any
    """Stack outputs as the state keeps them, secrets taken out."""
    secret_outputs: dict[str, Any]
    """The same with secrets in clear."""

    def of(self, *kinds: str) -> list[Registered]:
        """Resources of some kinds, in order of registration."""
        return [resource for resource in self.resources if resource.kind in kinds]

    def one(self, kind: str, name: str) -> Registered:
        (found,) = [resource for resource in self.of(kind) if resource.name == name]
        return found


class _Monitor(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Mocks())
        self.requests: list[Registered] = []
        self.outputs = resource_pb2.RegisterResourceOutputsRequest()

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.requests.append(Registered(request, answer.urn))
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if "pulumi:pulumi:Stack" in request.urn and request.outputs.fields:
            self.outputs = request
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made = {"image": f"sha256:{args.name}"} if args.typ.endswith(":HostImage") else {}
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program looks nothing up, but it called {args.token}")


def run(name: str, config: Mapping[str, str]) -> Program:
    """Run __main__.py as stack ``name`` with ``config`` (what Pulumi hands out: key → text)."""
    monitor = _Monitor()

    def program() -> None:
        # The machine that tests needs no cgroup hierarchy that containers could use.
        with patch("components.hosts.require_cgroup_hierarchy", lambda: None):
            runpy.run_path(str(ROOT / "__main__.py"))

    async def carried_out() -> None:
        mocks.set_mocks(monitor.mocks, project="keel", stack=name, preview=False, monitor=monitor)
        pulumi.runtime.set_all_config(dict(config))
        settings.set_root_resource(None)  # type: ignore[arg-type]  # set_mocks made one, which is finished already
        await stack.run_in_stack(program)

    asyncio.run(carried_out())
    return Program(
        tuple(monitor.requests),
        secrets_as("[secret]", MessageToDict(monitor.outputs.outputs)),
        secrets_as(None, rpc.deserialize_properties(monitor.outputs.outputs)),
    )


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]
