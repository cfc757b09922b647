"""Facts that everything follows from: products' names and rights, packages, versions, the forms of a recovery's end."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from environment import roles
from environment.products import ENV_COMMANDS, OTHERS_WORDS, Dumps, Product, Table, catalogue
from environment.recovery import Form, target
from environment.repositories import repositories
from environment.settings import Repository
from environment.versions import Debian, PackageSource, available_majors

FACTS: dict[str, Any] = {
    "name": "shop", "title": "Shop", "app_role": "shop_app", "extensions": (), "auth_path": False,
    "statement_timeout": "10s", "identity_type": "uuid",
    "tables": {"orders": {"classification": "internal"}, "units": {"classification": "internal", "shared": "read"}},
}  # fmt: skip

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@pytest.mark.parametrize(
    ("facts", "rights"),
    [
        ({}, ALL), ({"shared": "write"}, ALL), ({"shared": "keep"}, ALL[:3]), ({"shared": "read"}, ALL[:1]),
        ({"writes": False}, ALL[:1]), ({"shared": "keep", "writes": False}, ALL[:1]),
    ],
)  # fmt: skip
def test_what_the_application_may_do_with_a_table(facts: dict[str, Any], rights: tuple[str, ...]) -> None:
    """PLAT-10, ADA-13."""
    table = Table(classification="internal", **facts)
    assert (table.rights, table.archive, table.pii) == (rights, False, ())


def test_a_products_roles_follow_from_its_facts() -> None:
    """PLAT-18, PLAT-19, RIQ-03: what product.yaml does not mention does not exist."""
    plain = Product.model_validate(FACTS)
    assert (plain.owner_role, plain.auth_role, plain.worker_role, plain.creates_in_dev) == (
        "shop_owner",
        None,
        None,
        False,
    )
    assert plain.login_roles == ("shop_app", "shop_readonly", "shop_migrator")
    assert plain.tenant_tables == ("orders",)
    assert (plain.revision_ids, plain.renamed) == ("number", {})
    more = Product.model_validate({**FACTS, "auth_path": True, "worker_role": "shop_worker", "identity_type": None})
    assert (more.auth_role, more.client_roles) == ("shop_auth", ("shop_app", "shop_worker"))
    assert more.tenant_tables == ()


def test_a_product_is_dumped_whole_unless_its_facts_say_more() -> None:
    """BAC-34, CF-28: SQL text for one product, some tables alone for another, and neither for the others."""
    assert Product.model_validate(FACTS).dumps == Dumps(plain=False, selected=())
    said = {name: product.dumps for name, product in catalogue().items() if product.dumps != Dumps()}
    assert said == {"bacopilot": Dumps(plain=True), "componentforge": Dumps(selected=("users", "conversations"))}


def test_a_dump_of_tables_that_a_product_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"dumps\.selected names carts, which `tables` does not list"):
        Product.model_validate({**FACTS, "dumps": {"selected": ["orders", "carts"]}})


@pytest.mark.parametrize(("release", "major"), [("bookworm", 15), ("trixie", 17), ("forky", 18)])
def test_each_debian_has_one_major_of_its_own(release: str, major: int) -> None:
    """PLAT-01."""
    assert available_majors(Debian(release), PackageSource.DEBIAN) == (major,)
    assert available_majors(Debian(release), PackageSource.PGDG) == (15, 16, 17, 18)


def test_the_image_brings_every_roles_packages() -> None:
    found = roles.packages(17)
    assert {"postgresql-17", "patroni", "pgbouncer", "haproxy", "pgbackrest"} <= set(found)
    assert list(found) == sorted(set(found)) and not [name for name in found if "{" in name or name.endswith("-18")]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("9" * 20, Form.XID), ("9" * 21, Form.NAME), ("0/3000148", Form.LSN), ("FFFFFFFF/FFFFFFFF", Form.LSN),
        ("latest", Form.LATEST), ("2026-11-22T08:00:00Z", Form.TIME), ("before_change", Form.NAME), ("n" * 63, Form.NAME),
    ],
)  # fmt: skip
def test_the_end_of_a_recovery_is_told_by_its_form(text: str, form: Form) -> None:
    """PLAT-36."""
    found = target(text)
    assert found.form is form
    assert (found.moment is not None) is (form is Form.TIME)
    assert found.options[0] == f"--type={form.value}" and len(found.options) == (1 if form is Form.LATEST else 3)


def test_the_repositories_of_the_key_before_are_read_only() -> None:
    """JEEX-30: nearest first, those that are written before those of the last generation."""
    second = {"endpoint": "s3.example", "bucket": "backups"}
    settings = Repository.model_validate({"generation": 3, "second": second})
    assert [(found.number, found.generation, found.written, found.title, found.job_suffix) for found in repositories(settings)] == [
        (1, 3, True, "1 (backup volume)", ""), (2, 3, True, "2 (S3)", "-second"),
        (3, 2, False, "3 (backup volume, key 2)", ""), (4, 2, False, "4 (S3, key 2)", "-second"),
    ]  # fmt: skip
    assert len(repositories(Repository())) == 1


TAKEN = [*sorted(OTHERS_WORDS), "pg_shop", "keel_shop", "shop_owner", "shop_migrator", "shop_readonly"]


@pytest.mark.parametrize(("field", "name"), [("app_role", name) for name in TAKEN] + [("worker_role", "shop_app")])
def test_a_login_has_a_name_of_its_own(field: str, name: str) -> None:
    """PLAT-09: what pg_hba, PgBouncer or CREATE ROLE take for something else is refused, and so is another role's name."""
    with pytest.raises(ValidationError, match=f"{name} is taken"):
        Product.model_validate({**FACTS, field: name})


@pytest.mark.parametrize("name", [*sorted(OTHERS_WORDS | ENV_COMMANDS), "pg_shop", "keel_shop", "shop_ro"])
def test_a_product_has_a_name_of_its_own(name: str) -> None:
    """PLAT-05: its database is called so in every access list, and `<name>_ro` is the pool of its replicas."""
    with pytest.raises(ValidationError, match=f"{name}.* is taken"):
        Product.model_validate({**FACTS, "name": name})


@pytest.mark.parametrize("word", ["user", "order", "select", "table", "yes", "no", "on", "off", "null", "true"])
def test_a_word_of_sql_or_yaml_is_a_name_as_any_other(word: str) -> None:
    """Names reach SQL quoted, and YAML's keys as text."""
    made = Product.model_validate({**FACTS, "name": word, "app_role": word})
    assert (made.name, made.app_role, made.owner_role) == (word, word, f"{word}_owner")
