"""What is done before Patroni starts: what is laid aside, and what a new cluster begins with."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml

from roles.postgres.parameters import dynamic_configuration
from tests.roles.targets import files, manifest_of
from tests.stand_ins import calls, run_script, stand_in


def before_patroni(tmp_path: Path) -> str:
    """The program with its paths in ``tmp_path``, and etcd, which keeps what it was asked."""
    stand_in(tmp_path, "install", "")
    stand_in(tmp_path, "curl", f'while [ "$1" != -d ]; do shift; done; echo "$2" > {tmp_path}/asked')
    declared = files("postgres")
    (tmp_path / "new-cluster.json").write_text(declared["/etc/patroni/new-cluster.json"].content)
    text = declared["/usr/local/lib/keel/before-patroni"].content
    return text.replace("/var/lib/postgresql/18", str(tmp_path)).replace("/etc/patroni", str(tmp_path))


def test_a_half_recovered_server_is_laid_aside_before_patroni_starts(tmp_path: Path) -> None:
    """Patroni would promote it wherever it stands."""
    text = before_patroni(tmp_path)
    (tmp_path / "main").mkdir()
    assert run_script(tmp_path, text).returncode == 0
    assert (tmp_path / "main").exists()
    (tmp_path / "main" / "recovery.signal").touch()
    assert run_script(tmp_path, text).returncode == 0
    assert not (tmp_path / "main").exists() and (tmp_path / "main.restoring" / "recovery.signal").exists()


@pytest.mark.parametrize("control", [True, False])
def test_what_a_restore_did_not_finish_is_laid_aside_too(tmp_path: Path, control: bool) -> None:
    """A restore writes pg_control last; an empty directory is a first start's."""
    text = before_patroni(tmp_path)
    (tmp_path / "main" / "global").mkdir(parents=True)
    if control:
        (tmp_path / "main" / "global" / "pg_control").touch()
    assert run_script(tmp_path, text).returncode == 0
    assert (tmp_path / "main").exists() is control


def test_a_new_cluster_begins_with_its_settings(tmp_path: Path) -> None:
    """PLAT-03: etcd holds them before Patroni starts, so that no server restarts for them; never over those of a cluster."""
    assert run_script(tmp_path, before_patroni(tmp_path)).returncode == 0
    asked = json.loads((tmp_path / "asked").read_text())
    (compared,), (done,) = asked["compare"], asked["success"]
    assert (text(compared["key"]), compared["target"], compared["create_revision"]) == (
        "/keel/dev/initialize",
        "CREATE",
        "0",
    )
    assert text(done["request_put"]["key"]) == "/keel/dev/config"
    assert json.loads(text(done["request_put"]["value"])) == dynamic_configuration(manifest_of("dev"))
    assert calls(tmp_path).count("curl") == 1 and "https://10.88.0.11:2379/v3/kv/txn" in calls(tmp_path)


def text(encoded: str) -> str:
    """What etcd takes as base64."""
    return base64.b64decode(encoded).decode()


def test_the_next_store_is_asked_where_one_is_away(tmp_path: Path) -> None:
    program = before_patroni(tmp_path)
    stand_in(tmp_path, "curl", 'case "$*" in *10.88.0.11*) exit 7;; esac')
    assert run_script(tmp_path, program).returncode == 0
    assert [call.split("/")[-4] for call in calls(tmp_path).splitlines() if call.startswith("curl")] == [
        "10.88.0.11:2379", "10.88.0.12:2379",
    ]  # fmt: skip


def test_patroni_does_not_start_without_a_store(tmp_path: Path) -> None:
    """It would make a cluster with PostgreSQL's own settings. systemd tries again."""
    program = before_patroni(tmp_path)
    stand_in(tmp_path, "curl", "exit 7")
    stand_in(tmp_path, "sleep", f"echo 61 > {tmp_path}/later")
    stand_in(tmp_path, "date", f"cat {tmp_path}/later 2>/dev/null || echo 0")
    done = run_script(tmp_path, program)
    assert done.returncode == 1
    assert done.stderr.startswith("etcd did not answer within 60 s (10.88.0.11:2379 10.88.0.12:2379")


def test_a_parameter_is_not_in_the_file_that_a_running_patroni_reads() -> None:
    """It would be written again, and Patroni reloaded, for what etcd alone says."""
    read = yaml.safe_load(files("postgres")["/etc/patroni/config.yml"].content)
    assert read["bootstrap"]["dcs"] == {}
    assert read["postgresql"]["parameters"].keys() == {"unix_socket_directories"}


AWAY = "etcd3.hosts.0 10.88.0.99:2379 didn't pass validation: 10.88.0.99:2379 is not reachable"


@pytest.mark.parametrize(
    ("said", "status", "valid"),
    [
        ("", 0, True),
        (AWAY, 1, True),
        (f"{AWAY}\n{AWAY}", 1, True),
        (f"{AWAY}\nttl is not an integer", 1, False),
        ("", 1, False),
    ],
)
def test_a_store_that_is_away_is_no_fault_of_the_file(tmp_path: Path, said: str, status: int, valid: bool) -> None:
    """X-23: a member of etcd that joins is in the file before it runs; what else Patroni says refuses the file, and is shown."""
    stand_in(tmp_path, "patroni", f'printf "%s" "{said}"; exit {status}')
    check = files("postgres")["/etc/patroni/config.yml"].check
    assert check
    done = run_script(tmp_path, f"#!/bin/sh\n{check.format('/run/keel/new')}\n")
    assert (done.returncode == 0) is valid
    assert ("ttl is not an integer" in done.stderr) is ("ttl" in said)
    assert "is not reachable" not in done.stderr
