"""`keel summary`, the screen with which `make up` ends."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from environment.load import ROOT
from environment.products import catalogue
from ops.cli.app import app
from tests.unit.cli_fakes import environment
from tests.unit.test_make import commands


def shown(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, ["summary", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_make_up_ends_with_it() -> None:
    """PLAT-24: instead of Pulumi's outputs, whose values are secret."""
    *_, up, last = commands("up")
    assert "--suppress-outputs" in up
    assert last == "./keel --env dev summary"


def test_what_is_there_and_how_to_connect() -> None:
    """Every host and product, and the places that the products' own settings name."""
    text = shown("--env", "dev")
    manifest = environment().manifest
    for host in manifest.hosts:
        assert re.search(rf"{host.name} .*{host.address} .*127\.0\.0\.1:{host.ssh.port}", text)
    for name, product in catalogue().items():
        assert re.search(rf"{product.title} .*{name} .*\./keel psql {name} .*\./keel env {name} > \.env", text)
    ends = manifest.endpoints
    for service, port in (("pgbouncer", ends.pgbouncer), ("primary", ends.primary), ("redis", ends.redis)):
        assert re.search(rf"{service} .*{ends.address}:{port} ", text)


@pytest.mark.parametrize("stack", ["dev", "ci", "staging", "production"])
def test_it_needs_no_secret_and_fits_on_a_screen(stack: str) -> None:
    """Stack files of guarded environments hold no roots here; 50 lines are a terminal's usual height when enlarged."""
    text = shown("-e", stack)
    assert len(text.splitlines()) <= 50
    assert "password" not in text
    assert f"stacks/Pulumi.{stack}.yaml" in text


@pytest.mark.parametrize(("stack", "offered"), [("dev", True), ("ci", True), ("staging", False), ("production", False)])
def test_where_data_is_guarded_nothing_that_changes_it_is_offered(stack: str, offered: bool) -> None:
    """PLAT-30: demo rows never enter production."""
    text = shown("-e", stack)
    assert ("make down" in text) is offered
    assert ("db seed" in text) is offered


def test_each_command_it_names_is_one() -> None:
    """With the environment, where it is not the usual one; a document that it names is there."""
    text = shown("-e", "ci")
    named = re.findall(r"\./keel -e ci (\w+)(?: (\w+))?", text)
    assert {first for first, _ in named} == {"psql", "env", "status", "db", "backup"}
    for words in named:
        asked = [word for word in words if word and word not in catalogue()]
        assert CliRunner().invoke(app, [*asked, "--help"]).exit_code == 0, asked
    assert "make preview ENV=ci" in text and "make down ENV=ci" in text
    for document in re.findall(r"docs/\S+\.md", text):
        assert (ROOT / document).is_file(), document
