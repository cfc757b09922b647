"""What `alembic upgrade --sql` prints of a revision with parameters."""

from io import StringIO

from alembic import command

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tests.db.history import REVISION, History

product = only("jeex_idea")


def test_printed_sql_has_its_values_in_it(product: Product, history: History) -> None:
    """BAC-28: what a revision binds to a parameter is in the script as a literal, for psql binds nothing."""
    bound = "from sqlalchemy import text\n    op.execute(text('SELECT :word').bindparams(word=\"it's\"))"
    before = migrate.head(product)
    text = REVISION.format(name="bound", below=before, upgrade=bound, downgrade="pass")
    (history.versions / "bound.py").write_text(text)
    config = migrate.config(product, history.url)
    config.output_buffer = printed = StringIO()
    command.upgrade(config, f"{before}:bound", sql=True)
    assert "SELECT 'it''s';" in printed.getvalue()
