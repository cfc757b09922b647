"""One look at a host: what its answer says."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from roles.kit import operations
from roles.kit.declare import Unit
from roles.kit.observe import HostState, ObserveHost, PathState, Present, UnitState
from tests.roles.hosts import commands

RECORDED = """\
=====keel packages
installed etcd-server 3.5.30-1
config-files nginx 1.28.0-2
installed patroni 4.1.5-1
=====keel stat
directory|755|root|root|/etc/keel
regular file|640|postgres|postgres|/etc/pgbouncer/userlist.txt
regular file|644|root|root|/etc/keel/a name|with a bar
symbolic link|777|root|root|/etc/keel/link
=====keel sha256
6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72  /etc/pgbouncer/userlist.txt
\\2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  /etc/keel/a name|with a bar
=====keel units
Id=patroni.service
ActiveState=active
UnitFileState=enabled
DropInPaths=/etc/systemd/system/patroni.service.d/keel.conf /etc/systemd/system/patroni.service.d/sandbox.conf

Id=etcd.service
ActiveState=inactive
UnitFileState=disabled

Id=nothing.service
ActiveState=inactive
UnitFileState=
=====keel cert /etc/keel/tls/etcd
-----BEGIN CERTIFICATE-----
MIIB
-----END CERTIFICATE-----
=====keel key /etc/keel/tls/etcd
-----BEGIN PUBLIC KEY-----
MFkw
-----END PUBLIC KEY-----
=====keel cert /etc/keel/tls/none
=====keel key /etc/keel/tls/none
""".splitlines()


def test_recorded_answers_are_read() -> None:
    state = ObserveHost().process(RECORDED)
    assert state.packages == {"etcd-server": "3.5.30-1", "patroni": "4.1.5-1"}, "a removed package is not installed"
    assert state.paths["/etc/keel"] == PathState("directory", "755", "root", "root", "")
    userlist = state.paths["/etc/pgbouncer/userlist.txt"]
    assert userlist[:4] == ("regular file", "640", "postgres", "postgres")
    assert userlist.sha256.startswith("6ae8")
    assert state.paths["/etc/keel/a name|with a bar"].sha256.startswith("2c26")
    assert state.paths["/etc/keel/link"].kind == "symbolic link"
    assert state.units["patroni.service"][:2] == ("active", "enabled")
    assert [Path(path).name for path in state.units["patroni.service"].dropins] == ["keel.conf", "sandbox.conf"]
    assert state.units["etcd.service"] == UnitState("inactive", "disabled")
    assert state.units["nothing.service"] == UnitState("inactive", "")
    assert set(state.certificates) == set(state.keys) == {"/etc/keel/tls/etcd"}
    assert state.certificates["/etc/keel/tls/etcd"].startswith("-----BEGIN CERTIFICATE-----\nMIIB\n")


def test_an_empty_answer_is_an_empty_host() -> None:
    assert ObserveHost().process([]) == HostState()


def test_a_warning_before_the_answer_is_not_read_as_one() -> None:
    assert ObserveHost().process(["mesg: ttyname failed", *RECORDED]) == ObserveHost().process(RECORDED)


def look(*paths: Path) -> HostState:
    """The command, carried out on this machine."""
    command = ObserveHost().command(paths=[str(path) for path in paths], units=(), certificates=())
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    return ObserveHost().process(done.stdout.splitlines())


def test_the_command_answers_what_is_read(tmp_path: Path) -> None:
    """Quoting, a missing path between two that exist, and the digest that an operation compares with."""
    there, odd = tmp_path / "there", tmp_path / "it's $HOME; `odd`"
    there.write_text("content\n")
    there.chmod(0o640)
    odd.write_text("")
    state = look(there, tmp_path / "missing", odd, tmp_path)
    assert set(state.paths) == {str(there), str(odd), str(tmp_path)}
    assert state.paths[str(there)].mode == "640"
    assert state.paths[str(there)].sha256 == hashlib.sha256(b"content\n").hexdigest()
    assert state.paths[str(tmp_path)][::4] == ("directory", "")


def test_the_files_that_a_service_reads_are_found(tmp_path: Path) -> None:
    """Links too; no folder, no file of another name, none that was put aside; a folder that is not there has none."""
    folder = tmp_path / "it's"
    folder.mkdir()
    for name in ("b.conf", "a.conf", "a.conf.aside", "another"):
        (folder / name).touch()
    (folder / "c.conf").symlink_to("nowhere")
    (folder / "d.conf").mkdir()
    read = [(str(folder), "*.conf*"), (str(tmp_path / "missing"), "*.conf")]
    command = ObserveHost().command(paths=(), units=(), certificates=(), read=read)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert ObserveHost().process(done.stdout.splitlines()).read == {
        str(folder): tuple(f"{folder}/{name}.conf" for name in "abc"),
        str(tmp_path / "missing"): (),
    }


def test_nothing_to_look_at_is_no_error() -> None:
    assert look().paths == {}


def test_a_file_is_there_or_not(tmp_path: Path) -> None:
    """By the command, carried out here; a host that answers nothing has none."""
    (tmp_path / "there").touch()
    for name, there in (("there", True), ("missing", False)):
        done = subprocess.run(
            ["sh", "-c", Present().command(f"{tmp_path}/{name}")], capture_output=True, text=True, check=True
        )
        assert Present().process(done.stdout.splitlines()) is there
    assert Present.default() is False


def test_a_stamp_tells_what_a_unit_has_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stamp, or one of other contents, is stale; the stamp that a restart writes is not; a certificate counts."""
    monkeypatch.setattr("roles.kit.observe.STAMPS", str(tmp_path / "stamps"))
    monkeypatch.setattr("roles.kit.operations.STAMPS", str(tmp_path / "stamps"))
    (tmp_path / "config").write_text("a")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "cert.pem").write_text("b")
    unit = Unit("x.service", restart=(str(tmp_path / "config"), str(tmp_path / "tls")))

    def stale() -> set[tuple[str, str]]:
        command = ObserveHost().command(paths=(), units=(), certificates=(), triggers=unit.triggers)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        return ObserveHost().process(done.stdout.splitlines()).stale

    assert stale() == {("x.service", "restart")}
    forget, _, remember = commands(operations.unit_restarted, unit)
    subprocess.run(["sh", "-c", remember], check=True)
    assert stale() == set()
    subprocess.run(["sh", "-c", forget], check=True)
    assert stale() == {("x.service", "restart")}, (
        "a restart that was interrupted is made again, whatever the files are then"
    )
    subprocess.run(["sh", "-c", remember], check=True)
    (tmp_path / "tls" / "cert.pem").write_text("c")
    assert stale() == {("x.service", "restart")}
