"""The files that a server reads: a line by hand is named and goes, and a line that is missing comes back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles import paths
from roles.order import ROLES
from roles.postgres import files
from roles.postgres.parameters import dynamic_configuration, parameters
from tests.roles.hosts import Host
from tests.roles.targets import manifest_of, target
from tests.stand_ins import calls, stand_in

HBA = ["local all postgres peer map=keel", 'hostssl all "a b" 10.0.0.1/32 scram-sha-256']
GIVEN = {
    "pg_hba": HBA,
    "pg_ident": ["keel root postgres"],
    "parameters": {"unix_socket_directories": "/run/postgresql"},
}
NAMES = [files.BY_HAND, files.BASE, files.PATRONIS, "pg_ident.conf", "pg_hba.conf"]
Found = dict[str, list[str]]


def here() -> Any:
    return target(ROLES["postgres"], "db1", manifest_of("dev"))


def found() -> Found:
    """A member as Patroni makes it."""
    data = paths.data_directory(here().manifest)
    declared = [f"{name} = '{value}'" for name, value in parameters(here().manifest).items()]
    return {
        files.BY_HAND: [],
        files.BASE: ["max_wal_size = 1GB", "datestyle = 'iso, mdy'", "port = 5433"],
        files.PATRONIS: [
            files.INCLUDES, "listen_addresses = '10.0.0.1'", "port = '5432'", *declared,
            "unix_socket_directories = '/run/postgresql'",
            f"hba_file = '{data}/pg_hba.conf'", f"ident_file = '{data}/pg_ident.conf'",
            "primary_conninfo = 'dbname=postgres user=keel_replication'", "primary_slot_name = 'db1'",
            "recovery_target_timeline = 'latest'", "synchronous_standby_names = 'db2'",
        ],
        "pg_ident.conf": ["keel root postgres"],
        "pg_hba.conf": list(HBA),
        files.STARTED: ['/usr/lib/postgresql/18/bin/postgres "-D" "/data" "--listen_addresses=10.0.0.1" "--port=5432"'],
    }  # fmt: skip


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Looks at a member with these files: each operation's commands by file and what is told, and whether a recovery's went."""

    def put(there: Found, configuration: Any = None) -> tuple[dict[tuple[str, str], list[str]], bool]:
        host = Host()
        monkeypatch.setattr(files, "perform", host.perform)
        went = files.forget_hand_made(here(), there, GIVEN, configuration or dynamic_configuration(here().manifest))
        told = {name.removeprefix("postgres: ").rstrip(")"): commands for name, commands in host.done.items()}
        return {tuple(name.split(" (", 1)): commands for name, commands in told.items()}, went  # type: ignore[misc]

    return put


def test_what_patroni_made_stays(look: Any) -> None:
    """Also what it gives one member alone, and what wins over a file: the server's command line."""
    assert look(found()) == ({(name, "current"): [] for name in NAMES}, False)


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        (files.BY_HAND, "jit = 'off'", "jit"),
        (files.BASE, "jit off", "jit"),
        (files.BASE, "include_if_exists 'more.conf'", "include_if_exists"),
        (files.PATRONIS, "Deadlock_Timeout=3s", "deadlock_timeout"),
        (files.PATRONIS, "work_mem = '9GB'", "work_mem"),
        (files.PATRONIS, "hba_file = '/tmp/pg_hba.conf'", "hba_file"),
        ("pg_hba.conf", "host all all 0.0.0.0/0 ldap ldapbindpasswd=secret", "host all all 0.0.0.0/0"),
        ("pg_ident.conf", "keel nobody postgres", "keel nobody postgres"),
    ],
)
def test_a_line_more_is_named_and_goes(look: Any, file: str, line: str, told: str) -> None:
    """PLAT-03, PLAT-41: by what it sets or admits; options, which may hold a password, are not shown."""
    there = found()
    wanted = list(there[file])
    there[file].append(line)
    done, _ = look(there)
    assert written(done[file, told], file) == wanted
    assert [name for (name, said), _ in done.items() if said != "current"] == [file]


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        (files.PATRONIS, files.INCLUDES, "without include"),
        (files.PATRONIS, "ssl = 'on'", "without ssl"),
        ("pg_hba.conf", HBA[0], "without local all postgres peer"),
    ],
)
def test_a_line_less_is_named_and_comes_back(look: Any, file: str, line: str, told: str) -> None:
    there = found()
    there[file].remove(line)
    done, _ = look(there)
    assert sorted(written(done[file, told], file)) == sorted(found()[file])
    assert written(done[file, told], file)[0] == found()[file][0]


def test_a_changed_line_is_told_once(look: Any) -> None:
    there = found()
    there[files.PATRONIS] = [line.replace("ssl = 'on'", "ssl = 'off'") for line in there[files.PATRONIS]]
    done, _ = look(there)
    assert "ssl = 'on'" in written(done[files.PATRONIS, "ssl"], files.PATRONIS)


def test_the_order_of_access_lines_counts(look: Any) -> None:
    """The first that fits decides."""
    there = found()
    there["pg_hba.conf"].reverse()
    done, _ = look(there)
    assert written(done["pg_hba.conf", "changed"], "pg_hba.conf") == HBA


@pytest.mark.parametrize("file", NAMES)
def test_a_file_that_is_gone_comes_back(look: Any, file: str) -> None:
    """Patroni would take its own file for initdb's, where that is gone."""
    there = found()
    del there[file]
    done, _ = look(there)
    wanted = {**found(), files.BASE: []}[file]
    mine = [line for line in wanted if not files.OF_THE_MEMBER.match(line) and not line.startswith(("listen_", "port"))]
    assert sorted(written(done[file, "gone"], file)) == sorted(mine)


def test_what_differs_in_etcd_is_put_right_there(look: Any) -> None:
    """Patroni wrote what it was given, and writes again once it is given something else; what nobody declared goes at once, also
    where Patroni cannot ask the server."""
    stored: Any = dynamic_configuration(here().manifest)
    stored["postgresql"]["parameters"] |= {"work_mem": "9GB", "transaction_timeout": 1}
    there = found()
    lines = ["work_mem = '9GB'" if line == "work_mem = '8MB'" else line for line in there[files.PATRONIS]]
    there[files.PATRONIS] = [*lines, "transaction_timeout = '1'"]
    done, _ = look(there, stored)
    assert sorted(written(done[files.PATRONIS, "transaction_timeout"], files.PATRONIS)) == sorted(lines)
    assert list(look(there, {})[0])[2] == (files.PATRONIS, "work_mem, transaction_timeout"), (
        "a silent Patroni keeps what is declared"
    )


def test_a_recovery_that_left_its_settings_is_told(look: Any) -> None:
    """They stay in force until a restart."""
    there = found()
    there[files.BY_HAND] = ["restore_command = 'x'", "recovery_target_name = 'before'"]
    done, went = look(there)
    assert went and done[files.BY_HAND, "restore_command, recovery_target_name"]


def written(commands: list[str], file: str) -> list[str]:
    """What the commands write, and that the server reads it then if it runs."""
    data = paths.data_directory(here().manifest)
    path, (write, reload) = f"{data}/{file}", commands
    assert write.endswith(f" | runuser -u postgres -- sh -c 'umask 077; cat >{path}.keel && mv {path}.keel {path}'")
    control = f"runuser -u postgres -- {paths.binaries(here().manifest)}/pg_ctl -D {data}"
    assert reload == f"! {control} status >/dev/null || {control} reload"
    return subprocess.check_output(["sh", "-c", write.rsplit(" | ", 1)[0]], text=True).splitlines()


def test_it_is_written_as_the_server_s_account_and_read_when_it_runs(
    look: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "data_directory", lambda _: str(tmp_path))
    monkeypatch.setattr(paths, "binaries", lambda _: str(tmp_path))
    stand_in(tmp_path, "runuser", 'shift 3; exec "$@"')
    done, _ = look({**found(), "pg_hba.conf": ["host all all all trust"]})
    path = f"{tmp_path}:/usr/bin:/bin"
    for status in (0, 3):  # it runs, it does not
        stand_in(tmp_path, "pg_ctl", f'[ "$3" = reload ] || exit {status}')
        for command in next(commands for (file, _), commands in done.items() if file == "pg_hba.conf"):
            subprocess.run(["sh", "-c", command], check=True, env={"PATH": path})
    assert (tmp_path / "pg_hba.conf").read_text().splitlines() == HBA
    assert (tmp_path / "pg_hba.conf").stat().st_mode & 0o777 == 0o600
    assert [line.split()[-1] for line in calls(tmp_path).splitlines() if line.startswith("pg_ctl")] == [
        "status",
        "reload",
        "status",
    ]


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    """Comments and empty lines say nothing; a last line without an end is one; where no cluster is, there is nothing."""
    fact = files.ServerFiles()

    def read(folder: Path) -> Found:
        return fact.process(subprocess.check_output(["sh", "-c", fact.command(str(folder))], text=True).splitlines())

    assert read(tmp_path / "none") == read(tmp_path) == fact.default() == {}
    (tmp_path / "PG_VERSION").touch()
    (tmp_path / files.BASE).write_text("# a comment\n\n   # another\n \njit = off")
    (tmp_path / "pg_hba.conf").write_text("local all all peer\n")
    assert read(tmp_path) == {files.BASE: ["jit = off"], "pg_hba.conf": ["local all all peer"]}
