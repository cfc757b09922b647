"""Every product's history: up, down, up again; no difference to the models; drift is seen."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pytest_alembic.tests import (  # noqa: F401  # collected here: PLAT-27
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, create_engine, pool

from db import migrate, repeatable
from db.alembic_options import ID_LENGTH
from environment.products import Product, short
from environment.products import revisions as known_revisions
from tests.db.fixtures import Alembic
from tests.db.steps import revisions
from tools.scratch_server import Server, password_of


@pytest.fixture
def alembic_config(product: Product) -> Config:
    """For pytest-alembic: the product's section."""
    return migrate.config(product)


@pytest.fixture
def alembic_engine(empty: str) -> Engine:
    """For pytest-alembic: a new database."""
    return create_engine(empty.replace("postgresql:", "postgresql+psycopg:"), poolclass=pool.NullPool)


def test_a_revision_is_called_as_its_file(server: Server, product: Product, empty: str) -> None:
    """X-14, ADA-19, RIQ-22, CF-22, BAC-30: `alembic -n NAME upgrade 001_initial`; the version table has room for it."""
    ids = [revision.revision for revision in revisions(product)]
    assert ids == [Path(revision.path).stem for revision in revisions(product)] == list(known_revisions(product.name))
    assert {short(one) for one in ids}.isdisjoint(ids)
    assert max(map(len, ids)) <= ID_LENGTH
    command.upgrade(migrate.config(product, empty), ids[0])
    assert migrate.current(product, empty) == ids[0]
    width = "SELECT atttypmod - 4 FROM pg_attribute WHERE attrelid = 'alembic.alembic_version'::regclass AND attnum = 1"
    assert server.execute(width, product.name) == [(ID_LENGTH,)]


def test_upgrade_reaches_head_with_everything(product: Product, empty: str) -> None:
    """PLAT-26, PLAT-29: at head, as the models say, with policies and grants; once more changes nothing."""
    assert migrate.current(product, empty) is None
    migrate.upgrade(product, empty)
    assert migrate.current(product, empty) == migrate.head(product)
    assert migrate.differences(product, empty) == []
    assert repeatable.drift(product, empty) == []
    migrate.upgrade(product, empty)
    assert migrate.current(product, empty) == migrate.head(product)


def test_by_hand_works_as_well(product: Product, empty: str, alembic: Alembic) -> None:
    """BAC-28, JEEX-23: `alembic -n <product>` with the URL from the environment or -x, sync or async."""
    alembic("-n", product.name, "upgrade", "head", url=empty)
    assert repeatable.drift(product, empty) == []
    alembic("-n", product.name, "-x", f"url={empty}", "downgrade", "base")
    assert migrate.current(product, empty) is None
    asynchronous = empty.replace("postgresql:", "postgresql+asyncpg:")
    alembic("-n", product.name, "upgrade", "head", url=asynchronous)
    alembic("-n", product.name, "check", url=asynchronous)
    assert migrate.differences(product, empty) == []
    assert repeatable.drift(product, empty) == []


def test_printed_sql_does_the_same(server: Server, product: Product, empty: str, alembic: Alembic) -> None:
    """BAC-28: `upgrade head --sql` gives a script that psql runs; it refuses any other database."""
    printed = alembic("-n", product.name, "upgrade", "head", "--sql")
    role = product.migrator_role
    login = ("env", f"PGPASSWORD={password_of(role)}", "psql", "-h", "127.0.0.1", "-U", role, "-q")
    server.execute(f"CREATE DATABASE other OWNER {role}")
    wrong = server.run(*login, "-d", "other", given=printed)
    relations = server.execute("SELECT count(*) FROM pg_class WHERE relname = 'alembic_version'", "other")
    server.execute("DROP DATABASE other")
    assert f"wrong database: other, not {product.name}" in wrong.stderr
    assert relations == [(0,)]

    done = server.run(*login, "-d", product.name, given=printed)
    assert done.returncode == 0, done.stderr
    assert migrate.current(product, empty) == migrate.head(product)
    assert migrate.differences(product, empty) == []
    objects = (  # not every product has policies, but all have triggers
        "SELECT tablename, policyname, qual, with_check FROM pg_policies"
        " UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), NULL FROM pg_trigger"
        " WHERE NOT tgisinternal ORDER BY 1, 2"
    )
    by_script = server.execute(objects, product.name)
    assert repeatable.drift(product, empty) == []
    migrate.upgrade(product, empty)
    assert server.execute(objects, product.name) == by_script != []


@pytest.mark.parametrize("destination", ["heads", "+100", "head"])
def test_every_way_to_say_head_brings_policies(
    product: Product, empty: str, alembic: Alembic, destination: str
) -> None:
    """BAC-28: in printed SQL, by whatever word the newest revision is asked for."""
    revisions = len(list(ScriptDirectory.from_config(migrate.config(product)).walk_revisions()))
    wanted = destination.replace("+100", f"+{revisions}")
    assert "insert into alembic.repeatable" in alembic("-n", product.name, "upgrade", wanted, "--sql")
    behind = f"+{revisions - 1}"
    assert "insert into alembic.repeatable" not in alembic("-n", product.name, "upgrade", behind, "--sql")


def test_what_a_kill_left_out_the_next_upgrade_brings(
    server: Server, product: Product, empty: str, alembic: Alembic
) -> None:
    """JEEX-25: killed after the last revision and before policies and grants; `alembic upgrade head` finishes it."""
    alembic("-n", product.name, "upgrade", "head", url=empty)
    server.execute("DROP TABLE alembic.repeatable; DROP FUNCTION public.touch_updated_at() CASCADE", product.name)
    assert repeatable.drift(product, empty) != []
    alembic("-n", product.name, "current", url=empty)
    assert repeatable.drift(product, empty) != [], "looking changes nothing"
    alembic("-n", product.name, "upgrade", "head", url=empty)
    assert repeatable.drift(product, empty) == []


def test_the_wrong_database_is_noticed(server: Server, product: Product, empty: str) -> None:
    """Nothing is created in a database that only happens to let us in."""
    server.execute("DROP DATABASE IF EXISTS other")
    server.execute(f"CREATE DATABASE other OWNER {product.migrator_role}")
    try:
        with pytest.raises(migrate.MigrationError, match=f"leads to database other, but .* of {product.name}"):
            migrate.upgrade(product, server.url(product, database="other"))
        schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'alembic'"
        assert server.execute(schemas, "other") == [(0,)]
    finally:
        server.execute("DROP DATABASE other")


def test_what_is_missing_is_named(product: Product, alembic: Alembic, capsys: pytest.CaptureFixture[str]) -> None:
    """No product, no URL: a sentence, not a traceback."""
    for arguments, sentence in (
        (("-n", product.name), "no database: set KEEL_DATABASE_URL"),
        ((), "name the product: alembic -n NAME"),
    ):
        with pytest.raises(SystemExit):
            alembic(*arguments, "upgrade", "head")
        assert sentence in capsys.readouterr().out


def test_two_heads_are_refused(product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JEEX-26: a branched history is told before a database is touched."""
    for number in ("a", "b"):
        (tmp_path / f"{number}.py").write_text(
            f"revision = '{number}'\ndown_revision = None\nbranch_labels = depends_on = None\n"
        )
    branched = migrate.config(product)
    branched.set_main_option("version_locations", str(tmp_path))
    monkeypatch.setattr(migrate, "config", lambda *_: branched)
    with pytest.raises(migrate.MigrationError, match=r"2 heads \(a, b\).* merge heads"):
        migrate.head(product)
