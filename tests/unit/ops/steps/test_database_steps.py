"""The steps that work on databases: what is changed, told and left, and which passwords and rights a cluster gets."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from db import check, migrate, provision
from db.difference import Difference
from db.spec import Migrated
from environment.errors import Refused
from environment.products import catalogue
from ops import step
from ops.hosts import lock
from ops.products import databases, pools
from ops.steps import databases as step_databases
from ops.steps import migration
from tests.unit.hosts import Database, hosts


def change(number: int, database: str = "ruleiq") -> Any:
    """One of many."""
    return SimpleNamespace(
        what=f"change {number}",
        difference=Difference(f"d{number}", "undo"),
        database=database,
        told=False,
        removes=False,
        sessions="",
    )


WANTED = SimpleNamespace(
    products=tuple(catalogue().values()),
    migrated={**dict.fromkeys(catalogue(), Migrated.HEAD), "bacopilot": Migrated.NEVER},
)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What differs; of it the first is not done."""
    found: list[Any] = [change(3), change(1), change(2)]
    monkeypatch.setattr(provision, "plan", lambda connect, look, wanted: found)
    monkeypatch.setattr(databases, "spec", lambda *_: WANTED)
    return found


@pytest.mark.parametrize(("undeclared", "prune"), [("remove", True), ("report", False)])
def test_what_is_undeclared_goes_where_the_stack_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: list[Any], undeclared: str, prune: bool
) -> None:
    """PLAT-10: and otherwise it is told."""
    told: list[str] = []

    def converge(*_: object, prune: bool) -> tuple[list[Any], list[Any]]:
        told.append(f"prune: {prune}")
        return planned[1:], planned[:1]

    monkeypatch.setattr(provision, "converge", converge)
    session = hosts(tmp_path, {"databases.undeclared": undeclared})
    assert step_databases.apply(session, {}, told.append) == {}
    assert told == [
        f"prune: {prune}", "databases: change 1", "databases: change 2", f"databases: left as it is: {planned[0].difference}",
    ]  # fmt: skip
    assert step_databases.observe(session, {}) == [str(Difference(f"d{number}", "undo")) for number in (1, 2, 3)]


def test_poolers_connect_again_to_a_database_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: list[Any]
) -> None:
    """PLAT-23: a server connection begins with what was set then. To a new database there is none."""
    renewed: list[str] = []
    monkeypatch.setattr(pools, "renew", lambda _session, product, _report: renewed.append(product.name))
    for each, database in zip(planned, ("ruleiq", "jeex_idea", "bacopilot"), strict=True):
        each.sessions = database
    monkeypatch.setattr(provision, "converge", lambda *_, **__: (planned[1:], planned[:1]))
    step_databases.apply(hosts(tmp_path, {}), {}, lambda _: None)
    assert renewed == ["jeex_idea"]


@pytest.mark.parametrize(("number", "lines"), [(25, 25), (26, 2)])
def test_many_changes_are_told_by_their_number(number: int, lines: int) -> None:
    """A new environment's would fill the screen."""
    done = [change(0, "postgres"), *(change(each) for each in range(1, number))]
    told = list(databases._sentences(done))
    assert len(told) == lines
    if lines == 2:
        assert told == ["roles and databases: 1 changes", "schemas, extensions, grants of ruleiq: 25 changes"]


@pytest.mark.parametrize("kind", ["dev", "ci", "staging"])
def test_developers_rights_are_devs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """PLAT-07, X-46: and each role that logs in gets the password that is derived for it."""
    monkeypatch.setattr(databases, "_migrated", lambda *_: Migrated.HEAD)
    monkeypatch.setattr(databases, "read_cluster", lambda _: None)
    session = hosts(tmp_path, None, kind)
    wanted = databases.spec(session, session.server)
    assert wanted.development is (kind == "dev")
    products = set(session.manifest.products)
    assert {product.name for product in wanted.products} == products
    assert {product.name for product in wanted.unlisted} == set(catalogue()) - products
    assert wanted.migrated == dict.fromkeys(products, Migrated.HEAD)
    assert {f"{name}_user" for name in ("jeex", "ruleiq")} & set(wanted.passwords)
    for role, password in wanted.passwords.items():
        assert password.get_secret_value() == session.roots.password(role)


def test_products_that_the_stack_does_not_list_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-05: they are parked, and not taken for something that somebody made by hand."""
    monkeypatch.setattr(databases, "_migrated", lambda *_: Migrated.HEAD)
    monkeypatch.setattr(databases, "read_cluster", lambda _: None)
    session = hosts(tmp_path)
    few = {name: entry for name, entry in session.manifest.products.items() if name == "ruleiq"}
    session = hosts(tmp_path)
    manifest = session.manifest.model_copy(update={"products": few})
    given: Any = SimpleNamespace(manifest=manifest, roots=session.roots)
    unlisted = databases.spec(given, session.server).unlisted
    assert {product.name for product in unlisted} == set(catalogue()) - {"ruleiq"}


def cluster(*databases_: str, admitted: bool = True) -> Any:
    """The databases that are there, and whether Keel may look into them."""
    return SimpleNamespace(databases=dict.fromkeys(databases_), admits_look=lambda *_: admitted)


QUESTION = [("copy alembic.alembic_version (version_num) to stdout",)]


@pytest.mark.parametrize(
    ("rows", "there", "state"),
    [
        ({"pg_class": QUESTION, "version_num) to": [("007",)]}, cluster("ruleiq"), Migrated.BEHIND),
        ({"pg_class": QUESTION, "version_num) to": [("008",)]}, cluster("ruleiq"), Migrated.HEAD),
        ({"pg_class": QUESTION, "version_num) to": []}, cluster("ruleiq"), Migrated.NEVER),
        ({"pg_class": []}, cluster("ruleiq"), Migrated.NEVER),
        ({"pg_class": psycopg.errors.InsufficientPrivilege()}, cluster("ruleiq"), Migrated.BEHIND),
        (
            {"pg_class": psycopg.OperationalError('FATAL: too many connections for database "ruleiq"')},
            cluster("ruleiq"),
            Migrated.BEHIND,
        ),
        ({}, cluster("ruleiq", admitted=False), Migrated.BEHIND),
        ({}, cluster(), Migrated.NEVER),
    ],
)
def test_a_database_is_behind_until_it_is_at_head(
    monkeypatch: pytest.MonkeyPatch, rows: dict[str, Any], there: Any, state: Migrated
) -> None:
    """PLAT-28: what says that nobody is admitted yet. What Keel may not see yet stays as it is."""
    monkeypatch.setattr(migrate, "head", lambda _: "008")
    server = Database(rows=rows)
    assert databases._migrated(server, catalogue()["ruleiq"], there) is state
    assert {database for database, *_ in server.executed} <= {"ruleiq as keel_look"}


def test_a_server_that_does_not_answer_is_not_taken_for_an_empty_one() -> None:
    server = Database(rows={"alembic_version": psycopg.OperationalError("connection refused")})
    with pytest.raises(psycopg.OperationalError, match="refused"):
        databases._migrated(server, catalogue()["ruleiq"], cluster("ruleiq"))


def test_drift_is_told_by_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-29: with the SQL that would undo it, in one order."""
    findings = [
        SimpleNamespace(sentence=sentence, undo="undo", stays=False) for sentence in ("z is there", "a is missing")
    ]
    asked: list[Any] = []
    monkeypatch.setattr(check, "drift", lambda product, url, held: asked.append((product.name, url, held)) or findings)  # type: ignore[func-returns-value]
    session = hosts(tmp_path)
    expected = [str(Difference(f"ruleiq: {sentence}", "undo")) for sentence in ("a is missing", "z is there")]
    assert migration.observe(session, {"product": "ruleiq"}) == expected
    ((name, url, held),) = asked
    role = session.manifest.products["ruleiq"].product.migrator_role
    assert (name, held) == ("ruleiq", None)
    assert url == session.url(role, "ruleiq", "127.0.0.1", session.manifest.endpoints.primary or 0)


@pytest.mark.parametrize(
    ("phase", "error", "status", "lines"),
    [
        ("apply", None, 0, [{"progress": "half"}, {"result": {"a": 1}}]),
        ("observe", None, 0, [{"result": ["drift"]}]),
        ("apply", Refused("words", "Nothing was changed"), 1, [{"error": "words. Nothing was changed"}]),
    ],
)
def test_a_step_answers_in_lines(
    monkeypatch: pytest.MonkeyPatch, phase: str, error: Exception | None, status: int, lines: list[Any]
) -> None:
    """Only `apply` changes anything, and asks before it does."""
    asked: list[str] = []

    def work(kind: str, result: Any) -> Any:
        def carry_out(_session: object, inputs: dict[str, Any], *report: Any) -> Any:
            assert inputs["product"] == "ruleiq"
            if error:
                raise error
            for tell in report:
                tell("half")
            return result

        return carry_out

    class Opened:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    module: Any = SimpleNamespace(apply=work("apply", {"a": 1}), observe=work("observe", ["drift"]))
    monkeypatch.setattr(step, "open_session", lambda *_: Opened())
    monkeypatch.setattr(lock, "refuse_others", lambda *_, **__: asked.append("locked?"))
    monkeypatch.setattr(step, "module_of", lambda _: module)
    identity = {"name": "dev", "kind": "dev", "provider": "docker"}
    request = {
        "action": "migration", "phase": phase, "inputs": {"manifest": {"identity": identity}, "product": "ruleiq"},
        "roots": {"access": "a", "pki": "p", "backup": "b"},
    }  # fmt: skip
    answer = io.StringIO()
    assert step.main(request, answer) == status
    assert [json.loads(line) for line in answer.getvalue().splitlines()] == lines
    assert asked == (["locked?"] if phase == "apply" else [])


def test_a_mistake_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who reads it cannot repair it; whoever repairs it needs the line."""

    def mistaken(*_: object) -> None:
        raise RuntimeError("half of it")

    monkeypatch.setattr(step, "open_session", lambda *_: nullcontext())
    monkeypatch.setattr(step, "module_of", lambda _: SimpleNamespace(observe=mistaken))
    manifest = {"identity": {"name": "dev", "kind": "dev", "provider": "docker"}}
    roots = {"access": "a", "pki": "p", "backup": "b"}
    answer = io.StringIO()
    request = {"action": "image", "phase": "observe", "inputs": {"manifest": manifest}, "roots": roots}
    assert step.main(request, answer) == 1
    (line,) = answer.getvalue().splitlines()
    said = json.loads(line)["error"]
    assert said.startswith("a mistake in Keel:")
    assert "in mistaken\n" in said
    assert said.endswith("RuntimeError: half of it\n")


def test_an_answers_keys_are_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Pulumi records does not differ between two runs."""
    module: Any = SimpleNamespace(observe=lambda *_: {"b": 1, "a": 2})

    class Opened:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(step, "open_session", lambda *_: Opened())
    monkeypatch.setattr(step, "module_of", lambda _: module)
    manifest = {"identity": {"name": "dev", "kind": "dev", "provider": "docker"}}
    request = {
        "action": "image",
        "phase": "observe",
        "inputs": {"manifest": manifest},
        "roots": {"access": "a", "pki": "p", "backup": "b"},
    }
    answer = io.StringIO()
    step.main(request, answer)
    assert answer.getvalue() == '{"result": {"a": 2, "b": 1}}\n'
