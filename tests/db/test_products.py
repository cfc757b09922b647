"""The catalogue of products."""

from configparser import RawConfigParser
from pathlib import Path

import pytest

from db.models import metadata
from environment.products import ROOT, Product, ProductError, catalogue, read

GOOD = (ROOT / "db" / "jeex_idea" / "product.yaml").read_text()


def test_the_folder_gives_the_name() -> None:
    """PLAT-05: a product is called by its database's name; JEEX-06 names the login."""
    jeex = catalogue()["jeex_idea"]
    assert (jeex.name, jeex.app_role) == ("jeex_idea", "jeex_user")
    assert jeex.owner_role == "jeex_idea_owner"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("app_role: jeex_user", "app_role: Jeex-User"), "app_role"),
        (("statement_timeout: 10s", "statement_timeout: '10'"), "statement_timeout"),
        (("identity_type: uuid", "identity_type: text"), "identity_type"),
        (("title:", "titel:"), "titel"),
        (("internal", "public"), "tables.users.classification"),
        (("extensions: [pg_stat_statements]", ""), "extensions"),
        ((GOOD, "- a list"), "product.yaml"),
    ],
)
def test_a_wrong_file_is_refused_with_path_and_field(tmp_path: Path, change: tuple[str, str], field: str) -> None:
    """The message names the file and the field."""
    text = GOOD.replace("users: {classification: confidential", "users: {classification: internal")
    path = tmp_path / "some_product" / "product.yaml"
    path.parent.mkdir()
    path.write_text("- a list" if change[1] == "- a list" else text.replace(*change))
    with pytest.raises(ProductError, match=field) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_every_product_has_a_section_and_a_history(product: Product) -> None:
    """PLAT-26: `alembic -n <product>` works for each, and no section is left of a product that went."""
    ini = RawConfigParser()
    ini.read(ROOT / "alembic.ini")
    sections = {name for name in ini.sections() if "version_locations" in ini[name]} - {"alembic"}
    assert sections == set(catalogue())
    assert (ROOT / "migrations" / product.name / "versions").is_dir()


def test_every_table_is_classified(product: Product) -> None:
    """ADA-34, JEEX-35: no table without a classification, no personal column that does not exist."""
    tables = metadata(product).tables
    assert set(product.tables) == set(tables)
    for name, facts in product.tables.items():
        assert set(facts.pii) <= set(tables[name].columns.keys())


def test_jeex_names_its_personal_columns() -> None:
    """JEEX-35: these are the ones that masking has to know."""
    assert set(catalogue()["jeex_idea"].tables["users"].pii) == {"email", "name", "profile_data"}
