"""What only JEEX Idea's policies and look-up functions say; the matrix is tests/db/test_rls.py."""

import psycopg
import pytest

from db import migrate
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("jeex_idea")

ADA = "01900000-0000-7000-8000-000000000001"
GRACE = "01900000-0000-7000-8000-000000000002"


@pytest.fixture(scope="module")
def demo(product: Product, at_head: str) -> None:
    """Ada and Grace, with projects."""
    migrate.seed(product, at_head, "demo", production=False)


def test_nobody_writes_in_the_name_of_another(server: Server, product: Product, demo: None) -> None:
    """JEEX-15: a version is the user's own or an agent's."""
    with server.connect(product.name, product.app_role) as connection:
        connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [ADA])
        assert connection.execute(b"UPDATE document_versions SET created_by = NULL").rowcount > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(b"UPDATE document_versions SET created_by = %s", [GRACE])


def test_a_user_is_found_and_registered_before_the_identity_is_known(
    server: Server, product: Product, demo: None
) -> None:
    """PLAT-18: by the two functions, and by them only."""
    with server.connect(product.name, product.app_role) as connection:
        found = connection.execute(b"SELECT id, name FROM auth.user_by_email('ada@example.com')").fetchall()
        assert [(str(key), name) for key, name in found] == [(ADA, "Ada Demo")]
        assert connection.execute(b"SELECT * FROM auth.user_by_email('nobody@example.com')").fetchall() == []
        made = connection.execute(b"SELECT auth.register_user('new@example.com', 'New')").fetchone()
        assert made
        assert connection.execute(b"SELECT count(*) FROM users").fetchone() == (0,)
        connection.execute(b"SELECT set_config('app.current_user_id', %s, true)", [str(made[0])])
        assert connection.execute(b"SELECT email FROM users").fetchall() == [("new@example.com",)]
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(b"SELECT auth.register_user('ada@example.com', 'Again')")


def test_others_do_not_look_up(server: Server, product: Product, demo: None) -> None:
    """PLAT-18: the read-only role has no way around its own rows."""
    with (
        server.connect(product.name, product.readonly_role) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(b"SELECT * FROM auth.user_by_email('ada@example.com')")
