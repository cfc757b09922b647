"""PgBouncer on each edge: where applications connect (JEEX-16..20, PLAT-21..23)."""

from __future__ import annotations

from pathlib import Path

from environment.access import door, lines, listens
from environment.budget import looking_up
from environment.manifest import Manifest
from environment.names import BACKUP_VOLUME, IDENTITY, LOOKUP, PGBOUNCER, POSTGRES_VOLUME, SUPERUSER
from environment.pki import Leaf
from environment.types import Reset
from environment.versions import ends_transactions
from keel_host.config import Edge, text
from roles import paths
from roles.kit import tls
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit
from roles.kit.sandbox import path, sandbox
from roles.pgbouncer import console

FOLDER = paths.PGBOUNCER
CONFIG = f"{FOLDER}/pgbouncer.ini"
DATABASES = f"{FOLDER}/databases.ini"
ACCESS = f"{FOLDER}/pg_hba.conf"
USERS = f"{FOLDER}/userlist.txt"
LISTEN = f"{FOLDER}/listen.ini"
TLS = f"{paths.TLS}/pgbouncer"
UNIT = "pgbouncer.service"
HOLD = f"{paths.UNITS}/{paths.HOLD_UNIT}"
HELD = Path(paths.HELD)
DROPIN = paths.dropin(UNIT)
OTHERS = (POSTGRES_VOLUME, BACKUP_VOLUME, paths.PATRONI, paths.PGBACKREST)
"""What the server's user may read on a host that carries both, and the pooler runs as that user."""
CODE = paths.code("programs/run_pooler", "config", "console", "files", "processes", "systemd", "typed")
LOOKUP_TLS = f"{paths.TLS}/lookup"
"""With which PgBouncer proves to the server that it is the one that may look up passwords."""

READS_LAST = 20
"""Seconds after which a server connection for reads is opened again, when its transaction has ended. PgBouncer spreads them over
as long again, so all are on a replica that came back within 40 s."""
ADMINISTRATOR = "postgres"
"""Who may give orders on the console, over the socket: the account as which the pooler runs."""
LOOKUP_DATABASE = "postgres"
"""PgBouncer's name for where passwords are looked up, at the primary."""

IGNORED = ("extra_float_digits", "jit")
"""What clients may send in every environment: neither changes an answer (JEEX-18)."""

RESET_QUERIES = {
    Reset.IDENTITY: f"RESET {IDENTITY}; RESET row_security",
    Reset.STATE: "DISCARD ALL",
    Reset.OFF: "DISCARD ALL",
}
"""What PgBouncer sends after each transaction, where the setting is not `off` (JEEX-18)."""


class Pgbouncer(Role):
    """Transaction pooling, SCRAM by a look-up in the server, TLS on both sides."""

    name = "pgbouncer"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory(f"{paths.UNITS}/pgbouncer.service.d"),)

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        host, name = target.host, target.manifest.identity.name
        names = (host.name, f"pgbouncer.{name}", "localhost", "127.0.0.1", str(host.address))
        found = target.manifest.aliases(host)
        # The server asks for the name in it, so that it opens nothing else.
        lookup = Certificate(LOOKUP_TLS, Leaf(PGBOUNCER, (PGBOUNCER,), enters=True), "postgres", "postgres")
        return (target.serving("pgbouncer", "postgres", *names, *found), lookup)

    def files(self, target: Target) -> tuple[File, ...]:
        manifest = target.manifest
        password = target.roots.password(PGBOUNCER)
        values = {
            "tls": TLS,
            "ciphers": tls.CIPHERS,
            "ca": paths.CA,
            "folder": FOLDER,
            "lookup_role": PGBOUNCER,
            "lookup": LOOKUP,
            "lookup_database": LOOKUP_DATABASE,
            "looking_up": looking_up(manifest.pgbouncer),
            "administrator": ADMINISTRATOR,
            "ends_transactions": ends_transactions(manifest.release.debian, manifest.release.source),
            "lookup_tls": LOOKUP_TLS,
            "admitted": lines(manifest, target.host, "pgbouncer"),
            "listen": LISTEN,
            "addresses": listens(target.host, door("pgbouncer")),
            "reads_last": READS_LAST,
            "ignored": ",".join(ignored(manifest)),
            "reset_query": RESET_QUERIES[manifest.pgbouncer.reset],
        }
        return (
            File(USERS, f'"{PGBOUNCER}" "{password}"\n"{SUPERUSER}" ""\n', "postgres", "postgres", "640"),
            File(ACCESS, self.render("pg_hba.conf.j2", target, **values), "postgres", "postgres", "640"),
            File(DATABASES, self.render("databases.ini.j2", target, **values), "postgres", "postgres", "640"),
            File(LISTEN, self.render("listen.ini.j2", target, **values), "postgres", "postgres", "640"),
            File(CONFIG, self.render("pgbouncer.ini.j2", target, **values), "postgres", "postgres", "640"),
            File(DROPIN, self.render("pgbouncer.service.conf", target, program=paths.RUN_POOLER, config=CONFIG)),
            sandbox(UNIT, self.certificates(target), hides=OTHERS),
            File(str(Edge.FILE), text(settings(target))),
            File(
                HOLD, self.render("hold-writes.service.j2", target, program=paths.HOLD_WRITES, folder=HELD.parent.name)
            ),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        reload = (CONFIG, DATABASES, ACCESS, USERS, TLS, LOOKUP_TLS, paths.CA)
        return (Unit(UNIT, restart=(DROPIN, path(UNIT), LISTEN, *CODE), reload=reload, title="PgBouncer"),)

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        port = target.manifest.ports.pgbouncer
        console.open_what_is_closed(UNIT, port, ADMINISTRATOR)  # first: one that is suspended answers nothing else
        console.forget_hand_made_settings(CONFIG, port, ADMINISTRATOR)


def ignored(manifest: Manifest) -> list[str]:
    """Parameters that PgBouncer lets by as a client connects, and drops. It has one list for all databases."""
    declared = {name for entry in manifest.products.values() for name in entry.limits.startup}
    return [*IGNORED, *sorted(declared - {*IGNORED})]


def settings(target: Target) -> Edge:
    """What the programs of an edge need to know of it. A client that logs in waits too: the look-up of its
    password leads to the primary."""
    return Edge(
        sockets=Path(paths.PGBOUNCER_SOCKETS),
        port=target.manifest.ports.pgbouncer,
        administrator=ADMINISTRATOR,
        databases=tuple(target.manifest.products),
        lookup=LOOKUP_DATABASE,
        proxy=Path(paths.HAPROXY_SOCKET),
        account=HELD,
        addresses=listens(target.host, door("pgbouncer")),
    )
