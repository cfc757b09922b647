"""The step `migration` on a real server: restore point, held revision, release gate, admission."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from components.platform import _of_product
from db import migrate, release
from environment.manifest import Manifest
from environment.products import Product
from environment.program import load
from ops.backup.repository import RepositoryFailed
from ops.hosts.session import Session
from ops.steps import migration
from tests.db.fixtures import only
from tests.unit.stacks import ROOTS, config
from tools.scratch_server import Server

product = only("jeex_idea")


@dataclass(frozen=True)
class Direct:
    """A session whose primary is the scratch server."""

    server: Server
    manifest: Manifest
    written: list[str] = field(default_factory=list)
    """What the backup host was told."""
    backup: str = "true"
    """Shell that stands for a backup on it."""

    def run(self, host: str, command: str) -> str:
        """A short command on a host."""
        self.written.append(command)
        return ""

    def ssh(self, host: str, command: str) -> list[str]:
        """A long one, as the argv that runs it."""
        self.written.append(command)
        return ["sh", "-c", self.backup]

    @contextmanager
    def direct(self) -> Iterator[tuple[str, int]]:
        """Where the primary listens."""
        yield "127.0.0.1", self.server.port

    def url(self, role: str, database: str, address: str, port: int) -> str:
        """The migrator's URL."""
        return self.server.url(self.manifest.products[database].product)

    @contextmanager
    def superuser(self) -> Iterator["Direct"]:
        """Sessions as superuser."""
        yield self

    def connect(self, database: str) -> Any:
        """One of them."""
        return self.server.superuser(database)


def session(server: Server, product: Product, stack: str = "dev", held: str | None = None) -> Direct:
    """An environment with this product, held or not; of its manifest what a migration is given, and no other section."""
    manifest = load(stack, config(stack) | ROOTS).manifest
    entry = manifest.products[product.name]
    limits = entry.limits.model_copy(update={"revision": held})
    held_entry = entry.model_copy(update={"product": product, "limits": limits})
    whole = manifest.model_copy(update={"products": {product.name: held_entry}})
    return Direct(server, Manifest.from_slice(_of_product(whole, product.name)))


def apply(direct: Direct, product: Product) -> list[str]:
    """Run the step; what it told."""
    told: list[str] = []
    migration.apply(cast(Session, direct), {"product": product.name}, told.append)
    return told


def admitted(server: Server, product: Product) -> bool:
    """Whether the application may log in."""
    ((login,),) = server.execute(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{product.app_role}'")
    return bool(login)


def test_at_head_the_application_is_admitted(server: Server, product: Product, empty: str) -> None:
    """PLAT-28: not before; a restore point is named once, and no second run sets another."""
    assert not admitted(server, product)
    direct = session(server, product)
    first = apply(direct, product)
    assert any(line.startswith(f"{product.name}: restore point {product.name}-empty-") for line in first)
    assert admitted(server, product)
    assert not any("restore point" in line for line in apply(direct, product))
    assert migration.observe(cast(Session, direct), {"product": product.name}) == []


def test_the_restore_point_is_in_the_wal(server: Server, product: Product, empty: str) -> None:
    """JEEX-24: the name that is told is the one that a recovery would find."""
    (line,) = (line for line in apply(session(server, product), product) if "restore point" in line)
    name = line.rpartition(" ")[2]
    assert len(name) < 64
    assert f'restore point "{name}" created' in server.log()


def test_the_restore_point_is_written_down_in_the_repository(server: Server, product: Product, empty: str) -> None:
    """PLAT-34: a recovery to it must know which backup is older."""
    direct = session(server, product)
    (line,) = (line for line in apply(direct, product) if "restore point" in line)
    (entry,) = direct.written
    assert line.rpartition(" ")[2] in entry and "restore-points.jsonl" in entry


def test_where_data_is_guarded_a_backup_comes_first(server: Server, product: Product, empty: str) -> None:
    """JEEX-24: in staging and production, and where the stack file asks for it."""
    direct = session(server, product, "staging")
    apply(direct, product)
    assert "job --follow incremental" in direct.written[0] and "restore-points" in direct.written[1]


def test_a_failed_backup_stops_the_migration(server: Server, product: Product, empty: str) -> None:
    """JEEX-24."""
    direct = replace(session(server, product, "staging"), backup="echo no space left; exit 82")
    with pytest.raises(RepositoryFailed, match="no space left"):
        apply(direct, product)
    with server.superuser(product.name) as connection:
        assert connection.execute("select to_regclass('alembic.alembic_version')").fetchone() == (None,)


def test_held_it_stays_behind_and_closed(server: Server, product: Product, empty: str) -> None:
    """RIQ-26, PLAT-28: up to the held revision and no further; then on to head when it is let go."""
    apply(session(server, product, held="002"), product)
    assert migrate.current(product, empty) == "002_agent_executions_exports"
    assert not admitted(server, product)
    apply(session(server, product), product)
    assert migrate.current(product, empty) == migrate.head(product)
    assert admitted(server, product)


def test_the_pools_are_renewed_when_a_revision_was_applied(server: Server, product: Product, empty: str) -> None:
    """PLAT-23: what clients prepared before has another form now; not at the first migration, nor where nothing changed."""
    direct = session(server, product, held="002")
    apply(direct, product)
    apply(direct, product)
    assert not any("RECONNECT" in command for command in direct.written)
    changed = session(server, product)
    apply(changed, product)
    orders = [command for command in changed.written if "RECONNECT" in command]
    for order, pool in zip(orders, (product.name, f"{product.name}_ro"), strict=True):
        assert f"-c 'RECONNECT {pool}'" in order
    apply(again := session(server, product), product)
    assert again.written == []


def test_a_failing_one_names_the_restore_point(server: Server, product: Product, empty: str) -> None:
    """JEEX-25: product, revision, the database's words, and the moment to come back to."""
    server.execute("CREATE TABLE exports ()", product.name)
    with pytest.raises(migrate.MigrationError) as caught:
        apply(session(server, product), product)
    for part in (f"{product.name}: revision 002", 'relation "exports" already exists', "Restore point before this"):
        assert part in str(caught.value)
    assert not admitted(server, product)


def test_production_is_refused_while_a_name_is_truncated(server: Server, product: Product, empty: str) -> None:
    """RIQ-26: the gate stands before admission, where data is guarded; in dev the same database is let through."""
    cut = product.model_copy(update={"renamed": {"users": {"name": "full_name"}}})
    with pytest.raises(release.ReleaseRefused, match=r"users\.name is truncated"):
        apply(session(server, cut, "production"), cut)
    assert not admitted(server, product)
    apply(session(server, cut), cut)
    assert admitted(server, product)


@pytest.fixture(autouse=True)
def closed(server: Server, product: Product, empty: str) -> None:
    """Nobody is admitted before the test."""
    server.execute(f"ALTER ROLE {product.app_role} NOLOGIN")
