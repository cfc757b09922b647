"""`keel env`: the lines of a product's `.env`, and the template that is in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from environment.load import ROOT
from environment.program import load
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
    assert lines["REDIS_URL"].startswith("rediss://")


def test_the_template_has_every_variable_and_no_password() -> None:
    """BAC-51: `.env.template` holds all variables."""
    runner = CliRunner()
    template = runner.invoke(app, ["env", "jeex_idea", "--template"]).stdout
    filled = runner.invoke(app, ["env", "jeex_idea"]).stdout
    assert _lines(template).keys() == _lines(filled).keys()
    for value in _lines(filled).values():
        secret = value.split("://")[1].split("@")[0].split(":")[1]
        assert secret in filled
        assert secret not in template


def test_the_template_in_the_repository_is_current() -> None:
    """BAC-51: `.env.template`. Make it anew: ./keel --env dev env jeex_idea --template > .env.template"""
    template = CliRunner().invoke(app, ["env", "jeex_idea", "--template"]).stdout
    assert Path(ROOT, ".env.template").read_text() == template
