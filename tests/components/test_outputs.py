"""The stack's outputs (PLAT-24)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from cryptography import x509

from environment import program
from environment.derive import Roots
from environment.products import catalogue
from environment.urls import product_urls, redis_url
from tests.components.conftest import program_of
from tests.components.recorder import Program
from tests.unit.stacks import ROOTS, config

PURPOSES = {
    "application_asyncpg": ("postgresql+asyncpg", "jeex_user", "/jeex_idea"),
    "application_psycopg": ("postgresql+psycopg", "jeex_user", "/jeex_idea"),
    "application": ("postgresql", "jeex_user", "/jeex_idea"),
    "readonly": ("postgresql+psycopg", "jeex_idea_readonly", "/jeex_idea_ro"),
    "migration": ("postgresql+psycopg", "jeex_idea_migrator", "/jeex_idea"),
}


def test_urls_name_driver_role_and_database(dev: Program) -> None:
    """PLAT-24: application and migration URLs per product, drivers named."""
    urls = {purpose: urlsplit(url) for purpose, url in dev.secret_outputs["urls"]["jeex_idea"].items()}
    assert {purpose: (url.scheme, url.username, url.path) for purpose, url in urls.items()} == PURPOSES


def test_the_application_goes_through_the_pooler_and_migrations_do_not(dev: Program) -> None:
    """PLAT-21, PLAT-24, JEEX-03: 6432 pooled, the primary's published port direct."""
    ports = {purpose: urlsplit(url).port for purpose, url in dev.secret_outputs["urls"]["jeex_idea"].items()}
    assert ports.pop("migration") == 5220
    assert set(ports.values()) == {6432}


def test_each_role_has_its_own_derived_password(dev: Program) -> None:
    roots = Roots("dev", *(ROOTS[f"keel:{name}"] for name in ("access", "pki", "backup")))
    for url in map(urlsplit, dev.secret_outputs["urls"]["jeex_idea"].values()):
        assert url.password == roots.password(str(url.username))


@pytest.mark.parametrize(("name", "option"), [("dev", "prefer"), ("ci", "require"), ("staging", "verify-full")])
def test_guarded_environments_require_tls(name: str, option: str) -> None:
    """PLAT-39: outside dev no URL admits a connection in clear, and where data is guarded the server is verified."""
    urls = program_of(name).secret_outputs["urls"]["jeex_idea"]
    assert {purpose: urlsplit(url).query.partition("=")[2] for purpose, url in urls.items()} == dict.fromkeys(
        urls, option
    )


def test_urls_and_passwords_are_secret(dev: Program) -> None:
    """PLAT-24: `pulumi stack output` hides them."""
    assert dev.outputs["urls"] == dev.outputs["redis"] == dict.fromkeys(catalogue(), "[secret]")


def test_redis_is_reached_over_tls_with_an_account(dev: Program) -> None:
    """PLAT-25, W10: each product with its own."""
    urls = {name: urlsplit(url) for name, url in dev.secret_outputs["redis"].items()}
    assert {(url.scheme, url.port) for url in urls.values()} == {("rediss", 6379)}
    assert {name: url.username for name, url in urls.items()} == {name: name for name in catalogue()}
    assert len({url.password for url in urls.values()}) == len(catalogue())


def test_hosts_ports_and_authority_are_told(dev: Program) -> None:
    outputs = dev.secret_outputs
    assert outputs["hosts"]["edge1"] == {
        "address": "10.88.0.21", "groups": ["edge", "etcd", "redis"], "memory": 1024, "cpus": 2.0, "ssh": "127.0.0.1:2211"
    }  # fmt: skip
    assert outputs["endpoints"] == {"address": "127.0.0.1", "primary": 5220, "pgbouncer": 6432, "redis": 6379}
    assert x509.load_pem_x509_certificate(outputs["ca"].encode()).subject.rfc4514_string() == "CN=Keel CA dev 1"


def test_sizes_are_told_with_their_reason(dev: Program) -> None:
    """PLAT-03, X-19: a preview shows outputs that change, so it shows what follows from a host's memory."""
    sizes = dev.secret_outputs["sizes"]
    assert sizes["shared_buffers"].startswith("256MB (derived: an eighth ")
    assert sizes["max_parallel_workers"] == "2 (derived: one per core of 2, 2 at least)"
    assert (
        program_of("staging").secret_outputs["sizes"]["shared_buffers"]
        == "1024MB (stack file: keel:postgres.shared_buffers)"
    )


def test_machines_are_reached_at_their_own_addresses(staging: Program) -> None:
    """Provider ssh: the first edge's address; migrations go to its port that follows the primary."""
    urls = {purpose: urlsplit(url) for purpose, url in staging.secret_outputs["urls"]["jeex_idea"].items()}
    assert (urls["application"].hostname, urls["application"].port) == ("192.0.2.21", 6432)
    assert (urls["migration"].hostname, urls["migration"].port) == ("192.0.2.21", 5000)


def test_what_is_not_published_is_reached_on_its_host() -> None:
    """A setting may take a published port away; the URL must not then name a port of this machine."""
    patch = {"network.published": {"primary": None, "pgbouncer": None, "redis": None}}
    loaded = program.load("dev", config("dev", patch))
    product = loaded.manifest.products["jeex_idea"].product
    urls = product_urls(loaded.manifest, loaded.roots, product)
    urls["redis"] = redis_url(loaded.manifest, loaded.roots, product)
    places = {purpose: (urlsplit(url).hostname, urlsplit(url).port) for purpose, url in urls.items()}
    assert places["application"] == ("10.88.0.21", 6432)
    assert places["migration"] == ("10.88.0.21", 5000)
    assert places["redis"] == ("10.88.0.21", 6379)
