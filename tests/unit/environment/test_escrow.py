"""The sheet of roots, and the commands that write, check and restore it (JEEX-30). tests/test_escrow.py has them with Pulumi."""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from environment import escrow
from environment.derive import Roots
from environment.escrow import SheetRefused, seal, unseal
from environment.load import ROOT
from ops.cli.app import app
from tests.unit.cli_fakes import program

ROOTS = Roots("staging", *(f"{name} root of the tests, 32 characters and more" for name in ("access", "pki", "backup")))
PASSPHRASE = "kept in another place"
KEPT = """{
  "environment": "staging", "made": "2026-11-28T04:00:00+00:00",
  "salt": "DYYqav1FMrUkT41miNU/Gg==", "nonce": "gtDbW77fzrSsswy8",
  "roots": "Q4TYEpPX5jm5qVSbUDu6XJvxSV+uNhFswXSbYo7l5MVa+h4XnIGHD7PRt1In1c3T4D4JRhus9giJtXzSY12tG3Kxoo1kkgLoMamijh1akPDHIFhOhOGdDZTwFdS5rivaY+fNTf4EFIhZ8mdRaY3O+M3Wac9n5g/kUnyfYFTIfTO3Qmdpr7wV9xvJ9C+Jkeu+Y9s59WDJyeIXZIzrs1HjWxAqvRAoIJq0AOhQZg3JVKaKGr0f6AZJSLSw1QTW1D6WW3sgBw=="
}"""
"""A sheet that was written on 2026-11-28."""


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of scrypt are not what a test is about."""
    monkeypatch.setattr(escrow, "COST", 2**4)


def test_a_sheet_of_the_past_opens() -> None:
    """It lies in a safe for years: neither its form nor what a guess costs may change."""
    assert escrow.COST == 2**17
    assert unseal(KEPT, "staging", PASSPHRASE) == ROOTS


@pytest.mark.usefixtures("cheap")
def test_what_is_sealed_comes_back() -> None:
    """The sheet says whose it is and since when, and shows no root."""
    sheet = seal(ROOTS, PASSPHRASE)
    assert unseal(sheet, "staging", PASSPHRASE) == ROOTS
    assert not [secret for secret in (ROOTS.access, ROOTS.pki, ROOTS.backup) if secret[:8] in sheet]
    held = json.loads(sheet)
    assert held.keys() == json.loads(KEPT).keys() and held["environment"] == "staging"
    assert abs(datetime.fromisoformat(held["made"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert [len(b64decode(held[name])) for name in ("salt", "nonce")] == [16, 12]


@pytest.mark.usefixtures("cheap")
def test_two_sheets_of_the_same_roots_differ() -> None:
    """Salt and nonce are new each time."""
    one, other = (json.loads(seal(ROOTS, PASSPHRASE)) for _ in range(2))
    assert not [name for name in ("salt", "nonce", "roots") if one[name] == other[name]]


def _changed(sheet: str) -> str:
    held = json.loads(sheet)
    held["roots"] = ("A" if held["roots"][0] != "A" else "B") + held["roots"][1:]
    return json.dumps(held)


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    ("change", "environment", "passphrase", "words"),
    [
        (str, "staging", "something else entirely", "does not open"),
        (str, "production", PASSPHRASE, "of the environment staging, not of production"),
        (lambda sheet: sheet.replace('"staging"', '"production"'), "production", PASSPHRASE, "does not open"),
        (_changed, "staging", PASSPHRASE, "does not open"),
        (lambda sheet: sheet.replace('"salt": "', '"salt": "-'), "staging", PASSPHRASE, "no sheet"),
        (lambda _: "{}", "staging", PASSPHRASE, "no sheet"),
        (lambda _: "[]", "staging", PASSPHRASE, "no sheet"),
        (lambda _: "scribble", "staging", PASSPHRASE, "no sheet"),
    ],
)
def test_any_other_is_refused(change: Callable[[str], str], environment: str, passphrase: str, words: str) -> None:
    """Wrong passphrase, another environment's, one whose owner or content was changed, and what is no sheet."""
    with pytest.raises(SheetRefused, match=words):
        unseal(change(seal(ROOTS, PASSPHRASE)), environment, passphrase)


@pytest.mark.usefixtures("cheap")
def test_a_short_passphrase_is_refused() -> None:
    """It would be guessed."""
    with pytest.raises(SheetRefused, match="has 11 characters; at least 12"):
        seal(ROOTS, "eleven char")
    assert seal(ROOTS, "twelve chars")


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap: None) -> Path:
    """Where a sheet may be written. The project is staging, its roots encrypted; `pulumi` keeps secrets as files in `config`."""
    stacks, kept = tmp_path / "stacks", tmp_path / "config"
    stacks.mkdir()
    kept.mkdir()
    written = yaml.safe_load((ROOT / "stacks/Pulumi.staging.yaml").read_text())
    for name in ("access", "pki", "backup"):
        written["config"][f"keel:{name}"] = {"secure": "what Pulumi made of it"}
        (kept / f"keel:{name}").write_text(getattr(ROOTS, name))
    (stacks / "Pulumi.staging.yaml").write_text(yaml.safe_dump(written))
    found = program(
        tmp_path / "bin",
        "pulumi",
        f'cd {kept} || exit 1; case "$*" in\n'
        '"config set --secret keel:"*" -s staging --non-interactive") cat > "$4"; echo "what Pulumi says" ;;\n'
        '"config --show-secrets --json --non-interactive -s staging")\n'
        '  printf "{"; comma=; for key in keel:*; do printf "%s\\"%s\\": {\\"value\\": \\"%s\\"}" "$comma" "$key" "$(cat "$key")"; comma=,; done\n'
        '  echo "}" ;;\n'
        "*) exit 1 ;; esac",
    )
    monkeypatch.setenv("PATH", f"{found.parent}:/usr/bin:/bin")
    monkeypatch.setenv("ENV", "staging")
    for module in ("ops.hosts.environment", "environment.load"):
        monkeypatch.setattr(f"{module}.STACKS", stacks)
        monkeypatch.setattr(f"{module}.PROJECT", tmp_path)
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\nnot a part of it\n")
    return tmp_path / "sheet.json"


def keel(command: str, sheet: Path, *arguments: str) -> Result:
    """`./keel -e staging escrow COMMAND SHEET` with the passphrase from a file."""
    given = ("--passphrase-file", str(sheet.parent / "passphrase"))
    return CliRunner().invoke(app, ["--env", "staging", "escrow", command, str(sheet), *given, *arguments])


def root(sheet: Path, name: str) -> Path:
    """Where the stack has a root."""
    return sheet.parent / "config" / f"keel:{name}"


def test_a_sheet_is_written_once_for_its_owner_alone(sheet: Path) -> None:
    done = keel("write", sheet)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert unseal(sheet.read_text(), "staging", PASSPHRASE) == ROOTS
    before = sheet.read_text()
    again = keel("write", sheet)
    assert again.exit_code == 2 and "exists and may be the only copy" in again.stderr
    assert sheet.read_text() == before


@pytest.mark.parametrize("other", ["access", "pki", "backup"])
def test_a_check_names_the_roots_that_are_others(sheet: Path, other: str) -> None:
    sheet.write_text(seal(ROOTS, PASSPHRASE))
    same = keel("check", sheet)
    assert same.exit_code == 0 and "all three" in same.stdout
    root(sheet, other).write_text("c" * 40)
    told = keel("check", sheet)
    assert told.exit_code == 3 and f"other than the stack's: {other}. Write" in told.stdout.replace("\n", " ")


def test_roots_come_back_from_the_sheet(sheet: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Asked for, and printed by neither; what Pulumi says is shown where it fails."""
    sheet.write_text(seal(ROOTS, PASSPHRASE))
    for name in ("access", "pki", "backup"):
        root(sheet, name).write_text("lost")
    unasked = keel("restore", sheet)
    assert unasked.exit_code == 2 and "no terminal to ask" in unasked.stderr
    assert root(sheet, "access").read_text() == "lost"
    done = keel("restore", sheet, "--yes")
    assert done.exit_code == 0, done.output
    assert [root(sheet, name).read_text() for name in ("access", "pki", "backup")] == [
        ROOTS.access, ROOTS.pki, ROOTS.backup
    ]  # fmt: skip
    assert not [secret for secret in (ROOTS.access, ROOTS.pki, ROOTS.backup) if secret in done.output]
    assert "what Pulumi says" not in "".join(capfd.readouterr())


def test_a_new_passphrase_is_asked_for_twice_and_a_known_one_once(sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was mistyped would seal the roots for ever."""
    monkeypatch.setattr("ops.cli.escrow.terminal", lambda: True)

    def asked(command: str, *typed: str) -> Result:
        arguments = ["--env", "staging", "escrow", command, str(sheet)]
        return CliRunner().invoke(app, arguments, input="".join(f"{line}\n" for line in typed))

    assert asked("write", PASSPHRASE, "mistyped", "", "").exit_code == 1 and not sheet.exists()
    assert asked("write", PASSPHRASE, PASSPHRASE).exit_code == 0
    assert asked("check", PASSPHRASE).exit_code == 0


def test_a_sheet_that_does_not_open_changes_nothing(sheet: Path) -> None:
    sheet.write_text(seal(replace(ROOTS, environment="production"), PASSPHRASE))
    for command in ("check", "restore"):
        told = keel(command, sheet, *(("--yes",) if command == "restore" else ()))
        assert told.exit_code == 2 and "of the environment production, not of staging" in told.stderr.replace("\n", " ")
    assert root(sheet, "access").read_text() == ROOTS.access
