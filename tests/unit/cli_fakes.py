"""An environment without hosts, for tests of the operator command: dev's model, and what a healthy one answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from environment.kind import Kind
from environment.load import ROOT
from environment.program import Environment, load
from ops.hosts.session import Session
from ops.status.facts import Facts, HeadFacts, HostFacts, PoolFacts, RedisFacts, ServerFacts, Standby
from roles.postgres.patroni import Member
from tests.unit.stacks import ROOTS, config

# Loaded when they are first asked for: within a test that fakes a terminal, they would keep the fake.
for _command in ("escrow", "db.rollback"):
    import_module(f"ops.cli.{_command}")

CLOSED_PORT = 1
"""A port on which nothing listens (tcpmux)."""

PRIMARY = ServerFacts(
    host="db1", in_recovery=False, version="18.6", synchronous_commit="on",
    standbys=(Standby(name="db2", state="streaming", sync_state="sync"),),
)  # fmt: skip
REPLICA = ServerFacts(host="db2", in_recovery=True, version="18.6", synchronous_commit="on", standbys=())
LEADER = Member("db1", "leader", "running", 1, None, False)
SYNC_STANDBY = Member("db2", "sync_standby", "streaming", 1, 0, False)


def environment(patch: Mapping[str, Any] | None = None, stack: str = "dev") -> Environment:
    """The model of a real stack, changed in places."""
    return load(stack, config(stack, patch) | ROOTS)


def facts(**changes: object) -> Facts:
    """What a healthy dev answers, with ``changes``."""
    well = Facts(
        environment="dev",
        kind=Kind.DEV,
        replicas=1,
        hosts=tuple(HostFacts(name=name, address="10.0.0.1", groups=()) for name in ("db1", "db2", "edge1", "ops1")),
        members=(LEADER, SYNC_STANDBY),
        expected_members=("db1", "db2"),
        synchronous_mode=True,
        paused=False,
        servers=(PRIMARY, REPLICA),
        etcd={"db1": True, "db2": True, "edge1": True},
        pools=(
            PoolFacts(
                edge="edge1", database="jeex_idea", user="jeex_user", clients_active=3, clients_waiting=0,
                servers_active=1, servers_idle=2, waited_seconds=0,
            ),
        ),
        silent_poolers=(),
        redis=(RedisFacts(host="edge1", used_bytes=1, limit_bytes=2, clients=1),),
        heads=(HeadFacts(product="jeex_idea", current="003", head="003"),),
    )  # fmt: skip
    return well.model_copy(update=changes)


def session(folder: Path, patch: Mapping[str, Any] | None = None, stack: str = "dev") -> Session:
    """A session whose hosts do not exist."""
    made = environment(patch, stack)
    for name in ("id_ed25519", "known_hosts", "ssh_config", "ca.crt"):
        (folder / name).touch()
    return Session(made.manifest, made.roots, folder)


def opened(monkeypatch: pytest.MonkeyPatch, faked: Session) -> None:
    """Every command gets ``faked`` as the environment it opens."""

    @contextmanager
    def open_environment(_name: str) -> Iterator[Session]:
        yield faked

    monkeypatch.setattr("ops.hosts.environment.open_environment", open_environment)


def project(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """``folder`` holds the stack files, none yet, and Pulumi's project."""
    for module in ("ops.hosts.environment", "environment.load"):
        monkeypatch.setattr(f"{module}.STACKS", folder)
    monkeypatch.setattr("ops.hosts.environment.PROJECT", folder)


def stack_file(folder: Path, like: str, sections: Mapping[str, Any]) -> None:
    """Write the stack file ``like`` into ``folder``, with other ``sections``."""
    written = yaml.safe_load((ROOT / f"stacks/Pulumi.{like}.yaml").read_text())["config"]
    changed = {f"keel:{name}": value for name, value in sections.items()}
    (folder / f"Pulumi.{like}.yaml").write_text(yaml.safe_dump({"config": {**written, **changed}}))


def program(folder: Path, name: str, script: str) -> Path:
    """A program of that name below ``folder``, to be put on PATH."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
