"""Retiring a product on a real server: refused, dumped, proven, dropped, and run again after an interruption."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from db import provision
from environment.products import Product
from ops.hosts.session import Session, Superuser
from ops.products import retire
from tests.db.fixtures import only
from tests.db.test_provision import HEAD
from tests.db.test_removal import LATER, PARKED, with_later
from tests.runbooks import commands
from tools.scratch_server import SUPERUSER_PASSWORD, Server

product = only("jeex_idea")
RUNBOOK = {"NAME": "later", "DUMP": "/pg/dump", "LIST": "/pg/list"}
BACK = [each for each in commands("restore.md", "From a logical dump", **RUNBOOK) if "later_test" not in each]
pytestmark = pytest.mark.usefixtures("at_head", "catalogued")


@pytest.fixture
def catalogued(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product belongs to the checkout."""
    listed = {entry.name: entry for entry in (*HEAD.products, LATER)}
    monkeypatch.setattr(retire, "catalogue", lambda: listed)


@pytest.fixture
def session(server: Server) -> Session:
    """A session whose only host is the server's container."""
    access = f"export PGHOST=/pg PGPASSWORD={SUPERUSER_PASSWORD}; "
    manifest = SimpleNamespace(
        identity=SimpleNamespace(name="test"),
        products={entry.name: None for entry in HEAD.products},
        release=SimpleNamespace(postgres=18),
        ports=SimpleNamespace(postgres=5432),
    )

    def ssh(_host: str, command: str) -> list[str]:
        return ["docker", "exec", "-i", "-u", "root", server.container, "sh", "-c", access + command]

    faked: Any = SimpleNamespace(manifest=manifest, ssh=ssh, leader=lambda: SimpleNamespace(name="db1"))
    return cast(Session, faked)


@pytest.fixture
def superuser(server: Server) -> Superuser:
    """The server's."""
    faked: Any = SimpleNamespace(connect=server.superuser, look=server.look)
    return cast(Superuser, faked)


@pytest.fixture
def parked(server: Server) -> Iterator[Product]:
    """A parked product with rows behind row-level security; gone after the test."""
    provision.apply(server.superuser, provision.plan(server.superuser, server.look, with_later()))
    server.execute(
        'CREATE TABLE "%s {x}\nline" AS SELECT 1 AS id; ALTER TABLE "%s {x}\nline" OWNER TO later_owner;'
        "CREATE TABLE secret AS SELECT generate_series(1, 1000) AS id; ALTER TABLE secret OWNER TO later_owner;"
        " ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        " SET ROLE later_owner; CREATE TABLE alembic.alembic_version AS SELECT '007' AS version_num",
        "later",
    )
    provision.apply(server.superuser, provision.plan(server.superuser, server.look, PARKED))
    yield LATER
    server.execute("DROP DATABASE IF EXISTS later WITH (FORCE)")
    provision.apply(server.superuser, provision.plan(server.superuser, server.look, HEAD), prune=True)


def of_later(server: Server) -> tuple[list[Any], list[Any]]:
    """Its database and its roles."""
    return (
        server.execute("SELECT datname FROM pg_database WHERE datname = 'later'"),
        server.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^later'"),
    )


def test_a_product_of_the_stack_is_refused(session: Session, superuser: Superuser) -> None:
    """PLAT-05: first it leaves the stack file."""
    with pytest.raises(retire.NotRetirable, match=r"Remove it from stacks/Pulumi.test.yaml, run `make up ENV=test`"):
        retire.retirable(session, superuser, "jeex_idea")


@pytest.mark.parametrize(("name", "why"), [("nope", "no product of this checkout"), ("later", "nothing to retire")])
def test_what_is_not_there_is_refused(session: Session, superuser: Superuser, name: str, why: str) -> None:
    """The sentence says what there is."""
    with pytest.raises(retire.NotRetirable, match=why):
        retire.retirable(session, superuser, name)


def test_a_product_whose_programs_log_in_is_refused(
    server: Server, session: Session, superuser: Superuser, parked: Product
) -> None:
    """Rows that they write after the dump would be lost."""
    server.execute("ALTER ROLE later_user LOGIN")
    with pytest.raises(retire.NotRetirable, match="later_user can still log in"):
        retire.retirable(session, superuser, "later")


def test_dump_and_drop(server: Server, session: Session, superuser: Superuser, parked: Product, tmp_path: Path) -> None:
    """PLAT-05, PLAT-15: every row is in the dump, past row-level security; then nothing of the product is left."""
    target = tmp_path / "last.dump"
    assert retire.retirable(session, superuser, "later") == (parked, True)
    record = retire.dump(session, superuser, parked, target, lambda _: None)
    assert of_later(server)[0], "a dump drops nothing"
    written = json.loads((tmp_path / "last.dump.json").read_text())
    assert written == record.model_dump()
    assert written["rows"] == {"alembic.alembic_version": 1, "public.secret": 1000, "public.%s {x}\nline": 1}
    assert (written["revision"], written["bytes"]) == ("007", target.stat().st_size)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "last.dump": 0o600,
        "last.dump.json": 0o600,
    }
    assert retire.drop(session, superuser, parked, lambda _: None) == []
    assert of_later(server) == ([], [])
    assert provision.plan(server.superuser, server.look, PARKED) == []


def test_a_retired_product_comes_back(
    server: Server, session: Session, superuser: Superuser, parked: Product, tmp_path: Path
) -> None:
    """PLAT-05, W0: as the runbook says: made anew by the model, then the dump into it, by no superuser; roles and rights are the
    model's."""
    target = tmp_path / "last.dump"
    retire.dump(session, superuser, parked, target, lambda _: None)
    retire.drop(session, superuser, parked, lambda _: None)
    provision.apply(server.superuser, provision.plan(server.superuser, server.look, with_later()))
    subprocess.run(session.ssh("db1", "cat > /pg/dump"), input=target.read_bytes(), check=True)
    for command in BACK:
        done = subprocess.run(session.ssh("db1", command), capture_output=True)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    assert server.execute("SELECT count(*) FROM secret", "later") == [(1000,)]
    assert provision.plan(server.superuser, server.look, with_later()) == []


def test_a_database_that_is_gone_leaves_its_roles_to_the_next_run(
    server: Server, session: Session, superuser: Superuser, parked: Product
) -> None:
    """Interrupted between database and roles: it goes on there, without a dump."""
    server.execute("DROP DATABASE later")
    assert retire.retirable(session, superuser, "later") == (parked, False)
    assert retire.drop(session, superuser, parked, lambda _: None) == []
    assert of_later(server) == ([], [])


def test_a_role_that_owns_something_elsewhere_is_left(
    server: Server, session: Session, superuser: Superuser, parked: Product
) -> None:
    """Another product's data does not go with it."""
    server.execute("CREATE TABLE auth.theirs (); ALTER TABLE auth.theirs OWNER TO later_user", "jeex_idea")
    try:
        (left,) = retire.drop(session, superuser, parked, lambda _: None)
        assert "owns table auth.theirs" in left and "REASSIGN OWNED BY" in left
    finally:
        server.execute("DROP TABLE auth.theirs", "jeex_idea")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("{command} | head -c -100", "pg_restore on db1 ended with status"),
        ("{command} --exclude-table-data=secret", "lacks public.secret"),
        ("{command} --no-such-option", "pg_dump on db1 ended with status 1"),
    ],
)
def test_a_dump_that_is_not_whole_is_no_dump(
    server: Server, session: Session, superuser: Superuser, parked: Product, tmp_path: Path, broken: str, why: str
) -> None:
    """It leaves no file that could be taken for one, and everything can be run again."""
    whole = session.ssh

    def ssh(host: str, command: str) -> list[str]:
        return whole(host, broken.format(command=command) if "pg_dump" in command else command)

    worse: Any = SimpleNamespace(manifest=session.manifest, ssh=ssh, leader=session.leader)
    with pytest.raises(retire.DumpFailed, match=why):
        retire.dump(worse, superuser, parked, tmp_path / "last.dump", lambda _: None)
    assert list(tmp_path.iterdir()) == []
    assert of_later(server)[0]


def test_an_older_dump_is_not_overwritten(
    session: Session, superuser: Superuser, parked: Product, tmp_path: Path
) -> None:
    """It may be the only one."""
    target = tmp_path / "last.dump"
    target.write_text("precious")
    with pytest.raises(retire.DumpFailed, match="exists and is left as it is"):
        retire.dump(session, superuser, parked, target, lambda _: None)
    assert target.read_text() == "precious"


def test_a_folder_that_is_not_there_is_told(
    session: Session, superuser: Superuser, parked: Product, tmp_path: Path
) -> None:
    """With what to do."""
    shutil.rmtree(tmp_path)
    with pytest.raises(retire.DumpFailed, match=r"cannot be written: .*No such file"):
        retire.dump(session, superuser, parked, tmp_path / "last.dump", lambda _: None)
