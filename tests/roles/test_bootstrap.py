"""How Patroni makes a cluster, and what is laid aside before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.roles.programs import calls, run, stand_in
from tests.roles.targets import files


@pytest.fixture
def bootstrap(tmp_path: Path) -> str:
    """The bootstrap method, its order and its server's programs in ``tmp_path``."""
    stand_in(tmp_path, "initdb", "")
    text = files("postgres")["/usr/local/lib/keel/bootstrap"].content
    return text.replace("/run/postgresql", str(tmp_path)).replace("/usr/lib/postgresql/18/bin", str(tmp_path))


def answer(tmp_path: Path, code: int, message: str) -> None:
    """pgBackRest answers with this status."""
    said = json.dumps([{"name": "dev", "status": {"code": code, "message": message}}])
    stand_in(tmp_path, "pgbackrest", f"echo '{said}'")


def test_a_cluster_is_made_where_the_repository_holds_none(tmp_path: Path, bootstrap: str) -> None:
    """PLAT-02."""
    answer(tmp_path, 1, "missing stanza path")
    assert run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main").returncode == 0
    assert f"initdb -D {tmp_path}/main" in calls(tmp_path) and "--data-checksums" in calls(tmp_path)


@pytest.mark.parametrize(
    ("code", "message"), [(0, "ok"), (2, "no valid backups"), (3, "missing stanza data"), (99, "other")]
)
def test_no_empty_cluster_is_made_over_a_repository(tmp_path: Path, bootstrap: str, code: int, message: str) -> None:
    """PLAT-36: whoever started it."""
    answer(tmp_path, code, message)
    done = run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main")
    assert done.returncode == 1
    assert "initdb" not in calls(tmp_path)
    assert message in done.stderr and "keel:recovery" in done.stderr and "Nothing was changed" in done.stderr


def test_no_cluster_is_made_while_the_repository_does_not_answer(tmp_path: Path, bootstrap: str) -> None:
    """PLAT-36: not to know is not to be sure."""
    stand_in(tmp_path, "pgbackrest", "echo no route to host >&2; exit 49")
    done = run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main")
    assert done.returncode == 1 and "no route to host" in done.stderr
    assert "initdb" not in calls(tmp_path)


def test_an_ordered_recovery_is_carried_out_on_what_was_there(tmp_path: Path, bootstrap: str) -> None:
    """PLAT-34: what an interrupted recovery fetched is not fetched again."""
    stand_in(tmp_path, "pgbackrest", "")
    order = {"token": "t", "options": ["--type=time", "--target=2026-11-22 08:00:00+00"]}
    (tmp_path / "keel-recovery.json").write_text(json.dumps(order))
    (tmp_path / "main.restoring").mkdir()
    (tmp_path / "main.restoring" / "kept").touch()
    assert run(tmp_path, bootstrap, "--scope=dev", f"--datadir={tmp_path}/main").returncode == 0
    assert (tmp_path / "main" / "kept").exists()
    (called,) = calls(tmp_path).splitlines()
    assert "--delta" in called and "--target=2026-11-22 08:00:00+00" in called and called.endswith("restore")
    assert "restore_command=/usr/local/lib/keel/fetch-wal everywhere %f" in called and "--repo" not in called


def test_a_half_recovered_server_is_laid_aside_before_patroni_starts(tmp_path: Path) -> None:
    """Patroni would promote it wherever it stands."""
    stand_in(tmp_path, "install", "")
    text = files("postgres")["/usr/local/lib/keel/before-patroni"].content.replace(
        "/var/lib/postgresql/18", str(tmp_path)
    )
    (tmp_path / "main").mkdir()
    assert run(tmp_path, text).returncode == 0
    assert (tmp_path / "main").exists()
    (tmp_path / "main" / "recovery.signal").touch()
    assert run(tmp_path, text).returncode == 0
    assert not (tmp_path / "main").exists() and (tmp_path / "main.restoring" / "recovery.signal").exists()


@pytest.mark.parametrize("control", [True, False])
def test_what_a_restore_did_not_finish_is_laid_aside_too(tmp_path: Path, control: bool) -> None:
    """A restore writes pg_control last; an empty directory is a first start's."""
    stand_in(tmp_path, "install", "")
    text = files("postgres")["/usr/local/lib/keel/before-patroni"].content.replace(
        "/var/lib/postgresql/18", str(tmp_path)
    )
    (tmp_path / "main" / "global").mkdir(parents=True)
    if control:
        (tmp_path / "main" / "global" / "pg_control").touch()
    assert run(tmp_path, text).returncode == 0
    assert (tmp_path / "main").exists() is control
