"""An environment by its name: where its roots come from, and what is said where they cannot be had."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from environment.derive import PUBLISHED_ROOTS, RefusedRoots
from ops.hosts import environment
from tests.unit.cli_fakes import program, project, stack_file

ENCRYPTED = {name: {"secure": "v1:not-for-anyone"} for name in PUBLISHED_ROOTS}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with no stack yet, and nothing but its own programs on PATH."""
    project(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.defpath}")
    return tmp_path


def test_dev_takes_the_published_roots_without_asking_pulumi(folder: Path) -> None:
    stack_file(folder, "dev", {})
    program(folder / "bin", "pulumi", "exit 1")
    assert environment.load_environment("dev").roots.access == PUBLISHED_ROOTS["access"]


def test_encrypted_roots_are_decrypted_by_pulumi(folder: Path) -> None:
    """PLAT-47: staging has secrets of its own."""
    stack_file(folder, "staging", ENCRYPTED)
    answer = {f"keel:{name}": {"value": f"{name}-" + 40 * "x", "secret": True} for name in PUBLISHED_ROOTS}
    (folder / "answer").write_text(json.dumps({**answer, "keel:hosts": {"value": "{}", "secret": False}}))
    program(folder / "bin", "pulumi", f'echo "$*" > {folder}/arguments; cat {folder}/answer')
    roots = environment.load_environment("staging").roots
    assert roots.access == "access-" + 40 * "x"
    assert "config --show-secrets --json" in (folder / "arguments").read_text()
    assert "-s staging" in (folder / "arguments").read_text()


def test_a_wrong_passphrase_is_told_with_what_to_do(folder: Path) -> None:
    stack_file(folder, "staging", ENCRYPTED)
    program(folder / "bin", "pulumi", "echo 'error: incorrect passphrase' >&2; exit 255")
    with pytest.raises(environment.SecretsUnavailable, match=r"incorrect passphrase\. Set PULUMI_CONFIG_PASSPHRASE"):
        environment.load_environment("staging")


def test_an_environment_may_have_a_passphrase_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone opens two environments at once; Pulumi's variable holds one."""
    stack_file(folder, "staging", ENCRYPTED)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "production's")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_STAGING", "staging's")
    program(folder / "bin", "pulumi", 'echo "with $PULUMI_CONFIG_PASSPHRASE" >&2; exit 255')
    with pytest.raises(environment.SecretsUnavailable, match="with staging's"):
        environment.load_environment("staging")


def test_no_pulumi_is_told_with_what_to_do(folder: Path) -> None:
    stack_file(folder, "staging", ENCRYPTED)
    with pytest.raises(environment.SecretsUnavailable, match="tools/setup"):
        environment.load_environment("staging")


def test_staging_without_secrets_is_refused(folder: Path) -> None:
    """PLAT-47: the published roots are for dev and ci."""
    stack_file(folder, "staging", {})
    with pytest.raises(RefusedRoots, match="keel:access is not set"):
        environment.load_environment("staging")


def test_settings_need_no_secret(folder: Path) -> None:
    stack_file(folder, "staging", ENCRYPTED)
    assert environment.load_settings("staging").postgres.replicas == 2


def test_a_host_that_listens_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment with one host left can still be looked at; each may take three seconds."""
    asked: list[Any] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:
        asked.append((address[1], timeout))
        if address[1] != 2221:
            raise OSError
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(socket, "create_connection", connect)
    with environment.open_environment("dev") as opened:
        assert opened.manifest.identity.name == "dev"
    assert sorted(asked) == [(port, 3.0) for port in (2201, 2202, 2211, 2221)]


def test_an_unknown_environment_is_told_with_those_there_are(folder: Path) -> None:
    for name in ("staging", "ci"):
        stack_file(folder, name, {})
    with pytest.raises(environment.UnknownEnvironment, match=r"no environment 'dev' in .*; there are ci, staging$"):
        environment.load_settings("dev")


def test_only_secrets_are_taken_from_what_is_decrypted(folder: Path) -> None:
    """The settings are those of the file; a dash in the name is an underscore in its variable."""
    answer = {"keel:access": {"value": "x"}, "keel:hosts": {"value": "{}"}}
    program(folder / "bin", "pulumi", f"echo '{json.dumps(answer)}'; [ $PULUMI_CONFIG_PASSPHRASE = own ]")
    with pytest.raises(environment.SecretsUnavailable, match=r"PULUMI_CONFIG_PASSPHRASE_NEW_STAGING$"):
        environment._decrypted("new-staging")
    program(folder / "bin", "pulumi", f"echo '{json.dumps(answer)}'")
    assert environment._decrypted("new-staging") == {"keel:access": "x"}
