"""libpq reads files of the home directory that no one named: a certificate would be shown to servers that do not know its authority."""

from __future__ import annotations

import os

FILES = ("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLCRL")
"""Variables that name other files instead (https://www.postgresql.org/docs/current/libpq-envars.html)."""
NO_FILE = "/dev/null/none"
"""Where nothing can be: of such a name libpq takes it that there is none. Other drivers do not, so it is for processes of Keel's."""


def without_home() -> None:
    """From now on libpq reads in this process, and those that it starts, only files that are named to it."""
    os.environ.update(dict.fromkeys(FILES, NO_FILE))
