"""A server restored away from the cluster: how it is restored, started, awaited, ended, and what is left of it."""

from __future__ import annotations

import io
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keel_host import processes, scratch
from keel_host.config import BackupHost
from keel_host.processes import Failed
from keel_host.programs import scratch_server as program
from keel_host.scratch import Server, scratch_server
from tests.stand_ins import calls, stand_in
from tests.unit.keel_host.hosts import backup_host


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Names of files and the accounts that they were given to, and who asked the server."""
    given: list[tuple[str, str]] = []
    monkeypatch.setattr(shutil, "chown", lambda path, account, group: given.append((Path(path).name, account)))
    monkeypatch.setattr(scratch, "apart", lambda account, work: given.append((work.func.__name__, account)))
    return given


@pytest.fixture
def host(tmp_path: Path, owners: list[tuple[str, str]]) -> BackupHost:
    """A backup host, with its volume in a folder."""
    return backup_host(tmp_path)


@pytest.fixture
def server(host: BackupHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """One in a folder, with stand-ins for pgBackRest and pg_ctl, and no time that passes."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(scratch, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: 0.0))
    stand_in(tmp_path, "pgbackrest", "echo restored")
    stand_in(tmp_path, "pg_ctl", "")
    stand_in(tmp_path, "chown", "")
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    found = Server(host, tmp_path / "own")
    found.data.mkdir(parents=True)
    return found


def of_pg_ctl(folder: Path) -> list[str]:
    """What pg_ctl was called with."""
    return [line for line in calls(folder).splitlines() if line.startswith("pg_ctl")]


def test_a_restore_is_ordered_whole(server: Server, tmp_path: Path) -> None:
    """PLAT-35: nothing of it is archived; WAL is read with a lock of its own, from every repository."""
    server.restore("--type=time", "--target=now")
    own = tmp_path / "own"
    options = (
        "--stanza=dev --config=/etc/pgbackrest/scratch.conf --pg1-path={0}/data --lock-path={0}/work --recovery-option="
        'restore_command=/usr/local/lib/keel/fetch-wal everywhere %f "%p" --config=/etc/pgbackrest/scratch.conf '
        "--pg1-path={0}/data --lock-path={0}/work --archive-mode=off --log-level-console=info --type=time --target=now restore"
    )
    assert calls(tmp_path).splitlines() == [
        f"chown --recursive --no-dereference postgres:postgres {own}/data",
        f"runuser -u postgres -- pgbackrest {options.format(own)}",
        f"pgbackrest {options.format(own)}",
    ]


def test_of_a_second_restore_only_the_difference_is_fetched(server: Server, tmp_path: Path) -> None:
    (server.data / "PG_VERSION").touch()
    server.restore()
    assert calls(tmp_path).endswith("--log-level-console=info --delta restore\n")


def test_a_server_is_awaited_until_its_recovery_has_ended(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-35: pg_ctl is content with one that recovers."""
    pid = server.data / "postmaster.pid"
    pid.write_text("1\nstarting\n")
    looks = []

    def sleep(_: float) -> None:
        looks.append(pid.read_text())
        if len(looks) == 3:
            pid.write_text("1\nready   \n")

    monkeypatch.setattr(scratch, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: 0.0))
    server.log.write_text("of a run before")
    server.recover()
    assert len(looks) == 3 and server.log.read_text() == ""
    start, *status = of_pg_ctl(tmp_path)
    folder = tmp_path / "own"
    assert start == (
        f"pg_ctl -D {folder}/data -s -w -t 60 -l {folder}/log -o -c config_file={folder}/postgresql.conf "
        f"-c hba_file={folder}/recovering.conf -c unix_socket_directories={folder}/work start"
    )
    assert status == [f"pg_ctl -D {folder}/data -s status"] * 3


@pytest.mark.parametrize(("written", "ends"), [(False, 3), (True, None)])
def test_a_recovery_that_stands_still_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, written: bool, ends: int | None
) -> None:
    """PLAT-35: a drill holds its lock no longer; one that goes on may take as long as it takes."""
    (server.data / "postmaster.pid").write_text("1\nstarting\n")
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 700.0
        if written:
            with server.log.open("a") as log:
                log.write("restored log file\n")
        if now[0] > 7000:
            (server.data / "postmaster.pid").write_text("1\nready\n")

    monkeypatch.setattr(scratch, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    if ends is None:
        server.recover()
    else:
        with pytest.raises(Failed, match="the recovery made no progress for 30 minutes"):
            server.recover()
        assert now == [ends * 700.0]


@pytest.mark.parametrize("dies", ["start|*status", "status"])
def test_a_server_that_does_not_come_up_is_given_up_with_its_last_words(
    server: Server, tmp_path: Path, dies: str
) -> None:
    """PLAT-32: at once, or on its way to the target."""
    stand_in(
        tmp_path, "pg_ctl",
        f'case "$*" in *{dies}) seq 1 30 > {server.log}; exit 3;; esac',
    )  # fmt: skip
    with pytest.raises(Failed) as failed:
        server.recover()
    expected = "\n".join(map(str, range(11, 31)))
    assert str(failed.value) == f"the restored server did not reach its target:\n{expected}"


def test_a_server_without_a_log_says_nothing(server: Server, tmp_path: Path) -> None:
    stand_in(tmp_path, "pg_ctl", "exit 1")
    with pytest.raises(Exception, match=r"did not reach its target:\n$"):
        server.recover()


def test_who_asks_meets_a_server_that_can_read_no_key(
    server: Server, tmp_path: Path, owners: list[tuple[str, str]]
) -> None:
    """W0: it recovers as postgres, with nobody admitted; then all of it is another account's, without the cluster's own
    settings, and whoever asks first does so as that account."""
    (server.data / "postmaster.pid").write_text("1\nready\n")
    settings = ("postgresql.auto.conf", "postgresql.base.conf", "pg_hba.conf", "recovery.done", "patroni.dynamic.json")
    for name in (*settings, "PG_VERSION"):
        (server.data / name).touch()
    server.start()
    assert owners == [
        ("log", "postgres"), ("work", "postgres"), ("log", "keel-scratch"), ("sockets", "keel-scratch"), ("admit", "keel-scratch"),
    ]  # fmt: skip
    assert {path.name for path in server.data.iterdir()} == {"PG_VERSION", "postmaster.pid"}
    assert server.sockets.stat().st_mode & 0o777 == server.work.stat().st_mode & 0o777 == 0o700
    done = [line for line in calls(tmp_path).splitlines() if not line.startswith("runuser")]
    assert [line.split()[-1] for line in done] == ["start", "stop", str(server.data), "start"]
    assert done[2] == f"chown --recursive --no-dereference keel-scratch:keel-scratch {server.data}"
    assert f"hba_file={server.folder}/serving.conf" in done[3]


def test_a_server_that_does_not_start_again_is_given_up(server: Server, tmp_path: Path) -> None:
    """PLAT-32."""
    (server.data / "postmaster.pid").write_text("1\nready\n")
    stand_in(tmp_path, "pg_ctl", f'case "$*" in *serving*start) echo no memory > {server.log}; exit 1;; esac')
    with pytest.raises(Failed, match="the recovered server does not start:\nno memory"):
        server.start()


def test_a_server_serves_when_it_says_so(server: Server) -> None:
    assert not server.serves()
    for text, ready in (("", False), ("1\nstandby", False), ("1\nstopping", False), ("1\nready\n", True)):
        (server.data / "postmaster.pid").write_text(text)
        assert server.serves() is ready, text


def test_a_server_is_stopped_where_one_runs(server: Server, tmp_path: Path) -> None:
    server.stop()
    assert calls(tmp_path) == ""
    (server.data / "postmaster.pid").touch()
    server.stop()
    assert calls(tmp_path).endswith("-s -w -t 3600 -m fast stop\n")
    stand_in(tmp_path, "pg_ctl", "exit 1")
    with pytest.raises(Exception, match="does not stop"):
        server.stop()


def test_a_folder_is_closed_and_goes_with_its_server(host: BackupHost, server: Server, tmp_path: Path) -> None:
    """JEEX-30: what is restored is for the server's user alone, and for a socket; nobody comes as its superuser but itself."""
    with scratch_server(host, 0) as running:
        folder = running.folder
        assert folder.stat().st_mode & 0o777 == 0o711
        assert running.data.stat().st_mode & 0o777 == running.work.stat().st_mode & 0o777 == 0o700
        settings = (folder / "postgresql.conf").read_text().splitlines()
        for line in (
            "listen_addresses = ''", "archive_mode = off", f"ident_file = '{folder}/pg_ident.conf'", "session_preload_libraries = ''",
        ):  # fmt: skip
            assert line in settings
        assert (folder / "recovering.conf").read_text() == "local all all reject\n"
        assert (folder / "serving.conf").read_text() == "local all all peer map=scratch\n"
        assert (folder / "pg_ident.conf").read_text().splitlines() == [
            "scratch keel-scratch postgres", "scratch keel-scratch keel_scratch", "scratch root keel_scratch",
            *(f"scratch root keel_scratch_{name}" for name in host.products),
        ]  # fmt: skip
        (running.data / "postmaster.pid").touch()
    assert not folder.exists()
    assert calls(tmp_path).endswith("-s -w -t 300 -m immediate stop\n")


def test_a_program_that_fails_is_quoted(
    host: BackupHost, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-32: its last twelve lines; all of them are shown as they come."""
    stand_in(tmp_path, "busy", "seq 1 20; echo last >&2; exit 7")
    with pytest.raises(Failed) as failed:
        processes.follow("busy")
    expected = "\n".join([*map(str, range(10, 21)), "last"])
    assert str(failed.value) == f"busy ended with status 7:\n{expected}"
    assert capsys.readouterr().out.splitlines() == [*map(str, range(1, 21)), "last"]
    stand_in(tmp_path, "busy", "echo well")
    assert processes.follow("busy") == "well\n"


def test_a_server_is_kept_until_its_listener_has_gone(
    host: BackupHost,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """PLAT-34: what restores one product or table reads `ready FOLDER` and closes standard input at the end."""
    monkeypatch.setattr(program, "read", lambda _: host)
    monkeypatch.setattr(program, "end_on_signals", lambda: None)
    monkeypatch.setattr(Server, "serves", lambda self: True)
    stand_in(tmp_path, "pgbackrest", "echo restored")
    kept: list[bool] = []

    class Listening(io.StringIO):
        def read(self, *_: Any) -> str:
            kept.append(any((tmp_path / "volume").glob("scratch-*")))
            return ""

    monkeypatch.setattr("sys.stdin", Listening())
    assert program.main(["0", "--type=immediate"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "restored" and said[1] == "recovery" and said[2].startswith(f"ready {tmp_path}/volume/scratch-")
    assert kept == [True] and not list((tmp_path / "volume").glob("scratch-*"))
    stand_in(tmp_path, "pgbackrest", "echo no such backup; exit 41")
    assert program.main(["0"]) == 1
    assert capsys.readouterr().out.endswith("pgbackrest ended with status 41:\nno such backup\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_in_order(host: BackupHost, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing is left behind; the exit status names the signal, as a shell's does."""
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    processes.end_on_signals()
    with pytest.raises(SystemExit) as ended:
        handlers[number](number, None)
    assert ended.value.code == 128 + number


def test_what_a_killed_run_left_goes_and_what_runs_stays(host: BackupHost) -> None:
    """A folder belongs to a run as long as that holds its lock."""
    (host.volume / "scratch-left" / "data").mkdir(parents=True)
    with scratch_server(host, 0) as first:
        assert not (host.volume / "scratch-left").exists()
        with scratch_server(host, 0) as second:
            assert first.folder.exists() and second.folder != first.folder
            assert "listen_addresses = ''" in (second.folder / "postgresql.conf").read_text()
        assert first.folder.exists() and not second.folder.exists()
    assert not list(host.volume.glob("scratch-*"))


def test_a_server_that_does_not_fit_is_not_restored(host: BackupHost) -> None:
    with pytest.raises(Failed, match="a tenth of the volume must stay free"), scratch_server(host, 2**60):
        pass
    assert not list(host.volume.glob("scratch-*"))


@pytest.mark.parametrize(("needed", "fits"), [(900, True), (901, False)])
def test_a_tenth_of_the_volume_stays_free(monkeypatch: pytest.MonkeyPatch, needed: int, fits: bool) -> None:
    """For the archive, which the primary waits for."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: (1000, 0, 1000))
    if fits:
        scratch.check_space(Path("/"), needed)
    else:
        with pytest.raises(Failed, match="a tenth of the volume must stay free"):
            scratch.check_space(Path("/"), needed)
