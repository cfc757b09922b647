"""`keel env`: the lines of a product's `.env`, and the template that is in the repository."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from environment.pki import ca_certificate
from environment.place import CA, Place
from environment.products import ENV_COMMANDS, catalogue
from environment.program import load
from environment.types import Group
from environment.urls import OutOfReach
from ops.cli import env
from ops.cli.app import app
from tests.unit.stacks import ROOTS, config


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "dev")


def _lines(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip('"') for name, value in pairs}


def test_the_file_leads_the_application_through_the_pooler_and_migrations_to_the_primary() -> None:
    """CF-37: DATABASE_URL and DATABASE_SYNC_URL. PLAT-24: drivers named; JEEX-03: on 6432 and 5220."""
    result = CliRunner().invoke(app, ["env", "jeex_idea"])
    lines = _lines(result.stdout)
    password = load("dev", config("dev")).roots.password
    assert lines["DATABASE_URL"].startswith(
        f"postgresql+asyncpg://jeex_user:{password('jeex_user')}@127.0.0.1:6432/jeex_idea"
    )
    assert lines["DATABASE_SYNC_URL"].startswith(
        f"postgresql+psycopg://jeex_idea_migrator:{password('jeex_idea_migrator')}@127.0.0.1:5220/jeex_idea"
    )
    assert lines["REDIS_URL"].startswith(f"rediss://jeex_idea:{password('redis/jeex_idea')}@127.0.0.1:6379/")  # W10


@pytest.mark.parametrize("product", catalogue())
def test_the_template_in_the_repository_has_every_variable_and_no_password(product: str) -> None:
    """BAC-51: db/<product>/.env.template; `make reference` makes it anew."""
    runner = CliRunner()
    filled, template = (runner.invoke(app, ["env", product, *option]).stdout for option in ([], ["--template"]))
    assert _lines(template).keys() == _lines(filled).keys()
    for value in _lines(filled).values():
        secret = value.split("://")[1].split("@")[0].split(":")[1]
        assert secret in filled
        assert secret not in template
    assert (catalogue()[product].folder / ".env.template").read_text() == template


@pytest.mark.parametrize(
    "arguments", [("jeex_idea", "--template"), ("--template", "jeex_idea"), ("-e", "dev", "jeex_idea", "--template")]
)
def test_a_word_that_is_no_command_is_a_product(arguments: tuple[str, ...]) -> None:
    """CF-37: options may stand before it, as they might when `env` was no group."""
    printed = CliRunner().invoke(app, ["env", *arguments])
    assert printed.stdout == (catalogue()["jeex_idea"].folder / ".env.template").read_text()


def test_a_word_that_is_neither_is_refused() -> None:
    refused = CliRunner().invoke(app, ["env", "jeex_idae"])
    assert refused.exit_code == 2 and "dev has no product 'jeex_idae'; it has ai_assistant, " in refused.stderr


def test_no_command_hides_a_product() -> None:
    """environment/products.py refuses products of these names."""
    group: Any = typer.main.get_command(env.app)
    assert set(group.list_commands(None)) - {env.PRODUCT} == ENV_COMMANDS


def test_from_a_container_the_names_stay_and_every_server_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-24, PLAT-39, BAC-02: by the ports inside, whatever is published."""
    monkeypatch.setattr("ops.hosts.docker.inspect", lambda *_: None)
    lines = _lines(CliRunner().invoke(app, ["env", "--from", "docker", "ruleiq"]).stdout)
    places = {name: value.partition("@")[2] for name, value in lines.items() if "@" in value}
    assert places == {
        "DATABASE_URL": "edge.keel-dev:6432/ruleiq?ssl=verify-full",
        "DATABASE_SYNC_URL": "edge.keel-dev:5000/ruleiq?sslmode=verify-full",
        "DATABASE_READONLY_URL": "edge.keel-dev:6432/ruleiq_ro?sslmode=verify-full",
        "DATABASE_WORKER_URL": "edge.keel-dev:6432/ruleiq?sslmode=verify-full",
        "REDIS_URL": f"redis.keel-dev:6379/0?ssl_cert_reqs=required&ssl_check_hostname=true&ssl_ca_certs={CA}",
    }
    assert lines["PGSSLROOTCERT"] == CA


@pytest.mark.parametrize(
    ("config", "noted"),
    [([{"Subnet": "10.88.0.0/24", "IPRange": "10.88.0.128/25"}], False), ([{"Subnet": "10.88.0.0/24"}], True)],
)
def test_a_network_without_the_range_is_said(
    monkeypatch: pytest.MonkeyPatch, config: list[dict[str, str]], noted: bool
) -> None:
    """An earlier release made it: Docker would give a container an address that is not let in."""
    monkeypatch.setattr("ops.hosts.docker.inspect", lambda *_: {"IPAM": {"Config": config}})
    said = CliRunner().invoke(app, ["env", "ruleiq", "--from", "docker"]).stdout
    assert ("# The network keel-dev was made without the range 10.88.0.128/25" in said) is noted


@pytest.mark.parametrize(
    ("stack", "patch", "place", "words"),
    [
        ("dev", {}, "machine", "published on 127.0.0.1.*--from host"),
        ("dev", {"network.containers": "off"}, "docker", "admits no container.*keel:network.clients"),
        ("staging", {}, "docker", "hosts are machines.*--from machine"),
        ("staging", {}, "host", "hosts are machines.*--from machine"),
        ("dev", {}, "host", ""),
        ("dev", {}, "docker", ""),
        ("dev", {"network.containers": "off", "network.clients": ["10.88.0.50/32"]}, "docker", ""),
        ("staging", {}, "machine", ""),
    ],
)
def test_from_where_no_one_comes_is_refused(stack: str, patch: dict[str, Any], place: str, words: str) -> None:
    """With where one comes from instead."""
    loaded = load(stack, {**config(stack, patch), **ROOTS})
    product = catalogue()["jeex_idea"]
    if not words:
        assert env.variables(loaded.manifest, loaded.roots, product, Place(place))
        return
    with pytest.raises(OutOfReach, match=words):
        env.variables(loaded.manifest, loaded.roots, product, Place(place))


def test_machines_are_reached_by_their_addresses_and_verified() -> None:
    """PLAT-39: as before, and the file says with what."""
    loaded = load("staging", {**config("staging"), **ROOTS})
    found = {name: value for name, value, _ in env.variables(loaded.manifest, loaded.roots, catalogue()["jeex_idea"])}
    edge = loaded.manifest.carrying(Group.EDGE)[0].address
    assert found["DATABASE_URL"].endswith(f"@{edge}:6432/jeex_idea?ssl=verify-full")
    assert found["PGSSLROOTCERT"] == CA


def test_ca_prints_who_signs_the_servers_certificates() -> None:
    """PLAT-39: the same as the stack's output `ca`."""
    printed = CliRunner().invoke(app, ["ca"]).stdout
    assert printed == ca_certificate(load("dev", config("dev")).roots)
