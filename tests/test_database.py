"""BA Copilot's database as its application uses it: connect, log in, create, read, update, delete."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import create_engine, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.bacopilot.models import Conversation, Diagram, Document, Message, User, Wireframe
from environment.products import Product
from tests.db.fixtures import only
from tools.scratch_server import Server

product = only("bacopilot")


@pytest.fixture
def session(server: Server, product: Product, at_head: str) -> Iterator[Session]:
    """The application's, in a transaction that never commits."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: server.connect(product.name, product.app_role))
    with Session(engine) as session:
        yield session
        session.rollback()
    engine.dispose()


def become(session: Session, user: UUID | None) -> None:
    """Name the user on whose behalf the rest of the transaction runs."""
    session.execute(text("select set_config('app.current_user_id', :user, true)"), {"user": str(user or "")})


@pytest.fixture
def user(session: Session) -> UUID:
    """A new user, on whose behalf the session runs."""
    made = session.scalar(text("select auth.register_user('new@keel.invalid', 'hash', 'New User')"))
    assert isinstance(made, UUID)
    become(session, made)
    return made


def test_the_application_connects(session: Session) -> None:
    """BAC-50, BAC-11: as bacopilot_app, to bacopilot, in UTC (X-05)."""
    row = session.execute(text("select current_user, current_database(), current_setting('timezone')")).one()
    assert tuple(row) == ("bacopilot_app", "bacopilot", "UTC")


def test_rows_are_made_read_changed_and_deleted(session: Session, user: UUID) -> None:
    """BAC-50, BAC-14, Q-05: the application's four privileges, by the models; the defaults are the document's."""
    document = Document(user_id=user, project_name="Bicycles", content="The system shall lend bicycles.")
    session.add(document)
    session.flush()
    session.refresh(document)
    assert (document.status, document.version, document.metadata_) == ("draft", 1, {})
    assert document.created_at is not None and document.created_at.utcoffset() is not None

    session.execute(update(Document).values(status="review"))
    assert session.scalars(select(Document.status)).all() == ["review"]
    session.execute(delete(Document))
    assert session.scalar(select(func.count()).select_from(Document)) == 0


def test_everything_a_user_made_goes_with_the_user(session: Session, user: UUID) -> None:
    """BAC-19: documents, wireframes, conversations with their messages, diagrams, in one statement."""
    talk = Conversation(user_id=user, title="Rain")
    session.add_all(
        [
            talk,
            Document(user_id=user, project_name="Bicycles", content=""),
            Wireframe(user_id=user, title="Map"),
            Diagram(user_id=user, title="Lend", diagram_type="sequence", mermaid_code="sequenceDiagram"),
        ]
    )
    session.flush()
    session.add(Message(conversation_id=talk.conversation_id, role="user", content="What if it rains?"))
    session.flush()
    session.execute(delete(User).where(User.user_id == user))
    for model in (User, Document, Wireframe, Conversation, Message, Diagram):
        assert session.scalar(select(func.count()).select_from(model)) == 0, model.__tablename__


def test_log_in_comes_before_the_identity(session: Session, user: UUID) -> None:
    """PLAT-18: id, hash and whether active by email; an inactive user is told as such, a stranger is nobody."""
    look_up = text("select user_id, password_hash, is_active from auth.user_by_email(:email)")
    session.execute(update(User).values(is_active=False))
    become(session, None)
    assert session.execute(look_up, {"email": "new@keel.invalid"}).all() == [(user, "hash", False)]
    assert session.execute(look_up, {"email": "nobody@keel.invalid"}).all() == []
    assert session.scalars(select(User.user_id)).all() == []


def test_an_email_is_registered_once(session: Session, user: UUID) -> None:
    """BAC-13: users_email_key."""
    with pytest.raises(DBAPIError, match="users_email_key"):
        session.execute(text("select auth.register_user('new@keel.invalid', 'hash', 'Again')"))
