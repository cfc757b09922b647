"""What Docker runs, compared with what the state records."""

from __future__ import annotations

from typing import Any

import pytest

from ops.state import drift, stack

GATE = {"action": "ready", "container_name": "keel-dev-edge1", "aliases": ["edge.keel-dev", "redis.keel-dev"]}
OTHER = {"action": "ready", "container_name": "keel-dev-edge1"}


@pytest.mark.parametrize(
    ("gate", "joined", "said"),
    [
        (GATE, {"keel-dev": {"Aliases": ["redis.keel-dev", "0123456789ab", "edge.keel-dev"]}}, ""),
        (GATE, {"keel-dev": {"Aliases": ["0123456789ab"]}}, "nothing instead of edge.keel-dev, redis.keel-dev"),
        (OTHER, {"keel-dev": {"Aliases": ["edge.keel-dev"]}}, "edge.keel-dev instead of nothing"),
        (OTHER, {"keel-dev": {"Aliases": None}}, ""),
        (GATE, {}, ""),
    ],
)
def test_a_container_with_other_names_is_drift(
    monkeypatch: pytest.MonkeyPatch, gate: dict[str, Any], joined: dict[str, Any], said: str
) -> None:
    """PLAT-48: applications in containers would not find it, or find what is no edge."""
    state = {"deployment": {"resources": [{"type": "step", "urn": "urn::ready", "inputs": gate}]}}
    monkeypatch.setattr(stack, "read", lambda _: state)
    monkeypatch.setattr(drift, "docker", lambda *_: "")
    monkeypatch.setattr("ops.hosts.docker.inspect", lambda *_: {"NetworkSettings": {"Networks": joined}})
    assert drift.look("dev") == ([f"container keel-dev-edge1: found in its network as {said}"] if said else [])
