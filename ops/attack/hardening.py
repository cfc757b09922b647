"""W14, W15: what a host and a server leave open without need."""

from __future__ import annotations

from collections.abc import Iterator

from environment.types import Group
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt


@attempt("W15")
def weak_ssh(attacker: Attacker) -> Iterator[Tried]:
    """sshd takes no password, no SHA-1, no tag of what is not encrypted, none of NIST's curves, and forwards no agent."""
    for host in attacker.manifest.hosts:
        found = attacker.shell(host.name, "sshd -T").text.lower().splitlines()
        settings = dict(line.split(" ", 1) for line in found if " " in line)
        weak = {
            "passwords": settings.get("passwordauthentication") != "no",
            "SHA-1": any("sha1" in name for name in settings.get("macs", "sha1").split(",")),
            "tags of clear text": any("-etm@" not in name for name in settings.get("macs", "").split(",")),
            "NIST's curves": "nistp" in settings.get("kexalgorithms", "nistp"),
            "agents": settings.get("allowagentforwarding") != "no",
        }
        for what, open_ in weak.items():
            yield Tried(f"{what} at sshd of {host.name}", open_)


@attempt("W14")
def sees_strange_databases(attacker: Attacker) -> Iterator[Tried]:
    """PUBLIC has nothing in the databases that are no product's."""
    with attacker.session.superuser() as superuser:
        for database in ("postgres", "template1"):
            with superuser.connect(database) as connection:
                row = connection.execute(
                    "select pg_catalog.has_schema_privilege('public', 'public', 'USAGE'),"
                    " pg_catalog.has_database_privilege('public', pg_catalog.current_database(), 'CONNECT')"
                ).fetchone()
            usage, connect = row or (True, True)
            yield Tried(f"PUBLIC connects to {database}", connect)
            yield Tried(f"PUBLIC uses the schema public of {database}", usage)


@attempt("W14")
def uses_the_servers_socket(attacker: Attacker) -> Iterator[Tried]:
    """Accounts that have nothing to do with PostgreSQL do not reach its socket."""
    for host in attacker.carrying(Group.POSTGRES):
        for account in ("daemon", "etcd"):
            answer = attacker.shell(host.name, "psql -U postgres -XAtc 'select 1'", account)
            yield Tried(f"{account} on {host.name} as postgres", answer.status == 0, answer.last)
