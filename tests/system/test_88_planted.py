"""Objects planted by the owner of every product's database: whatever command looks, copies or restores, none runs with power (W0).

The last file of its lane: the environment is not used again.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from environment.types import Group
from ops.backup import restore_points
from ops.hosts.session import Session
from roles import paths
from tests.planted import planting
from tests.system.environments import Ephemeral, discard, prepare

POINT = "planted"
PRODUCT, PARKED = "jeex_idea", "bacopilot"
LINES = f"grep -ahF 'LOG:  {planting.MARK}'"
SERVER = f"{LINES} $(psql -U postgres -XAtc 'show log_directory')/*.log; true"
KEPT = f"{paths.REPOSITORY}/planted-logs"
KEEP = (
    f"mkdir -p {KEPT}; while read -t 0.2 _; [ $? -gt 128 ]; do find {paths.REPOSITORY} -path '*/scratch-*' -name 'log*' -type f"
    f" 2>/dev/null | while read log; do ln -f $log {KEPT}/$(stat -c %i $log) 2>/dev/null; done; done; rm -rf {KEPT}"
)
"""A scratch server's log goes with it: a second name keeps the file."""
FILES = "find /var/tmp /tmp -name 'planted-file*'"

FROM_REPOSITORY = ("ops/backup/", "keel_host/", "db/masking")
LOOKS = ("db/", "ops/products/", "ops/status/", "tests/verify/", "ops/hosts/session.py")
TO_THE_POINT = ("restore", "--to", POINT, "--product", PRODUCT, "--yes")


@pytest.fixture(scope="module")
def planted(ci: Ephemeral) -> Ephemeral:
    """With one of each kind in every product, by the migrator who became the owner."""
    with ci.session() as session:
        for database in session.manifest.products:
            with _owner(session, database) as connection:
                product = session.manifest.products[database].product
                where = planting.target(connection, product)
                planting.plant(connection, product, product.migrator_role, where)
        restore_points.create(session, PRODUCT, POINT)
    return ci


@pytest.fixture
def kept(planted: Ephemeral) -> Iterator[None]:
    """The logs of scratch servers outlive them."""
    with planted.session() as session:
        host = session.manifest.repository_host.name
        keeping = subprocess.Popen(session.ssh(host, f"bash -c {shlex.quote(KEEP)}"), stdin=subprocess.PIPE)
        yield
        keeping.communicate()


def _owner(session: Session, database: str) -> psycopg.Connection[tuple[object, ...]]:
    product = session.manifest.products[database].product
    with session.direct() as where:
        connection = psycopg.connect(session.url(product.migrator_role, database, *where))
    connection.execute(f"set role {product.owner_role}".encode())
    return connection


def _first_searched(session: Session) -> None:
    """Everything planted is found before what PostgreSQL brings: a repair may have taken that away."""
    for database in session.manifest.products:
        with _owner(session, database) as connection:
            connection.execute(f"alter database {database} set search_path = public, pg_catalog".encode())


def _powers(session: Session) -> set[tuple[object, ...]]:
    with session.superuser() as superuser, superuser.connect("postgres") as connection:
        return planting.powers(connection)


def _logs(session: Session) -> str:
    hosts = [host.name for host in session.manifest.carrying(Group.POSTGRES)]
    servers = "".join(session.run(host, SERVER) for host in hosts)
    return servers + session.run(session.manifest.repository_host.name, f"{LINES} -r {KEPT}; true")


def gained(ephemeral: Ephemeral, *commands: tuple[str, ...], scratch: bool = False) -> list[str]:
    """Run the commands, however they end; what ran of the planted objects with power, and what changed."""
    with ephemeral.session() as session:
        _first_searched(session)
        before, began = _powers(session), time.time()
        for command in commands:
            done = (
                ephemeral.up(*command[1:], check=False) if command[0] == "up" else ephemeral.keel(*command, check=False)
            )
            assert "Traceback" not in done.stderr, done.stderr[-3000:]
        ran = [each for each in planting.evaluations(_logs(session)) if each.at > began]
        found = {str(each) for each in ran if each.power or each.gains}
        found |= {f"gained: {each}" for each in _powers(session) - before}
        for host in session.manifest.hosts:
            found |= {f"{host.name}: {path}" for path in session.run(host.name, FILES).split()}
        if scratch:
            told = session.run(session.manifest.repository_host.name, f"cat {KEPT}/*")
            assert "database system is ready" in told, "no scratch server's log was seen"
    return sorted(found)


@pytest.mark.family("planted", *LOOKS)
@pytest.mark.parametrize(
    "command",
    [
        ("verify",),
        ("drift",),
        ("db", "check"),
        ("status",),
        ("db", "rollback", "ruleiq", "--how", "downgrade", "--yes"),
    ],
    ids=" ".join,
)
def test_looking_runs_nothing(planted: Ephemeral, command: tuple[str, ...]) -> None:
    """W0, PLAT-09: nobody gains an attribute, a membership, a file or another database's row."""
    assert gained(planted, command) == []


@pytest.mark.family("planted", *FROM_REPOSITORY)
@pytest.mark.parametrize("kind", ["incremental", "dumps", "known"])
def test_backups_run_nothing(planted: Ephemeral, kind: str) -> None:
    """W0: dumps and known moments read every row."""
    assert gained(planted, ("backup", "run", "--type", kind)) == []


@pytest.mark.family("planted", *FROM_REPOSITORY)
@pytest.mark.parametrize(
    "commands",
    [
        (("backup", "run", "--type", "incremental"), ("backup", "run", "--type", "known"), ("drill",)),
        ((*TO_THE_POINT, "--table", "planted"),),
        (TO_THE_POINT,),
    ],
    ids=["drill", "table", "product"],
)
def test_scratch_servers_run_nothing(planted: Ephemeral, kept: None, commands: tuple[tuple[str, ...], ...]) -> None:
    """W0: neither beside the repository nor where the copy comes back to."""
    assert gained(planted, *commands, scratch=True) == []


@pytest.mark.family("planted", *FROM_REPOSITORY)
@pytest.mark.parametrize("masked", [True])
def test_a_clone_runs_nothing(planted: Ephemeral, kept: None, masked: bool) -> None:
    """W0: masking changes rows, and the target loads a dump of what the source's owner wrote."""
    target = prepare("ci")
    target.config["keel:products"] = {PRODUCT: target.config["keel:products"][PRODUCT]}
    target.save()
    try:
        target.up()
        own = planted.project / "stacks" / f"Pulumi.{planted.name}.yaml"
        (target.project / "stacks" / own.name).write_text(own.read_text())
        with target.session() as there:
            before, began = _powers(there), time.time()
            done = target.keel(
                "clone", "--from", planted.name, "--yes", *([] if masked else ["--unmasked"]), check=False
            )
            assert "Traceback" not in done.stderr, done.stderr[-3000:]
            with planted.session() as session:
                ran = planting.evaluations(_logs(session) + _logs(there))
            assert _powers(there) - before == set()
        assert [str(each) for each in ran if each.at > began and (each.power or each.gains)] == []
    finally:
        discard(target)


@pytest.mark.family("planted", *LOOKS)
@pytest.mark.parametrize("refresh", [("up", "--refresh")])
def test_repairing_runs_nothing(planted: Ephemeral, refresh: tuple[str, ...]) -> None:
    """W0: `up` sees the drift, repairs what is its own, and fails at the rest."""
    assert gained(planted, refresh, ("verify",)) == []


@pytest.mark.family("planted", "ops/products/retire.py")
@pytest.mark.parametrize("product", [PARKED])
def test_retiring_runs_nothing(planted: Ephemeral, product: str, tmp_path: Path) -> None:
    """W0: the last dump counts every row."""
    del planted.config["keel:products"][product]
    planted.save()
    retire = ("db", "retire", product, "--yes", "--dump", str(tmp_path / "last.dump"))
    assert gained(planted, ("up",), retire) == []
