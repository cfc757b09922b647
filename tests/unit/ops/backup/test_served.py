"""When database hosts reach the second repository through the backup host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from environment.settings import Repository, SecondRepository
from keel_host import pgbackrest
from ops.backup import repository
from ops.backup.served import hide_second, serve_second
from ops.steps import bootstrap_gate
from tests.unit.hosts import Hosts, hosts

BOTH = Repository(second=SecondRepository(endpoint="s3.example.com", bucket="backups"))
SHOW = "install -o postgres -g postgres -m 640 /etc/pgbackrest/scratch.conf /run/keel-served.conf"
HIDE = "rm -f /run/keel-served.conf"


def keeping(folder: Path, settings: Repository) -> Hosts:
    """Hosts with these repositories; the backup host shows and hides."""
    session = hosts(folder)
    session.says["ops1", "keel-served.conf"] = ""
    return replace(session, manifest=session.manifest.model_copy(update={"repository": settings}))


@pytest.mark.parametrize(("settings", "done"), [(BOTH, [("ops1", SHOW), ("ops1", HIDE)]), (Repository(), [])])
def test_it_is_shown_and_hidden_on_the_backup_host(
    tmp_path: Path, settings: Repository, done: list[tuple[str, str]]
) -> None:
    """W5: where there is one."""
    session = keeping(tmp_path, settings)
    serve_second(session)
    hide_second(session)
    assert [(ran.host, ran.command) for ran in session.ran] == done


@pytest.mark.parametrize(("data", "shown"), [("", True), ("yes\n", False)])
def test_it_is_shown_for_a_new_cluster_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, shown: bool
) -> None:
    """W5, PLAT-36: whoever makes the cluster asks every repository whether it holds one."""
    session = keeping(tmp_path, BOTH)
    session.says.update({("db1", "pg_control"): data, ("db2", "pg_control"): ""})
    empty = pgbackrest.stanza({"name": "dev", "status": {"code": 1, "message": "missing stanza path"}})
    monkeypatch.setattr(repository, "stanza", lambda _: empty)
    bootstrap_gate.apply(session, {}, pytest.fail)
    assert (("ops1", SHOW) in [(ran.host, ran.command) for ran in session.ran]) is shown
