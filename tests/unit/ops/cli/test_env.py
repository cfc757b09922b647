"""`keel env`: the lines of a product's `.env`, and the template that is in the repository."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from environment.products import ENV_COMMANDS, catalogue
from environment.program import load
from ops.cli import env
from ops.cli.app import app
from tests.unit.stacks import config


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
    assert {command.name for command in env.app.registered_commands} - {env.PRODUCT} <= ENV_COMMANDS
