"""A product's database, dumped and loaded beside itself as a restore does it."""

from __future__ import annotations

import shlex
from pathlib import Path

from environment.names import RESTORE
from environment.products import Product
from ops.backup import loading
from ops.hosts.session import Superuser
from tools.scratch_server import SUPERUSER_PASSWORD, Server


class Here(Superuser):
    """The test's server."""

    def __init__(self, server: Server) -> None:
        super().__init__(Path("/pg"))
        object.__setattr__(self, "connect", server.connect)


def loaded(server: Server, product: Product, told: list[str], role: str = RESTORE) -> str:
    """Dump the product's database and load it beside it; the name of the new one."""
    there, here = loading.coming(product.name), Here(server)
    front = shlex.split(f"env PGPASSWORD={SUPERUSER_PASSWORD} sh -c")

    def run(command: str, given: str = "") -> str:
        done = server.run(*front, command, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(f"pg_dump -h /pg -U postgres -d {product.name} -Fc -f /pg/dump")
    entries = [
        loading.entry(line) for line in run("pg_restore --list /pg/dump").splitlines() if line[:1] not in ("", ";")
    ]
    wanted = loading.loadable(entries, product.name, told.append)
    run("cat > /pg/list", "".join(f"{each.number};\n" for each in wanted))
    with loading.login(here, product):
        loading.make_room(here, product, there)
        server.execute(f"alter role {RESTORE} password '{SUPERUSER_PASSWORD}'")
        run(f"pg_restore -h /pg -U {role} -d {there} -L /pg/list --exit-on-error /pg/dump")
    return there
