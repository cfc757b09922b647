"""What a clone refuses before a host is asked, and what it shows before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from environment.errors import Refused
from environment.manifest import Manifest
from environment.recovery import target
from ops.backup import clone, restore
from ops.cli.app import app
from tests.unit.cli_fakes import environment, session
from tests.unit.stacks import REMOVED

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWO = dict.fromkeys(("products.ai_assistant", "products.bacopilot", "products.componentforge"), REMOVED)


def model(stack: str, patch: Mapping[str, Any] | None = None) -> Manifest:
    """A real stack's manifest."""
    return environment(patch, stack).manifest


@pytest.mark.parametrize(
    ("source", "into", "options", "words"),
    [
        ("dev", "dev", {}, "dev is both source and target"),
        ("staging", "production", {}, "production is production: Keel never replaces its databases"),
        ("production", "production", {"into": True, "masked": False}, "is both source and target"),
        ("staging", "production", {"into": True, "masked": False}, "production is production"),
        ("production", "staging", {"masked": False}, "staging (staging) protects less than production (production)"),
        ("staging", "dev", {"masked": False, "into": True}, "dev (dev) protects less than staging"),
        ("staging", "ci", {"masked": False}, "personal data must be masked"),
    ],
)
def test_where_personal_data_may_not_go(source: str, into: str, options: dict[str, bool], words: str) -> None:
    """ADA-22, JEEX-35: never into production, never unmasked downwards, never over itself."""
    with pytest.raises(Refused) as refused:
        clone.choose(model(source), model(into), [], **{"masked": True, **options})
    assert words in str(refused.value) and str(refused.value).endswith("Nothing was changed")


@pytest.mark.parametrize(
    ("source", "into", "masked"),
    [("production", "staging", True), ("production", "dev", True), ("dev", "ci", False), ("dev", "staging", False)],
)
def test_where_it_may(source: str, into: str, masked: bool) -> None:
    """Masked downwards, as it is between equals and upwards."""
    one = model(source)
    assert clone.choose(one, model(into), [], masked=masked) == tuple(one.products)


def test_every_reason_is_told_at_once() -> None:
    old = model("dev", {"release": {"debian": "trixie", "source": "pgdg", "postgres": 16}})
    ci = model("ci", TWO)
    with pytest.raises(Refused) as refused:
        clone.choose(ci, old, ["bacopilot", "nothing"], masked=True)
    for words in ("bacopilot is no product of ci", "nothing is no product of ci", "nothing is no product of dev",
                  "ci runs PostgreSQL 18, dev 16"):  # fmt: skip
        assert words in str(refused.value)
    assert clone.choose(old, ci, [], masked=True) == ("jeex_idea", "ruleiq"), "a newer server takes it"


def test_without_names_it_is_what_both_list() -> None:
    assert clone.choose(model("dev"), model("ci", TWO), [], masked=True) == ("jeex_idea", "ruleiq")


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions with dev and ci, and a plan of dev's latest moment; carrying it out fails the test."""
    for name in ("dev", "ci"):
        (tmp_path / name).mkdir()
    opened = {name: session(tmp_path / name, TWO if name == "ci" else None, name) for name in ("dev", "ci")}

    @contextmanager
    def open_environment(name: str) -> Iterator[Any]:
        yield opened[name]

    wanted = restore.Plan(target("latest"), "20261122-020000F", 1, 200 * 2**20, NOON, NOON, "")
    monkeypatch.setattr("ops.hosts.environment.open_environment", open_environment)
    monkeypatch.setattr(
        "ops.hosts.environment.load_environment", lambda name: environment(TWO if name == "ci" else None, name)
    )
    monkeypatch.setattr("ops.hosts.session.Session.leader", lambda self: self.manifest.hosts[0])
    monkeypatch.setattr(restore, "plan", lambda *_, **__: wanted)
    monkeypatch.setattr(clone, "check_space", lambda *_: None)
    monkeypatch.setattr(clone, "apply", lambda *_: pytest.fail("nothing may happen"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.usefixtures("both")
def test_it_shows_what_it_will_do_first() -> None:
    """Design, principle 9."""
    shown = run("--env", "ci", "clone", "--from", "dev")
    assert shown.exit_code == 2 and "no terminal to ask" in shown.stderr
    for words in ("ci: jeex_idea, ruleiq become dev's of", "masked on dev's backup host", "what is there:    dropped",
                  "left out:         ai_assistant, bacopilot, componentforge"):  # fmt: skip
        assert words in shown.stdout


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    ("kind", "drop", "keep"), [("staging", False, True), ("staging", True, False), ("ci", False, False)]
)
def test_what_is_there_is_kept_where_data_is_guarded(tmp_path: Path, kind: str, drop: bool, keep: bool) -> None:
    (tmp_path / kind).mkdir(exist_ok=True)
    into = session(tmp_path / kind, None, kind)
    assert clone.plan(session(tmp_path / "dev"), into, "latest", drop=drop).keep is keep


@pytest.mark.usefixtures("both")
def test_a_restore_into_another_environment_is_not_masked() -> None:
    """PLAT-34: the environment of --env is the source, and is asked nothing but to be read."""
    shown = run("--env", "dev", "restore", "--to", "latest", "--into", "ci")
    assert "ci: jeex_idea, ruleiq become dev's" in shown.stdout and "personal data:    as it is" in shown.stdout


@pytest.mark.usefixtures("both")
def test_what_makes_no_sense_is_refused() -> None:
    table = run("--env", "dev", "restore", "--to", "latest", "--into", "ci", "--product", "ruleiq", "--table", "users")
    assert table.exit_code == 2 and "Leave out --into" in table.stderr
    itself = run("--env", "dev", "clone", "--from", "dev", "--yes")
    assert itself.exit_code == 2 and "is both source and target" in itself.stderr
