"""What each Debian release ships. Figures were read from the releases' own packages (design, toolchain notes)."""

from __future__ import annotations

from enum import StrEnum


class Debian(StrEnum):
    """Supported Debian releases by codename (forky's os-release has no VERSION_ID, so codenames are compared)."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"
    FORKY = "forky"


class PackageSource(StrEnum):
    """Where PostgreSQL's packages come from."""

    DEBIAN = "debian"
    PGDG = "pgdg"


POSTGRES_MAJORS: tuple[int, ...] = (15, 16, 17, 18)
"""Server majors Keel supports (PLAT-01, X-01)."""

DEBIAN_POSTGRES: dict[Debian, int] = {Debian.BOOKWORM: 15, Debian.TRIXIE: 17, Debian.FORKY: 18}
"""The one server major in each release's own archive."""


DEBIAN_PGBOUNCER: dict[Debian, tuple[int, int]] = {
    Debian.BOOKWORM: (1, 18),
    Debian.TRIXIE: (1, 24),
    Debian.FORKY: (1, 26),
}
"""PgBouncer in each release's own archive."""

NEEDED_PGBOUNCER = (1, 24)
"""Prepared statements need 1.21 (PLAT-23), a client limit per database 1.24 (X-08)."""


def ends_transactions(release: Debian, source: PackageSource) -> bool:
    """Whether PgBouncer certainly knows a user's transaction_timeout (1.26); an older one does not start with it."""
    return source is PackageSource.DEBIAN and DEBIAN_PGBOUNCER[release] >= (1, 26)


def available_majors(release: Debian, source: PackageSource) -> tuple[int, ...]:
    """Server majors that ``release`` can install from ``source``."""
    return POSTGRES_MAJORS if source is PackageSource.PGDG else (DEBIAN_POSTGRES[release],)
