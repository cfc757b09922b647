"""ComponentForge's models as an application uses them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, event, pool, select
from sqlalchemy.orm import Session, selectinload

from db.componentforge.models import Conversation, User
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("componentforge")


@pytest.fixture
def session(server: Server, product: Product, at_head: str) -> Iterator[Session]:
    """The application on Ada's behalf, with the demo rows; rolled back in the end."""
    creator = create_engine(
        "postgresql+psycopg://", creator=lambda: server.connect(product.name), poolclass=pool.NullPool
    )
    with creator.connect() as connection, Session(connection) as session:
        connection.exec_driver_sql(product.seed_file("demo").read_text())
        connection.exec_driver_sql("SET LOCAL ROLE componentforge_app")
        connection.exec_driver_sql("SET LOCAL app.current_user_id = '-1'")
        yield session
        connection.rollback()


@pytest.fixture
def sent(session: Session) -> list[str]:
    """The statements that the session sends."""
    statements: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *given: statements.append(given[2]))
    return statements


def test_the_orm_leaves_cascades_to_the_database(session: Session, sent: list[str]) -> None:
    """X-47: deleting a user is one DELETE, without reading what belongs to it."""
    ada = session.get_one(User, -1)
    sent.clear()
    session.delete(ada)
    session.flush()
    assert [statement.split()[0] for statement in sent] == ["DELETE"]


def test_conversations_come_with_their_messages_in_two_queries(session: Session, sent: list[str]) -> None:
    """CF-35: not one query more for each conversation."""
    session.add_all(Conversation(user_id=-1) for _ in range(9))
    session.flush()
    session.expunge_all()
    sent.clear()
    loaded = session.scalars(select(Conversation).options(selectinload(Conversation.messages)).limit(10)).all()
    assert sorted(len(conversation.messages) for conversation in loaded) == [0] * 9 + [3]
    assert len(sent) == 2


def test_the_orm_sees_what_the_trigger_did(session: Session) -> None:
    """PLAT-12: after a flush updated_at is read again, not remembered."""
    conversation = Conversation(user_id=-1, updated_at=datetime(2000, 1, 1, tzinfo=UTC))
    session.add(conversation)
    session.flush()
    conversation.title = "changed"
    session.flush()
    assert conversation.updated_at.year > 2000
