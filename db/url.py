"""Database URLs name their driver: the default differs between releases of SQLAlchemy (PLAT-24, Q-36)."""

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, make_url


def database_url(text: str) -> URL:
    """Parse a URL; one without a driver gets psycopg."""
    url = make_url(text)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def conninfo(text: str) -> str:
    """The same database for psycopg itself, whose own URL parser is stricter about passwords."""
    url = make_url(text)
    options = {key: ",".join(values) for key, values in url.normalized_query.items()}
    return make_conninfo("", **url.translate_connect_args(username="user", database="dbname"), **options)
