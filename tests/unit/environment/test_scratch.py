"""What throwaway copies are called, who is admitted to them, and where there are none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from environment import access, scratch
from environment.manifest import Manifest
from environment.products import ProductError, catalogue, read
from environment.program import load
from environment.urls import scratch_urls
from tests.unit.stacks import ROOTS, config


def manifest_of(stack: str, major: int | None = None) -> Manifest:
    manifest = load(stack, config(stack) | ROOTS).manifest
    release = manifest.release.model_copy(update={"postgres": major or manifest.release.postgres})
    return manifest.model_copy(update={"release": release})


def admitted(manifest: Manifest) -> list[access.Line]:
    host = next(host for host in manifest.hosts if access.lines(manifest, host, "postgres"))
    return [line for line in access.lines(manifest, host, "postgres") if "scratch" in line.text]


@pytest.mark.parametrize(
    ("stack", "major", "there"),
    [("dev", 18, True), ("ci", 16, True), ("ci", 15, False), ("staging", 18, False), ("production", 18, False)],
)
def test_copies_are_for_dev_and_ci(stack: str, major: int, there: bool) -> None:
    """PLAT-41: elsewhere the servers admit nobody to such a name."""
    manifest = manifest_of(stack, major)
    assert scratch.offered(manifest) is there
    assert bool(admitted(manifest)) is there


def test_each_login_comes_to_copies_of_its_own_product() -> None:
    """PLAT-10, PLAT-41, W4: the pattern fits every name that is given, and no other database; the pooler knows none of them."""
    manifest = manifest_of("ci")
    for line in admitted(manifest):
        name, pattern = line.login.databases
        assert line.login.roles == catalogue()[name].login_roles
        fits = re.compile(pattern.removeprefix("/"))
        for other in catalogue():
            made = (scratch.fresh(other), scratch.template(other, "0" * 12), scratch.making(other))
            assert {bool(fits.search(each)) for each in made} == {other == name}
        for stranger in (name, f"{name}_ro", f"{name}_restoring", f"x{name}_scratch_1", f"{name}_scratch_"):
            assert not fits.search(stranger)
    assert len(admitted(manifest)) == len(manifest.products)
    for host in manifest.hosts:
        assert "scratch" not in "".join(line.text for line in access.lines(manifest, host, "pgbouncer"))


def test_a_name_says_whose_copy_it_is_and_how_old() -> None:
    """63 bytes are PostgreSQL's limit, and a drill makes a role that is called after each database."""
    for product in catalogue():
        name = scratch.fresh(product)
        assert scratch.is_copy(name, product) and not scratch.is_template(name, product)
        assert timedelta(0) <= datetime.now(UTC) - scratch.made(name) < timedelta(seconds=10)
        assert len(f"keel_scratch_{name}") <= 63
        for other in (name[:-1], f"{name}0", name.upper(), f"{product}_scratch_at_12345", product):
            assert not scratch.belongs(other, [product])
        assert not scratch.belongs(name, set(catalogue()) - {product})
    assert scratch.fresh("ruleiq") != scratch.fresh("ruleiq")


def test_no_product_is_called_like_a_copy(tmp_path: object) -> None:
    path = tmp_path / "jeex_scratch_idea" / "product.yaml"  # type: ignore[operator]
    path.parent.mkdir()
    path.write_text((catalogue()["jeex_idea"].folder / "product.yaml").read_text())
    with pytest.raises(ProductError, match="jeex_scratch_idea is taken"):
        read(path)


def test_every_url_leads_past_the_pooler() -> None:
    """PLAT-39: over TLS where the product's own do."""
    loaded = load("ci", config("ci") | ROOTS)
    urls = scratch_urls(loaded.manifest, loaded.roots, catalogue()["ruleiq"], "ruleiq_scratch_x")
    assert set(urls) >= {"application", "application_asyncpg", "migration", "readonly", "worker"}
    for url in urls.values():
        assert f":{loaded.manifest.endpoints.primary}/ruleiq_scratch_x?ssl" in url
