"""`keel psql`: who connects where, and where the password is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from environment.manifest import HostEntry
from environment.types import Group
from ops.cli.app import app
from ops.hosts.session import Session
from ops.products.psql import Role, Route, WrongWay, route
from tests.unit.cli_fakes import opened, program, session

RECORDER = """
printf '%s\\n' "$@" > {record}/arguments
env > {record}/environment
stat -c %a "$PGSERVICEFILE" > {record}/mode
cat "$PGSERVICEFILE" > {record}/service
exit 3
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Dev's model, and a psql that writes down how it was called."""
    monkeypatch.setenv("ENV", "dev")
    (tmp_path / "session").mkdir()
    made = session(tmp_path / "session")
    opened(monkeypatch, made)
    program(tmp_path / "bin", "psql", RECORDER.format(record=shlex.quote(str(tmp_path))))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return made


def _psql(*options: str) -> Result:
    return CliRunner().invoke(app, ["psql", "jeex_idea", *options, "--", "-Atc", "select 1"])


def _service(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "service").read_text().splitlines()[1:])


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("options", "user", "port", "database"),
    [
        ((), "jeex_user", "6432", "jeex_idea"),
        (("--role", "readonly"), "jeex_idea_readonly", "6432", "jeex_idea"),
        (("--role", "readonly", "--replica"), "jeex_idea_readonly", "6432", "jeex_idea_ro"),
        (("--role", "migrator"), "jeex_idea_migrator", "5220", "jeex_idea"),
        (("--role", "admin"), "keel_admin", "5220", "jeex_idea"),
        (("--role", "app", "--direct"), "jeex_user", "5220", "jeex_idea"),
    ],
)
def test_each_role_goes_its_way(tmp_path: Path, options: tuple[str, ...], user: str, port: str, database: str) -> None:
    """PLAT-21: migrations go to the primary past the pooler, the application through it."""
    assert _psql(*options).exit_code == 3, "psql's exit status is the command's"
    found = _service(tmp_path)
    assert (found["user"], found["port"], found["dbname"]) == (user, port, database)
    assert found["sslmode"] == "verify-full"


def test_the_password_is_in_a_private_file_and_nowhere_else(tmp_path: Path, fake: Session) -> None:
    result = _psql()
    password = fake.roots.password("jeex_user")
    assert _service(tmp_path)["password"] == password
    assert (tmp_path / "mode").read_text().strip() == "600"
    assert (tmp_path / "arguments").read_text().splitlines() == ["service=keel", "-Atc", "select 1"]
    assert password not in (tmp_path / "environment").read_text()
    assert password not in result.output


def test_where_the_controller_is_no_client_the_way_is_a_tunnel(
    tmp_path: Path, fake: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-41: staging's pooler admits the applications' networks; JEEX-33: others come through SSH."""
    ways: list[tuple[str, int]] = []

    @contextmanager
    def tunnel(_session: Session, host: HostEntry, remote: int) -> Iterator[int]:
        ways.append((host.name, remote))
        yield 5555

    monkeypatch.setattr(Session, "tunnel", tunnel)
    opened(monkeypatch, session(tmp_path / "session", stack="staging"))
    for options in ((), ("--direct",)):
        _psql(*options)
        found = _service(tmp_path)
        assert (found["host"], found["port"]) == ("127.0.0.1", "5555")
    assert ways == [("edge1", 6432), ("edge1", 5000)]


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ((), {"host": "10.88.0.21", "port": "6432", "dbname": "jeex_idea"}),
        (("--role", "readonly", "--replica"), {"host": "10.88.0.21", "port": "6432", "dbname": "jeex_idea_ro"}),
        (
            ("--role", "admin"),
            {"host": "primary.dev", "hostaddr": "10.88.0.21", "port": "5000", "dbname": "jeex_idea"},
        ),
    ],
)
def test_without_psql_here_it_runs_on_a_host_and_leaves_nothing_there(
    tmp_path: Path, fake: Session, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], endpoint: dict[str, str]
) -> None:
    """Arguments arrive as they were typed, through a shell there; the password comes on standard input."""
    (tmp_path / "bin").rename(tmp_path / "there")
    program(
        tmp_path / "bin", "ssh",
        f"""echo "$@" >> {tmp_path}/ssh; for last; do :; done; PATH={tmp_path}/there:/usr/bin:/bin exec sh -c "$last" """,
    )  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    typed = ["-c", "select 'a  b', \"$HOME\"; -- it's"]
    result = CliRunner().invoke(app, ["psql", "jeex_idea", *options, "--", *typed])
    assert result.exit_code == 3, "psql's exit status is the command's"
    assert (tmp_path / "arguments").read_text().splitlines() == ["service=keel", *typed]
    found, variables = (
        _service(tmp_path),
        dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line),
    )
    assert {name: found[name] for name in endpoint} == endpoint
    assert ("hostaddr" in found) == ("hostaddr" in endpoint)
    assert (found["password"], found["sslrootcert"]) == (fake.roots.password(found["user"]), "/etc/keel/ca.crt")
    assert (tmp_path / "mode").read_text().strip() == "600"
    commands = (tmp_path / "ssh").read_text()
    assert all(" edge1 " in line for line in commands.splitlines()) and " -t " not in commands
    assert found["password"] not in commands
    folder = Path(variables["PGSERVICEFILE"]).parent
    assert folder.parent == Path("/dev/shm") and not folder.exists()


def test_of_several_edges_the_first_is_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Session) -> None:
    """From a host as from here."""
    there = session(tmp_path / "session", stack="production")
    endpoints: list[str] = []

    def run(*_: object, given: str = "") -> str:
        endpoints.append(given)
        return "/dev/shm/folder"

    monkeypatch.setattr(Session, "run", run)
    monkeypatch.setattr("ops.products.psql._foreground", lambda *_: 0)
    opened(monkeypatch, there)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _psql().exit_code == 0
    first, *others = there.manifest.carrying(Group.EDGE)
    assert others and f"host={first.address}\n" in endpoints[1]


@pytest.mark.parametrize("way", [Route.POOLED, Route.REPLICA])
def test_the_migrator_is_not_sent_to_the_pooler_that_would_refuse_it(way: Route) -> None:
    """PLAT-19: roles that see all rows do not pass the pooler."""
    with pytest.raises(WrongWay, match="--direct"):
        route(Role.MIGRATOR, [way])


def test_two_ways_at_once_are_refused() -> None:
    with pytest.raises(WrongWay, match="choose one"):
        route(Role.APP, [Route.DIRECT, Route.POOLED])
