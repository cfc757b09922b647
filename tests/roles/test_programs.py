"""Keel's own programs as the roles put them on hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from environment.load import ROOT
from environment.types import Group
from keel_host.accounts import RECEIVER, SCRATCH
from keel_host.config import BackupHost, Edge, LoginHost, Member
from roles import paths
from roles.order import ROLES, of_stage
from roles.programs import role
from roles.programs.role import LAUNCHED
from tests.roles.hosts import Host
from tests.roles.targets import files, manifest_of, target

HOSTS = {"db1": Group.POSTGRES, "ops1": Group.BACKUP, "edge1": Group.EDGE}
"""Hosts of `dev`, and what each is."""
SETTINGS = {"db1": Member.FILE, "ops1": BackupHost.FILE, "edge1": LoginHost.FILE}
"""What each host's programs read."""


def installed(folder: Path, host: str) -> Path:
    """What the role puts below /usr/local/lib/keel, put below ``folder``."""
    for path, file in files("programs", host=host).items():
        there = folder / Path(path).relative_to(paths.LIBRARY)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(file.content)
        there.chmod(int(file.mode, 8))
    return folder


def test_the_whole_package_is_copied_as_it_is() -> None:
    """The host runs what the checkout's tests ran."""
    copied = {path: file for path, file in files("programs").items() if path.startswith(f"{paths.LIBRARY}/keel_host/")}
    source = {path for kind in ("*.py", "*.sql") for path in (ROOT / "keel_host").rglob(kind)}
    assert {path: file.content for path, file in copied.items()} == {
        f"{paths.LIBRARY}/{path.relative_to(ROOT)}": path.read_text() for path in source
    }
    assert {file.mode for file in copied.values()} == {"644"}


def test_every_program_is_started_by_a_file_of_its_name() -> None:
    modules = {path.stem for path in (ROOT / "keel_host" / "programs").glob("[!_]*.py")}
    launched = {name.replace("-", "_") for names in LAUNCHED.values() for name in names}
    assert launched == modules
    for name in launched:
        assert callable(import_module(f"keel_host.programs.{name}").main)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_starts_its_own_programs_alone(host: str) -> None:
    found = {path for path, file in files("programs", host=host).items() if file.mode == "755"}
    assert found == {f"{paths.LIBRARY}/{name}" for name in LAUNCHED[HOSTS[host]]}


@pytest.mark.parametrize(
    ("host", "program"), [(host, name) for host, group in HOSTS.items() for name in LAUNCHED[group]]
)
def test_a_program_needs_nothing_but_what_lies_beside_it(tmp_path: Path, host: str, program: str) -> None:
    """As cron, a timer or Patroni starts it, by itself and from any folder: without settings it says which file it lacks, and
    leaves no compiled file behind. A module in the working directory is not taken."""
    library = installed(tmp_path / "library", host)
    for name in ("json.py", "keel_host.py"):
        (tmp_path / name).write_text("raise RuntimeError('this is not the one')")
    started = [sys.executable, "-IB", str(library / program), "--datadir=/nowhere"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(started, capture_output=True, text=True, cwd=tmp_path, env=environment)
    lacks = f"{Edge.FILE if program in ('hold-writes', 'run-pooler') else SETTINGS[host]} cannot be read"
    if program == "recorded-patroni":  # the settings that it hands on are Patroni's
        lacks = "No module named 'patroni'"
    assert done.returncode == 1 and lacks in done.stdout + done.stderr
    assert not list(library.rglob("__pycache__"))


def test_a_process_that_imports_a_program_does_not_run_it(tmp_path: Path) -> None:
    """Patroni starts PostgreSQL from such a process: it would start a second Patroni instead."""
    library = installed(tmp_path / "library", "db1")
    imports = f"import runpy; runpy.run_path({str(library / 'recorded-patroni')!r}, run_name='__mp_main__')"
    assert subprocess.run([sys.executable, "-IBc", imports], capture_output=True, text=True).returncode == 0


def test_the_first_line_keeps_the_environment_out() -> None:
    """The launcher is a script: its first line says how Python begins."""
    assert files("programs")[f"{paths.LIBRARY}/bootstrap"].content.startswith("#!/usr/bin/python3 -IB\n")


def test_settings_hold_what_a_hosts_own_programs_need() -> None:
    """JEEX-30: of backups and schedule a database host learns nothing, of products how long a transaction may take; no secret is in either."""
    member, backup = (
        json.loads(files(role)[str(kind.FILE)].content) for role, kind in (("postgres", Member), ("jobs", BackupHost))
    )
    assert member.keys() == {
        "stanza", "binaries", "fetch_wal", "locale", "recovery_order", "restoring", "replica_from_repository_above",
        "sockets", "ends_sessions", "bounds", "processors",
    }  # fmt: skip
    assert "passfile=" in backup["server"] and "password" not in json.dumps(backup | {"products": None})


def test_they_are_there_before_patroni_and_the_timer_start_them() -> None:
    """PLAT-36: the bootstrap method asks the repository, whatever else is there."""
    assert [role.name for role in of_stage("store")].index("programs") < [
        role.name for role in of_stage("store")
    ].index("pgbackrest")


@pytest.mark.parametrize(
    ("section", "change", "written"),
    [
        ("repository", {"retention_days": 14}, {BackupHost.FILE}),
        ("repository", {"archive_limit": 512}, {BackupHost.FILE}),
        ("repository", {"processes": 3}, {BackupHost.FILE}),
        ("postgres", {"replica_from_repository_above": 7}, {Member.FILE}),
        ("postgres", {"locale": "C"}, {Member.FILE}),
    ],
)
def test_a_setting_changes_data_and_no_program(section: str, change: dict[str, Any], written: set[Path]) -> None:
    """Of everything that is Keel's own on a host, one file."""
    manifest = manifest_of("dev")
    changed = {section: getattr(manifest, section).model_copy(update=change)}

    def found(**sections: Any) -> dict[str, str]:
        declared = (files(role, host=host, **sections) for role, host in OWNERS.items())
        return {path: file.content for each in declared for path, file in each.items()}

    before, after = found(), found(**changed)
    assert {Path(path) for path in before if before[path] != after[path]} == written


OWNERS = {"programs": "ops1", "jobs": "ops1", "postgres": "db1"}
"""Roles with programs or their settings, and a host of each."""


@pytest.mark.parametrize(("host", "known", "made"), [("ops1", False, 1), ("ops1", True, 0), ("db1", False, None)])
def test_a_backup_host_has_accounts_that_own_nothing_else(
    monkeypatch: pytest.MonkeyPatch, host: str, known: bool, made: int | None
) -> None:
    """W0: with a group of its own and no way to log in; made once."""
    there = Host(Account=known)
    monkeypatch.setattr(role, "host", there)
    monkeypatch.setattr(role, "perform", there.perform)
    ROLES["programs"].activate(target(ROLES["programs"], host, manifest_of("dev")), frozenset())
    commands = there.done.get(f"programs: account {SCRATCH}")
    assert (None if commands is None else len(commands)) == made
    assert there.done.keys() == (
        {f"programs: account {each}" for each in (SCRATCH, RECEIVER)} if host == "ops1" else set()
    )
    for command in commands or ():
        assert command.startswith("useradd --system --user-group") and "/usr/sbin/nologin" in command


def test_an_account_is_known_by_its_line() -> None:
    assert role.Account().command(account="me") == "getent passwd me || true"
    assert role.Account().process(["me:x:1:1::/:/bin/false"]) and not role.Account().process([])
