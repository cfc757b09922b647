"""The settings files of the hosts' programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keel_host import config
from keel_host.config import BackupHost, Member
from keel_host.processes import Failed
from tests.unit.keel_host.hosts import backup_host, member


@pytest.mark.parametrize("make", [backup_host, member])
def test_what_a_role_writes_is_what_a_program_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """Every name and type, of both kinds of host."""
    host = make(tmp_path)
    file = tmp_path / "host.json"
    monkeypatch.setattr(type(host), "FILE", file)
    file.write_text(config.text(host))
    assert config.read(type(host)) == host


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"retention_days": None}, "BackupHost.retention_days is None, not of type int"),
        ({"retention_days": True}, "BackupHost.retention_days is True, not of type int"),
        ({"schedule": {"full": 2}}, "BackupHost.schedule.full is 2, not of type str"),
        ({"products": {"ruleiq": {"head": "012"}}}, "BackupHost.products.ruleiq has no extensions"),
    ],
)
def test_settings_of_another_form_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    """PLAT-32: before anything is done, and with what to do."""
    file = tmp_path / "host.json"
    monkeypatch.setattr(BackupHost, "FILE", file)
    file.write_text(json.dumps(json.loads(config.text(backup_host(tmp_path))) | change))
    with pytest.raises(Failed, match=rf"^{file} cannot be read: {words}\. Nothing was done; `make up` writes it$"):
        config.read(BackupHost)


def test_a_newer_writer_may_know_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and settings come to a host one after the other."""
    file = tmp_path / "host.json"
    monkeypatch.setattr(Member, "FILE", file)
    file.write_text(json.dumps(json.loads(config.text(member(tmp_path))) | {"of_tomorrow": 1}))
    assert config.read(Member) == member(tmp_path)


def test_a_host_without_settings_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Member, "FILE", tmp_path / "host.json")
    with pytest.raises(Failed, match=r"host.json cannot be read: .*No such file"):
        config.read(Member)
