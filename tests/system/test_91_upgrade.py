"""What an earlier release made is taken over by this checkout: its state, its hosts, its repository (PLAT-48)."""

from __future__ import annotations

import json
import subprocess

import psycopg
import pytest

from environment.names import LABEL
from environment.urls import product_urls
from ops.hosts.docker import docker
from ops.hosts.session import Session
from tests.campaign.upgrade import check_out, checked_out, made_up, make_up, rows, write_as_products
from tests.system.environments import Ephemeral
from tests.system.writer import Writer, written
from tools.git import git

RELEASES = {"0.1.0": "12e35dd"}
"""Release → its revision: a clone may come without tags."""


def containers(environment: str) -> set[str]:
    """Ids of an environment's containers."""
    return set(docker("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}={environment}").split())


def labels(session: Session) -> set[str]:
    """Of the backups in the repository."""
    said = session.run("all1", "runuser -u postgres -- pgbackrest info --output=json")
    return {backup["label"] for stanza in json.loads(said) for backup in stanza["backup"]}


@pytest.mark.parametrize("release", RELEASES)
def test_an_environment_of_a_release_is_taken_over_without_a_replacement(single: Ephemeral, release: str) -> None:
    """One `make up`: the same containers, every acknowledged row, what the products hold, the same repository; the end is verified
    and nothing is left to do. It waits for its lane only, and uses an environment of its own."""
    present, former = git("rev-parse", "HEAD"), RELEASES[release]
    try:
        git("cat-file", "-e", former)
    except subprocess.CalledProcessError:
        pytest.skip(f"this clone's history does not reach back to {release} ({former})")
    with checked_out(former, "ci") as (there, slot):
        make_up(there)
        made = containers(there.name)
        with there.session() as session:
            write_as_products(session)
            before, backups = rows(session), labels(session)
            with Writer(session.manifest, session.roots) as writer:
                writer.await_rows(20)
            acknowledged = writer.acknowledged.keys()
        check_out(there, slot, present, "ci")
        make_up(there)
        with there.session() as session:
            assert not acknowledged - written(session)
            assert rows(session) == before
            assert backups and backups <= labels(session)
        _brings_an_extension(there)
        assert containers(there.name) == made
        there.pulumi("preview", "--refresh", "--expect-no-changes")


def _brings_an_extension(there: Ephemeral) -> None:
    """Two lines of a product's file bring pgvector, and the application uses it. A package that the release does not have is
    refused with its name, and what runs stays."""
    declared = there.project / "db" / "ruleiq" / "product.yaml"
    before = declared.read_text()
    with_packages = before.replace("extensions: [", "packages: [PACKAGE]\nextensions: [vector, ")
    declared.write_text(with_packages.replace("PACKAGE", '"postgresql-{postgres}-nonesuch"'))
    refused = made_up(there)
    assert refused.returncode and "postgresql-18-nonesuch" in refused.stdout + refused.stderr
    declared.write_text(with_packages.replace("PACKAGE", '"postgresql-{postgres}-pgvector"'))
    make_up(there)
    with there.session() as session:
        ruleiq = session.manifest.products["ruleiq"].product
        with psycopg.connect(product_urls(session.manifest, session.roots, ruleiq)["application"]) as application:
            (nearest,) = application.execute(
                "select v from unnest(array['[1,1]', '[9,9]']::vector[]) v order by v <-> '[8,8]' limit 1"
            ).fetchone() or [None]
        assert nearest == "[9,9]"
