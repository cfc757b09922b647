"""One database or one table of an earlier moment, and databases of another environment: how they come and take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from db import masking, migrate
from environment.errors import Refused
from environment.kind import Kind
from environment.manifest import Manifest
from environment.recovery import target
from ops.backup import clone, loading, partial_restore, restore, scratch
from ops.backup.awaited import RestoreFailed
from ops.backup.repository import RepositoryFailed
from ops.backup.restore import Plan
from ops.backup.scratch import ScratchServer
from ops.hosts import lock
from ops.hosts.session import Unreachable
from ops.products import databases
from roles import paths
from tests.unit.cli_fakes import environment
from tests.unit.hosts import Database, Hosts, hosts, led_by, nothing
from tests.unit.stacks import REMOVED

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WANTED = Plan(target("latest"), "20261122-020000F", 2, 200 * 2**20, NOON, NOON, "", "3")


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_restore, "datetime", SimpleNamespace(now=lambda _zone: NOON))


class Scratch(ScratchServer):
    """A restored server that answers as ``server`` does."""

    def __init__(self, server: Database) -> None:
        super().__init__("ops1", "/scratch", Path("/local"))
        object.__setattr__(self, "owner", server.connect)


def sql(server: Database) -> list[str]:
    """What was executed."""
    return [statement for _, statement, _ in server.executed]


ALTERED = [
    'alter database "ruleiq" allow_connections false',
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
    "begin",
    'alter database "ruleiq" rename to "ruleiq_before_20261122_120000"',
    'alter database "ruleiq_restoring" rename to "ruleiq"',
]


@pytest.mark.parametrize("keep", [True, False])
def test_a_copy_takes_the_place_of_what_is_there(keep: bool) -> None:
    """PLAT-34: at once, when nobody is connected; what was there is kept, closed, unless it is not wanted."""
    server = Database(rows={"from pg_database": [()], "alter database": [], "terminate": [], "drop database": []})
    kept = partial_restore.take_place(server, "ruleiq", nothing, keep=keep)
    dropped = 'drop database "ruleiq_before_20261122_120000" with (force)'
    assert sql(server)[1:] == [*ALTERED, *([] if keep else [dropped])]
    assert kept == ("ruleiq_before_20261122_120000" if keep else None)


@pytest.mark.parametrize("keep", [True, False])
def test_where_nothing_was_nothing_is_kept(keep: bool) -> None:
    server = Database(rows={"from pg_database": [], "alter database": []})
    assert partial_restore.take_place(server, "ruleiq", nothing, keep=keep) is None
    assert sql(server)[1:] == ["begin", ALTERED[-1]]


@pytest.mark.parametrize("there", [True, False])
def test_where_it_fails_the_present_one_takes_connections_again(there: bool) -> None:
    """PLAT-34: until the last moment nothing was changed."""
    failing = psycopg.errors.ObjectInUse("somebody came")
    server = Database(rows={"from pg_database": [()] * there, "rename": failing, "alter database": [], "terminate": []})
    with pytest.raises(psycopg.errors.ObjectInUse):
        partial_restore.take_place(server, "ruleiq", nothing)
    again = 'alter database "ruleiq" allow_connections true'
    assert (sql(server)[-1] == again) is there


def test_copies_that_will_not_take_a_place_go() -> None:
    server = Database(rows={"drop database": []})
    partial_restore.forget(server, ["a", "b"])
    assert sql(server) == [f'drop database if exists "{name}_restoring" with (force)' for name in "ab"]


@pytest.fixture
def there(tmp_path: Path) -> Hosts:
    """Dev, led by db2."""
    session = hosts(tmp_path)
    led_by(session, "db2")
    return session


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Which hosts were kept, what was restored beside the cluster, and what was made whole at the end."""
    done: list[Any] = []

    @contextmanager
    def held(_session: Hosts, names: Iterable[str]) -> Iterator[None]:
        done.append(("held", *names))
        yield
        done.append("free")

    @contextmanager
    def restored(session: Hosts, wanted: Plan, _report: object, only: str | None = None) -> Iterator[ScratchServer]:
        done.append((wanted.label, only))
        yield Scratch(session.server)

    monkeypatch.setattr(lock, "held", held)
    for module in (partial_restore, clone):
        monkeypatch.setattr(module, "scratch_server", restored)
    monkeypatch.setattr(
        databases, "provide", lambda session, *_: done.append(("databases", session.manifest.identity.name))
    )
    return done


@pytest.mark.parametrize(
    ("dump", "restored", "words"),
    [
        ("echo rows", "grep -q rows", ""),
        ("echo rows; echo no space >&2; exit 1", "cat", "pg_dump: no space"),
        ("echo rows", "cat; echo not empty >&2; exit 1", "not empty"),
        ("yes rows", "echo early >&2; exit 1", "early"),
    ],
)
def test_a_database_comes_through_a_pipe(there: Hosts, dump: str, restored: str, words: str) -> None:
    """PLAT-34: a failure on either side is one of the whole, and no side waits for the other for ever."""
    there.programs.update({"pg_dump": dump, "pg_restore": restored})
    there.says["ops1", "pg_restore --list"] = LISTED
    there.says["db2", f"cat > {loading.LIST}"] = ""
    there.server.rows.update({"drop ": [], "create ": [], "revoke all": [], "pg_shdepend": [("old_restoring",)]})
    source, told = Scratch(there.server), list[str]()

    def bring() -> None:
        partial_restore.bring(there, source, there, there.server, "ruleiq", told.append, ["--no-comments"])

    if words:
        with pytest.raises(RestoreFailed, match=words):
            bring()
    else:
        bring()
    assert sql(there.server)[1:] == [
        'drop database if exists "old_restoring" with (force)',
        'drop role if exists "keel_restore"',
        'create role "keel_restore" login bypassrls in role "ruleiq_owner", "ruleiq_auth"',
        'drop database if exists "ruleiq_restoring" with (force)',
        'create database "ruleiq_restoring" owner "ruleiq_owner" template template0',
        'revoke all on database "ruleiq_restoring" from public',
        'create extension "pg_stat_statements" schema public',
        'create extension "pg_trgm" schema public',
        *(['drop database if exists "ruleiq_restoring" with (force)'] if words else []),
        'drop role if exists "keel_restore"',
    ]
    front = "runuser -u keel-scratch --"
    dumped = f"{front} pg_dump -h /scratch -U keel_scratch -d ruleiq -Fc -Z 0 --no-comments"
    assert [ran[:2] for ran in there.ran if "pg_" in ran.command] == [
        ("ops1", f"{dumped} | {front} pg_restore --list"),
        ("ops1", dumped),
        ("db2", f"pg_restore -U keel_restore -d ruleiq_restoring -L {loading.LIST} --exit-on-error"),
    ]
    assert told[1:] == ["ruleiq: left out, because the superuser owns it: TABLE public by_hand"]


LISTED = """\
;     Format: CUSTOM
;
2; 3079 17490 EXTENSION - pg_trgm\x20
3; 0 0 COMMENT - EXTENSION pg_trgm\x20
215; 1259 16390 TABLE public users ruleiq_owner
216; 1259 16391 TABLE public by_hand postgres
217; 0 0 ACL public TABLE pg_stat_statements postgres
218; 2605 16400 CAST - CAST (public.users AS "text")\x20
"""


def test_of_a_dump_is_loaded_what_the_superuser_does_not_own() -> None:
    """W0: a cast has no owner."""
    entries = [loading.entry(line) for line in LISTED.splitlines()[2:]]
    wanted = loading.loadable(entries, "ruleiq", nothing)
    assert [(each.number, each.owner) for each in wanted] == [("215", "ruleiq_owner"), ("218", "")]


def test_one_product_is_restored_alone(there: Hosts, locked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-34: with the primary's host and the repository's kept from others; rights are made whole before they are free."""
    monkeypatch.setattr(partial_restore, "bring", lambda *_: locked.append("brought"))
    monkeypatch.setattr(partial_restore, "take_place", lambda *_: locked.append("placed") or "ruleiq_before")  # type: ignore[func-returns-value]
    assert partial_restore.product(there, "ruleiq", WANTED, nothing) == "ruleiq_before"
    assert locked == [
        ("held", "db2", "ops1"),
        (WANTED.label, "ruleiq"),
        "brought",
        "placed",
        ("databases", "dev"),
        "free",
    ]


class Copying:
    """Both sides of a COPY."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks, self.statements = blocks, list[str]()

    def cursor(self) -> Copying:
        return self

    @contextmanager
    def copy(self, statement: Any) -> Iterator[Any]:
        self.statements.append(statement.as_string(None))
        yield [b"one", b"two"] if "to stdout" in self.statements[-1] else SimpleNamespace(write=self.blocks.append)


@pytest.mark.parametrize(("counted", "number"), [([(12,)], 12), ([], 0)])
def test_a_table_lies_in_a_schema_of_its_own(
    there: Hosts, locked: list[Any], monkeypatch: pytest.MonkeyPatch, counted: list[Any], number: int
) -> None:
    """PLAT-34: a name that is too long loses its beginning, which says less than the moment."""
    name = "public." + "x" * 60
    copying = Copying([])
    monkeypatch.setattr("tests.unit.hosts._Connection.cursor", copying.cursor, raising=False)
    there.server.rows.update({
        "string_agg": [("id integer",)], "create ": [], "alter schema": [], "select count": counted, "pg_shdepend": [],
        "drop role": [], "set role": [],
    })  # fmt: skip
    moment = "x" * 47 + "_20261122_120000"
    assert len(moment) == 63
    assert partial_restore.table(there, "ruleiq", name, WANTED, nothing) == (f"restored.{moment}", number)
    assert f'create table "restored"."{moment}" (id integer)' in sql(there.server)
    assert copying.blocks == [b"one", b"two"]
    assert copying.statements == [
        f'copy (select * from only "public"."{"x" * 60}") to stdout (format binary)',
        f'copy "restored"."{moment}" from stdin (format binary)',
    ]
    assert sql(there.server)[-2:] == ["commit", 'drop role if exists "keel_restore"']
    who = {
        database for database, statement, _ in there.server.executed if "moment" in statement or "count" in statement
    }
    assert who == {"ruleiq as keel_restore"}, "the owner's table is filled with the owner's rights"
    assert locked == [("held", "db2", "ops1"), (WANTED.label, "ruleiq"), "free"]


@pytest.mark.parametrize("found", [[], [(None,)], [("",)]])
def test_a_table_that_was_not_there_is_told(there: Hosts, found: list[Any]) -> None:
    there.server.rows["string_agg"] = found
    with pytest.raises(RestoreFailed, match="ruleiq had no table users at that moment"):
        partial_restore._definition(Scratch(there.server), "ruleiq", "users")


SERVER = "echo 'P00   INFO: restore begins'; {more} echo 'ready /scratch/7'; cat >/dev/null; echo gone > {said}"


def test_a_server_beside_the_cluster_lives_as_long_as_it_is_used(
    there: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLAT-34: of the chosen backup and timeline, with one database alone where only one is wanted."""
    told, said = list[str](), tmp_path / "said"
    there.programs[paths.SCRATCH_SERVER] = SERVER.format(more="", said=said)

    @contextmanager
    def forward(_self: Hosts, host: str, remote: str) -> Iterator[Path]:
        assert (host, remote) == ("ops1", "/scratch/7/.s.PGSQL.5432")
        yield Path("/local")

    monkeypatch.setattr(Hosts, "forward", forward)
    for only in (None, "ruleiq"):
        with scratch.scratch_server(there, WANTED, told.append, only=only) as server:
            assert (server.host, server.folder, server.socket) == ("ops1", "/scratch/7", Path("/local"))
            assert not said.exists()
        assert said.read_text() == "gone\n"
        said.unlink()
    assert told[1] == "restore begins"
    options = "--repo=2 --set=20261122-020000F --target-timeline=3 --type=default"
    front = f"{paths.SCRATCH_SERVER} {200 * 2**20}"
    assert [command for _, command, _ in there.ran] == [
        f"{front} {options} 2>&1",
        f"{front} {options} --db-include=ruleiq 2>&1",
    ]


def test_a_server_that_does_not_come_leaves_its_last_words(there: Hosts) -> None:
    """PLAT-35: fifteen lines of them."""
    there.programs[paths.SCRATCH_SERVER] = "seq 20; echo 'readyish x'; exit 1"
    with pytest.raises(RepositoryFailed) as failed, scratch.scratch_server(there, WANTED, nothing):
        pytest.fail("there is no server")
    lines = [*map(str, range(7, 21)), "readyish x"]
    assert str(failed.value).splitlines() == ["ops1: no server was restored", *(f"    {line}" for line in lines)]


def renamed(manifest: Manifest, name: str) -> Manifest:
    """Another environment of the same kind."""
    return manifest.model_copy(update={"identity": manifest.identity.model_copy(update={"name": name})})


PRODUCTION, DEV, CI = (environment(stack=name).manifest for name in ("production", "dev", "ci"))
SERVED = tuple(DEV.products)


def test_production_comes_back_in_a_new_environment_of_its_own_kind() -> None:
    """PLAT-34: unmasked, because it guards no less; without that intention it is refused. Equals need no mask."""
    rebuilt = renamed(PRODUCTION, "rebuilt")
    assert clone.choose(PRODUCTION, rebuilt, [], masked=False, into=True) == tuple(PRODUCTION.products)
    with pytest.raises(Refused, match="rebuilt is production"):
        clone.choose(PRODUCTION, rebuilt, [], masked=False)
    with pytest.raises(Refused, match="rebuilt is production"):
        clone.choose(renamed(DEV, "other"), rebuilt, [], masked=True, into=True)
    assert clone.choose(CI, DEV, [], masked=False) == tuple(name for name in CI.products if name in DEV.products)
    assert clone.choose(DEV, CI, ["ruleiq"], masked=True) == ("ruleiq",)


def test_environments_without_a_common_product_are_told_so() -> None:
    one = environment({f"products.{name}": REMOVED for name in SERVED if name != "ruleiq"}, "ci").manifest
    other = environment({"products.ruleiq": REMOVED}).manifest
    with pytest.raises(Refused, match="ci and dev have no product in common"):
        clone.choose(one, other, [], masked=True)
    with pytest.raises(Refused) as refused:
        clone.choose(one, other, ["ruleiq"], masked=True)
    assert "in common" not in str(refused.value) and "ruleiq is no product of dev" in str(refused.value)


@pytest.mark.parametrize(
    ("into", "kind", "asked"),
    [(True, Kind.PRODUCTION, True), (True, Kind.STAGING, False), (False, Kind.PRODUCTION, False)],
)
def test_only_a_new_production_is_filled(
    there: Hosts, monkeypatch: pytest.MonkeyPatch, into: bool, kind: Kind, asked: bool
) -> None:
    """PLAT-34: what its databases hold is looked at first, then whether the moment can be had and there is space."""
    done: list[Any] = []
    identity = there.manifest.identity.model_copy(update={"kind": kind})
    given = replace(there, manifest=there.manifest.model_copy(update={"identity": identity}))
    monkeypatch.setattr(clone, "choose", lambda *_, **__: ("ruleiq",))
    monkeypatch.setattr(clone, "_check_new", lambda _, names: done.append(names))
    monkeypatch.setattr(restore, "plan", lambda *_, **how: done.append(how) or WANTED)  # type: ignore[func-returns-value]
    monkeypatch.setattr(clone, "check_space", lambda _, host, folder, needed: done.append((host, folder, needed)))
    found = clone.plan(there, given, "latest", into=into, label="A", number=2)
    looked = [("ruleiq",)] if asked else []
    assert done == [
        *looked, {"label": "A", "timeline": "latest", "number": 2},
        ("db2", "/var/lib/postgresql/18/main", WANTED.bytes),
    ]  # fmt: skip
    assert (found.masked, found.keep) == (True, True)
    assert found.left_out == tuple(name for name in SERVED if name != "ruleiq")
    assert clone.plan(there, given, "latest", ["ruleiq"], masked=False, drop=True) == replace(
        found, left_out=(), masked=False, keep=False
    )


@pytest.mark.parametrize(
    ("rows", "used"),
    [
        ({"to_regclass": [("x",)], "copy": [("row",)]}, True),
        ({"to_regclass": [("x",)], "copy": []}, False),
        ({"to_regclass": [(None,)]}, False),
        ({"to_regclass": []}, False),
    ],
)
def test_anybodys_rows_make_an_environment_used(there: Hosts, rows: dict[str, Any], used: bool) -> None:
    """PLAT-34: of private tables where a product has such; what the product itself puts in is nobody's."""
    there.server.rows.update(rows)
    if used:
        with pytest.raises(Refused, match=r"dev is production and not new: ruleiq hold rows. Nothing was changed"):
            clone._check_new(there, ["ruleiq"])
    else:
        clone._check_new(there, ["ruleiq"])
    product = there.manifest.products["ruleiq"].product
    private = {f"public.{name}" for name, facts in product.tables.items() if facts.classification == "confidential"}
    asked = {parameters[0] for _, statement, parameters in there.server.executed if "to_regclass" in statement}
    assert asked and (used or asked == private)


def test_a_product_without_private_tables_is_looked_at_as_a_whole(there: Hosts) -> None:
    there.server.rows["to_regclass"] = [(None,)]
    plain = {name: facts for name, facts in there.manifest.products["ruleiq"].product.tables.items()
             if facts.classification != "confidential"}  # fmt: skip
    product = there.manifest.products["ruleiq"].product.model_copy(update={"tables": plain})
    assert not clone._has_rows(there.server, product)
    assert len(there.server.executed) == len(plain) > 0


def cloned(locked: list[Any], monkeypatch: pytest.MonkeyPatch, failing: bool = False) -> None:
    """The parts of a clone, noted."""

    def bring(*given: Any) -> None:
        locked.append(("bring", given[4], given[6]))
        if failing:
            raise KeyboardInterrupt

    def noted(what: str) -> Callable[..., str]:
        return lambda _server, name, *_rest, **how: locked.append((what, name, *how.values())) or f"{name}_before"  # type: ignore[func-returns-value]

    monkeypatch.setattr(partial_restore, "bring", bring)
    monkeypatch.setattr(partial_restore, "forget", lambda _, names: locked.append(("forget", names)))
    monkeypatch.setattr(partial_restore, "take_place", noted("place"))
    monkeypatch.setattr(restore, "archive_all", lambda _: locked.append("archived"))
    monkeypatch.setattr(masking, "mask", lambda _c, product, key, _r: locked.append(("mask", product.name, len(key))))
    monkeypatch.setattr(masking, "dump_options", lambda version: (f"options of {version}",))


@pytest.mark.parametrize("masked", [True, False])
def test_a_clone_is_masked_before_it_leaves(
    there: Hosts, locked: list[Any], monkeypatch: pytest.MonkeyPatch, masked: bool
) -> None:
    """ADA-22, JEEX-35: all of them come before the first takes its place."""
    cloned(locked, monkeypatch)
    wanted = clone.Clone(WANTED, ("ruleiq", "bacopilot"), (), masked, True)
    kept = clone.apply(there, there, wanted, nothing)
    assert kept == {"ruleiq": "ruleiq_before", "bacopilot": "bacopilot_before"}
    options = ("options of 18",) if masked else ()
    assert locked == [
        "archived", ("held", "db2"), (WANTED.label, None),
        *([("mask", "ruleiq", 64), ("mask", "bacopilot", 64)] if masked else []),
        ("bring", "ruleiq", options), ("bring", "bacopilot", options),
        ("place", "ruleiq", True), ("place", "bacopilot", True), ("databases", "dev"), "free",
    ]  # fmt: skip


def test_an_interrupted_clone_leaves_no_copies(
    there: Hosts, locked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a source without a primary has nothing to archive; a single product is restored alone."""
    cloned(locked, monkeypatch, failing=True)
    with pytest.raises(KeyboardInterrupt):
        clone.apply(there, there, clone.Clone(replace(WANTED, newest=None), ("ruleiq",), (), False, False), nothing)
    assert locked == [("held", "db2"), (WANTED.label, "ruleiq"), ("bring", "ruleiq", ()), ("forget", ("ruleiq",))]


@pytest.mark.parametrize(("rows", "at"), [([("select '007'",)], "007"), ([], None)])
def test_revisions_are_told_with_the_newest(
    there: Hosts, monkeypatch: pytest.MonkeyPatch, rows: list[Any], at: str | None
) -> None:
    there.server.rows.update({"alembic_version": rows, "select '007'": [("007",)]})
    monkeypatch.setattr(migrate, "head", lambda product: f"head of {product.name}")
    assert clone.heads(there, ["ruleiq"]) == {"ruleiq": (at, "head of ruleiq")}
    assert {database for database, *_ in there.server.executed} == {"ruleiq as keel_look"}


def test_nobody_who_leads_is_an_error(tmp_path: Path) -> None:
    """Before anything is locked."""
    session = hosts(tmp_path)
    led_by(session, None)
    with pytest.raises(Unreachable, match="no primary"):
        partial_restore.product(session, "ruleiq", WANTED, nothing)
