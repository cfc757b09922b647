"""Rows by which a test tells one moment from another."""

from __future__ import annotations

from datetime import datetime

from ops.hosts.session import Session
from tests.system.by_hand import by_hand

MARKERS = "select email from users where email like 'marker-%' order by 1"


def mark(session: Session, name: str) -> datetime:
    """Commit a row called ``name``; the server's time just after."""
    with by_hand(session, "jeex_idea") as connection:
        connection.execute("select auth.register_user(%s, %s)", (f"marker-{name}@test.example", name))
        connection.commit()
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row
    return datetime.fromisoformat(str(row[0]))


def marked(session: Session) -> list[str]:
    """The rows that are there."""
    with by_hand(session, "jeex_idea") as connection:
        return [str(row[0]).removeprefix("marker-").partition("@")[0] for row in connection.execute(MARKERS)]


def forget_markers(session: Session) -> None:
    """Leave the environment as it was."""
    with by_hand(session, "jeex_idea") as connection:
        connection.execute("delete from users where email like 'marker-%'")
        connection.commit()


def taken_from_restored(session: Session, told: str) -> list[str]:
    """The rows in the table that a restore of one table, which ``told`` its name, has laid beside the present one; it is removed."""
    there = told.partition(" is now ")[2].split(",")[0]
    with by_hand(session, "jeex_idea") as connection:
        found = connection.execute(f"select name from {there} where email like 'marker-%'".encode()).fetchall()
        connection.execute("drop schema restored cascade")
        connection.commit()
    return [str(name) for (name,) in found]
