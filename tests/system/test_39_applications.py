"""The application of a product, in a container of its own in the environment's network."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

from environment import access
from environment.urls import GROUPS
from tests.system import compose
from tests.system.environments import Ephemeral
from tests.system.test_38_walls import declared, everything

ROWS = {"owner": 1, "other": 0, "nobody": 0}
"""Documents of one owner that each sees."""


def test_the_compose_file_starts_an_application_that_reaches_its_database(ci: Ephemeral, tmp_path: Path) -> None:
    """BAC-02, PLAT-39, PLAT-41, W3: as a container in the network, under a name that certificates hold and another does not; on
    clients' ports, and no other answers it."""
    manifest = ci.environment.manifest
    (host,) = manifest.hosts
    asked = {"ports": everything(manifest), "another_name": ci.container(host.name)}
    said = json.loads(compose.answer(ci, tmp_path, json.dumps(asked)))
    assert said["clients"] == {
        "asyncpg": ROWS,
        "psycopg": ROWS,
        "psycopg, past the pooler": ROWS,
        "sqlalchemy+asyncpg": ROWS,
        "sqlalchemy+psycopg": ROWS,
        "redis": {"got": "there", "removed": 1},
    }
    unverified = {name: error for name, error in said["misled"].items() if "certificate" not in error.lower()}
    assert not unverified, "no client may take a server under a name that its certificate does not hold"
    assert said["edges"] == [str(host.address)]
    containers = manifest.network.containers
    assert containers and IPv4Address(said["address"]) in containers
    answering = {(address, port) for address, port in said["ports"]}
    doors = {access.port(manifest, host, access.door(service)) for service in (*GROUPS, "replica")}
    assert answering == declared(manifest, said["address"]) == {(str(host.address), port) for port in doors}
