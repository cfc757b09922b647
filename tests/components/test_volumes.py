"""Volumes that are gone are noticed before Pulumi is asked to do anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.volumes import DataLost, refuse_lost_data
from tests.unit.cli_fakes import environment, program

REPOSITORY, DATA = "keel-dev-ops1-pgbackrest", "keel-dev-db2-postgresql"
ORDER = {"recovery.token": "first"}


def machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, volumes: str, *, image: str = "abc", acted: str = ""
) -> Path:
    """A docker command that has these volumes and images; the backup volume remembers the token ``acted``."""
    asked = folder / "asked"
    path = program(
        folder / "bin",
        "docker",
        f'case "$1" in volume) echo {volumes} ;; image) echo {image} ;; '
        f'run) echo "$@" >> {asked}; case "$*" in *{REPOSITORY}:/repository:ro*/repository/recoveries/{acted}) ;; *) exit 1 ;; esac ;; esac',
    )
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return asked


def test_a_loss_is_refused_with_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-36."""
    machine(tmp_path, monkeypatch, REPOSITORY)
    with pytest.raises(DataLost, match=r"Nothing was changed\. To bring .*\n.*token first-rebuild -s dev"):
        refuse_lost_data(environment().manifest)


def test_an_order_that_has_not_acted_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = machine(tmp_path, monkeypatch, REPOSITORY, acted="another")
    refuse_lost_data(environment(ORDER).manifest)
    assert asked.read_text()


def test_an_order_that_acted_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-36: with the order still in the stack file a second loss is refused before empty volumes are made."""
    machine(tmp_path, monkeypatch, REPOSITORY, acted="first")
    with pytest.raises(DataLost, match=r"'first' has brought them back once already: .*\n.*token a-new-token"):
        refuse_lost_data(environment(ORDER).manifest)


def test_a_machine_without_an_image_leaves_the_order_to_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched to look with."""
    asked = machine(tmp_path, monkeypatch, REPOSITORY, image="", acted="first")
    refuse_lost_data(environment(ORDER).manifest)
    assert not asked.exists()


@pytest.mark.parametrize("volumes", ["", DATA, f"{REPOSITORY} {DATA}"])
def test_nothing_is_lost_where_data_or_no_repository_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volumes: str
) -> None:
    machine(tmp_path, monkeypatch, volumes, acted="first")
    refuse_lost_data(environment(ORDER).manifest)
    refuse_lost_data(environment().manifest)
