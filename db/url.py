"""Database URLs name their driver: the default differs between releases of SQLAlchemy (PLAT-24, Q-36)."""

from sqlalchemy import URL, make_url


def database_url(text: str) -> URL:
    """Parse a URL; one without a driver gets psycopg."""
    url = make_url(text)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def libpq_url(text: str) -> str:
    """The same database for psycopg itself, which knows no driver names."""
    return make_url(text).set(drivername="postgresql").render_as_string(hide_password=False)
