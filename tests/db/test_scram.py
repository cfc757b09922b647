"""Verifiers as PostgreSQL makes them."""

from base64 import b64decode

import psycopg
import pytest

from db import scram
from tools.scratch_server import Server

# RFC 7677, section 3: password "pencil", 4096 rounds.
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
STORED = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_verifier_is_the_one_of_the_standard() -> None:
    """PLAT-11: the example of RFC 7677."""
    assert scram.verifier("pencil", salt=SALT) == STORED


def test_a_password_matches_only_its_own_verifier() -> None:
    """PLAT-11: whether a password is current is decided by recomputation."""
    assert scram.matches("pencil", STORED)
    assert not scram.matches("pencils", STORED)
    assert scram.matches("pencil", scram.verifier("pencil", iterations=5000))


@pytest.mark.parametrize("stored", [None, "", "md5" + "0" * 32, STORED[:-1]])
def test_what_is_no_verifier_matches_nothing(stored: str | None) -> None:
    """A role without password, or with one of another kind, gets a new verifier."""
    assert not scram.matches("pencil", stored)


@pytest.mark.parametrize("password", ["", "pencil\n", "Bleistift ß"])
def test_a_password_that_saslprep_would_change_is_refused(password: str) -> None:
    """The client would compute another key than we do."""
    with pytest.raises(ValueError, match="printable ASCII"):
        scram.verifier(password)


def test_the_server_makes_the_same_and_lets_in_with_it(server: Server) -> None:
    """PLAT-11: a verifier of ours opens a session, one of the server's is recognised."""
    server.execute(f"CREATE ROLE scram_ours LOGIN PASSWORD '{scram.verifier('first')}'")
    server.execute("CREATE ROLE scram_theirs PASSWORD 'second'")
    server.execute("CREATE DATABASE scram OWNER scram_ours")
    try:
        login = {"host": "127.0.0.1", "port": server.port, "dbname": "scram", "user": "scram_ours"}
        psycopg.connect(password="first", **login).close()  # type: ignore[arg-type]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(password="second", **login)  # type: ignore[arg-type]
        ((stored,),) = server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_theirs'")
        assert scram.matches("second", stored)
        assert not scram.matches("first", stored)
    finally:
        server.execute("DROP DATABASE scram")
        server.execute("DROP ROLE scram_ours, scram_theirs")
