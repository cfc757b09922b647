"""A server restored away from the cluster: how it is restored, started, awaited, ended, and what is left of it."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.roles.programs import calls, stand_in
from tests.roles.test_drill import isolated, library

__all__ = ["isolated", "library"]


@pytest.fixture
def server(isolated: Any, library: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One in a folder, with stand-ins for pgBackRest and pg_ctl, and no time that passes."""
    monkeypatch.setenv("PATH", f"{library}:/usr/bin:/bin")
    monkeypatch.setattr(isolated, "BIN", str(library))
    monkeypatch.setattr(isolated, "time", SimpleNamespace(sleep=lambda _: None))
    stand_in(library, "pgbackrest", "echo restored")
    stand_in(library, "pg_ctl", "")
    found = isolated.Server(library / "own")
    found.data.mkdir(parents=True)
    return found


def test_a_restore_is_ordered_whole(server: Any, library: Path) -> None:
    """PLAT-35: nothing of it is archived; WAL is read with a lock of its own, from every repository."""
    server.restore("--type=time", "--target=now")
    own = library / "own"
    options = (
        "--config=/etc/pgbackrest/isolated.conf --stanza=dev --pg1-path={0}/data --lock-path={0} --recovery-option="
        'restore_command=/usr/local/lib/keel/fetch-wal everywhere %f "%p" --config=/etc/pgbackrest/isolated.conf '
        "--pg1-path={0}/data --lock-path={0} --archive-mode=off --log-level-console=info --type=time --target=now restore"
    )
    assert calls(library) == f"pgbackrest {options.format(own)}\n"


def test_of_a_second_restore_only_the_difference_is_fetched(server: Any, library: Path) -> None:
    (server.data / "PG_VERSION").touch()
    server.restore()
    assert calls(library).endswith("--log-level-console=info --delta restore\n")


def test_a_server_is_awaited_until_its_recovery_has_ended(server: Any, isolated: Any, library: Path) -> None:
    """PLAT-35: pg_ctl is content with one that recovers."""
    pid = server.data / "postmaster.pid"
    pid.write_text("1\nstarting\n")
    looks = []

    def sleep(_: float) -> None:
        looks.append(pid.read_text())
        if len(looks) == 3:
            pid.write_text("1\nready   \n")

    isolated.time.sleep = sleep
    server.log.write_text("of a run before")
    server.start()
    assert len(looks) == 3 and not server.log.exists()
    start, *status = calls(library).splitlines()
    folder = library / "own"
    assert start == (
        f"pg_ctl -D {folder}/data -s -w -t 86400 -l {folder}/log -o -c config_file={folder}/postgresql.conf start"
    )
    assert status == [f"pg_ctl -D {folder}/data -s status"] * 3


@pytest.mark.parametrize("dies", ["start", "status"])
def test_a_server_that_does_not_come_up_is_given_up_with_its_last_words(server: Any, library: Path, dies: str) -> None:
    """PLAT-32: at once, or on its way to the target."""
    stand_in(
        library, "pg_ctl",
        f'case "$*" in *{dies}) seq 1 30 > {server.log}; exit 3;; esac',
    )  # fmt: skip
    module = type(server).__init__.__globals__
    with pytest.raises(module["Failed"]) as failed:
        server.start()
    expected = "\n".join(map(str, range(11, 31)))
    assert str(failed.value) == f"the restored server did not come to its target:\n{expected}"


def test_a_server_without_a_log_says_nothing(server: Any, library: Path) -> None:
    stand_in(library, "pg_ctl", "exit 1")
    with pytest.raises(Exception, match=r"did not come to its target:\n$"):
        server.start()


def test_a_server_serves_when_it_says_so(server: Any) -> None:
    assert not server.serves()
    for text, ready in (("", False), ("1\nstandby", False), ("1\nstopping", False), ("1\nready\n", True)):
        (server.data / "postmaster.pid").write_text(text)
        assert server.serves() is ready, text


def test_a_server_is_stopped_where_one_runs(server: Any, library: Path) -> None:
    server.stop()
    assert calls(library) == ""
    (server.data / "postmaster.pid").touch()
    server.stop()
    assert calls(library).endswith("-s -w -t 3600 -m fast stop\n")
    stand_in(library, "pg_ctl", "exit 1")
    with pytest.raises(Exception, match="does not stop"):
        server.stop()


def test_a_folder_is_closed_and_goes_with_its_server(isolated: Any, server: Any, library: Path) -> None:
    """JEEX-30: what is restored is for the server's user alone, and for a socket."""
    with isolated.isolated(0) as running:
        folder = running.folder
        assert folder.stat().st_mode & 0o777 == running.data.stat().st_mode & 0o777 == 0o700
        settings = (folder / "postgresql.conf").read_text().splitlines()
        for line in (
            "listen_addresses = ''", "archive_mode = off", f"unix_socket_directories = '{folder}'", f"hba_file = '{folder}/pg_hba.conf'",
        ):  # fmt: skip
            assert line in settings
        assert (folder / "pg_hba.conf").read_text() == "local all postgres trust\n"
        assert (folder / "pg_ident.conf").read_text() == ""
        (running.data / "postmaster.pid").touch()
    assert not folder.exists()
    assert calls(library).endswith("-s -w -t 300 -m immediate stop\n")


def test_a_program_that_fails_is_quoted(
    isolated: Any, server: Any, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-32: its last twelve lines; all of them are shown as they come."""
    stand_in(library, "busy", "seq 1 20; echo last >&2; exit 7")
    with pytest.raises(isolated.Failed) as failed:
        isolated.run("busy")
    expected = "\n".join([*map(str, range(10, 21)), "last"])
    assert str(failed.value) == f"busy ended with status 7:\n{expected}"
    assert capsys.readouterr().out.splitlines() == [*map(str, range(1, 21)), "last"]
    stand_in(library, "busy", "echo well")
    assert isolated.run("busy") == "well\n"


def test_a_server_is_kept_until_its_listener_has_gone(
    isolated: Any, server: Any, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLAT-34: what restores one product or table reads `ready FOLDER` and closes standard input at the end."""
    monkeypatch.setattr(isolated, "tidy_when_ended", lambda: None)
    monkeypatch.setattr(isolated.Server, "serves", lambda self: True)
    kept: list[bool] = []

    class Listening(io.StringIO):
        def read(self, *_: Any) -> str:
            kept.append(any((library / "volume").glob("isolated-*")))
            return ""

    monkeypatch.setattr("sys.stdin", Listening())
    assert isolated.main(0, ["--type=immediate"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "restored" and said[1] == "recovery" and said[2].startswith(f"ready {library}/volume/isolated-")
    assert kept == [True] and not list((library / "volume").glob("isolated-*"))
    stand_in(library, "pgbackrest", "echo no such backup; exit 41")
    assert isolated.main(0, []) == 1
    assert capsys.readouterr().out.endswith("pgbackrest ended with status 41:\nno such backup\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_in_order(isolated: Any, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing is left behind; the exit status names the signal, as a shell's does."""
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(isolated.signal, "signal", handlers.__setitem__)
    isolated.tidy_when_ended()
    with pytest.raises(SystemExit) as ended:
        handlers[number](number, None)
    assert ended.value.code == 128 + number
