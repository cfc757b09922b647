"""A real PostgreSQL in a container of its own, for tests and for what is written from a new database. It is gone when its process
ends, however that ends."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from pydantic import SecretStr
from sqlalchemy import URL

from db import provision, sessions
from db.spec import ClusterSpec, Migrated
from environment.names import BACKUP, LOOK, RESTORE
from environment.products import Product, catalogue
from environment.waiting import until
from tools import scratch_images

T = TypeVar("T")

LOCALE = "C.UTF-8"

SUPERUSER_PASSWORD = secrets.token_urlsafe()

LOG = "/pg/log"
"""In the container. Docker's own log takes seconds to read once a test run has written fifty megabytes."""

# Standard input is the life line: when its process ends, also by SIGKILL, it closes; the container ends.
# fsync and full pages off: nothing here has to survive a power failure. jit off: a plan of the catalogue would be compiled
# for longer than it runs, on majors whose packages can.
SCRIPT = f"""
set -e
PATH="$(echo /usr/lib/postgresql/*/bin):$PATH"
read -r password; echo "$password" > /pg/password
initdb -D /pg/data -U postgres -A scram-sha-256 --pwfile=/pg/password --locale=C.UTF-8 -E UTF8 >/dev/null
printf '%s\n' 'local all {BACKUP},{RESTORE} trust' 'local all all scram-sha-256' 'host all {LOOK} all trust' 'host all all all scram-sha-256' \
    > /pg/data/pg_hba.conf
postgres -D /pg/data -c fsync=off -c full_page_writes=off -c jit=off -c listen_addresses='*' -c unix_socket_directories=/pg \
    -c shared_preload_libraries=pg_stat_statements -c log_statement=all </dev/null >{LOG} 2>&1 &
cat >/dev/null
kill -INT $!
wait
"""


def password_of(role: str) -> str:
    """A test password with everything that a URL or a configuration file could stumble over (Q-33)."""
    return f"{role} 100%/@:%(x)s"


def wait_for(what: str, probe: Callable[[], T | None], *, timeout: float = 30) -> T:
    """Call `probe` until it returns something true; fail with `what` after `timeout` seconds."""
    found = until(probe, timeout, what, every=0.05)
    assert found is not None
    return found


@dataclass(frozen=True)
class Server:
    """Where it listens, and how to get in as whom."""

    container: str
    port: int

    def connect(self, database: str = "postgres", role: str = "postgres") -> "psycopg.Connection[Any]":
        """A session of a role with its test password."""
        password = SUPERUSER_PASSWORD if role == "postgres" else password_of(role)
        options = (
            '-c search_path="$user",public' if role == "postgres" else ""
        )  # like anybody, whatever is set for the role
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=role,
            password=password,
            connect_timeout=5,
            options=options,
        )

    def superuser(self, database: str) -> "psycopg.Connection[Any]":
        """What `db.provision` is given to change something."""
        return sessions.superuser(database, host="127.0.0.1", port=self.port, password=SUPERUSER_PASSWORD)

    def look(self, database: str, user: str = LOOK) -> "psycopg.Connection[Any]":
        """What it is given to look."""
        return sessions.look(database, user, host="127.0.0.1", port=self.port, password=password_of(user))

    def url(self, product: Product, driver: str = "postgresql", database: str | None = None) -> str:
        """The migrator's URL."""
        role = product.migrator_role
        url = URL.create(driver, role, password_of(role), "127.0.0.1", self.port, database or product.name)
        return url.render_as_string(hide_password=False)

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run one statement as superuser, outside a transaction."""
        with self.connect(database) as connection:
            connection.autocommit = True
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def run(self, *command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a program in the container, as the server's user."""
        return subprocess.run(
            ["docker", "exec", "-i", self.container, *command], input=given, text=True, capture_output=True
        )

    def log(self, since: int = 0) -> str:
        """What the server has written, after the first ``since`` bytes of it."""
        read = ["docker", "exec", self.container, "tail", "-c", f"+{since + 1}", LOG]
        return subprocess.run(read, text=True, errors="replace", capture_output=True, check=True).stdout

    @property
    def logged(self) -> int:
        """How many bytes it has written."""
        size = ["docker", "exec", self.container, "stat", "-c", "%s", LOG]
        return int(subprocess.run(size, text=True, capture_output=True, check=True).stdout)


@contextmanager
def running(major: int = scratch_images.DEFAULT) -> Iterator[Server]:
    """Start a server of a major version and remove it in the end."""
    name = f"keel-test-db-{os.getpid()}-{secrets.token_hex(2)}"  # a process may have several
    image = scratch_images.tag(major)
    process = subprocess.Popen(
        ["docker", "run", "--rm", "-i", "--name", name, "--user", "postgres", "--tmpfs", "/pg:mode=1777",
         "-p", "127.0.0.1::5432", "--entrypoint", "sh", image, "-c", SCRIPT],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin
    try:
        process.stdin.write(SUPERUSER_PASSWORD + "\n")
        process.stdin.flush()
        yield Server(name, wait_for("the server", lambda: _port(name, image, process)))
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def _port(name: str, image: str, process: "subprocess.Popen[str]") -> int | None:
    """The published port once a session is possible."""
    assert process.poll() is None, f"container {name} ended: docker run {image} by hand says why"
    ended = subprocess.run(["docker", "port", name, "5432"], text=True, capture_output=True)
    if ended.returncode:
        return None
    port = int(ended.stdout.split(":")[1].split()[0])
    try:
        Server(name, port).connect().close()
    except psycopg.OperationalError:
        return None
    return port


def spec_of(*, migrated: Migrated = Migrated.NEVER) -> ClusterSpec:
    """All products of this checkout, equally far migrated."""
    products = tuple(catalogue().values())
    bare = ClusterSpec(products=products, passwords={}, locale=LOCALE)
    return bare.model_copy(
        update={
            "passwords": {
                role.name: SecretStr(password_of(role.name))
                for role in provision.declared_roles(bare, 18)
                if role.password
            },
            "migrated": dict.fromkeys(catalogue(), migrated),
        }
    )


def provisioned(server: Server, spec: ClusterSpec) -> None:
    """Converge the cluster."""
    provision.converge(server.superuser, server.look, spec, prune=True)
