"""What is laid aside before Patroni starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from roles import paths
from roles.order import ROLES
from tests.roles.targets import manifest_of, target
from tests.stand_ins import run_script, stand_in


def before_patroni(tmp_path: Path) -> int:
    """Exit status of the script, with the data directory in ``tmp_path``."""
    stand_in(tmp_path, "install", "")
    role = ROLES["postgres"]
    at = target(role, "db1", manifest_of("dev"))
    script = role.render("before-patroni", at, data=tmp_path / "main", restoring=paths.RESTORING)
    return run_script(tmp_path, script).returncode


def test_a_half_recovered_server_is_laid_aside_before_patroni_starts(tmp_path: Path) -> None:
    """Patroni would promote it wherever it stands."""
    (tmp_path / "main").mkdir()
    assert before_patroni(tmp_path) == 0
    assert (tmp_path / "main").exists()
    (tmp_path / "main" / "recovery.signal").touch()
    assert before_patroni(tmp_path) == 0
    assert not (tmp_path / "main").exists() and (tmp_path / "main.restoring" / "recovery.signal").exists()


@pytest.mark.parametrize("control", [True, False])
def test_what_a_restore_did_not_finish_is_laid_aside_too(tmp_path: Path, control: bool) -> None:
    """A restore writes pg_control last; an empty directory is a first start's."""
    (tmp_path / "main" / "global").mkdir(parents=True)
    if control:
        (tmp_path / "main" / "global" / "pg_control").touch()
    assert before_patroni(tmp_path) == 0
    assert (tmp_path / "main").exists() is control
