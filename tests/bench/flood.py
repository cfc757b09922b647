"""What one product's flood costs another: the time of a small transaction through the pooler, quiet and flooded, in one run (W9).

    python -m tests.bench.flood [ROUNDS]

On an environment of its own like ci. The first product holds all that its limits let it, in its pools and past them, and
sleeps or computes; the other asks for a small transaction at a time. Aim: the 95th percentile at most doubles.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, PIPE, Popen

import psycopg

from db.url import conninfo
from environment.budget import connections
from environment.products import catalogue
from environment.program import Environment
from environment.urls import product_urls
from environment.waiting import until
from tests.system.environments import Ephemeral, discard, prepare

SECONDS = 15
WINDOWS = 3
"""Of so many seconds each: a flood leaves a processor to others from the next look of `share-cores` on, some ten seconds later."""
PAUSE = 0.005
"""Between two transactions of the other product."""
FLOODS = {
    "sleeps": "select pg_sleep(0.5);",
    "computes": "select count(*) from generate_series(1, 300000);",
}
FLOODING, ASKING = catalogue()["jeex_idea"], catalogue()["ruleiq"]


def main(rounds: int) -> None:
    """Print both percentiles for each round and flood."""
    ephemeral = prepare("ci", "flood")
    try:
        ephemeral.up()
        for _ in range(rounds):
            quiet = percentile(asked(ephemeral.environment))
            for name, statement in FLOODS.items():
                with flood(ephemeral, statement):
                    for window in range(WINDOWS):
                        flooded = percentile(asked(ephemeral.environment))
                        print(
                            f"{name:<9} after {window * SECONDS:>2} s: p95 {quiet:6.1f} ms quiet, {flooded:6.1f} ms flooded: "
                            f"× {flooded / quiet:.1f}",
                            flush=True,
                        )
    finally:
        discard(ephemeral)


@contextmanager
def flood(ephemeral: Ephemeral, statement: str) -> Iterator[None]:
    """As many clients of the first product as its pools have, and past the pooler as many as its login may open."""
    manifest = ephemeral.environment.manifest
    host, login = manifest.hosts[0], connections(manifest)[FLOODING.name].login
    pool = manifest.products[FLOODING.name].limits.max_db_connections
    clients = {manifest.ports.pgbouncer: 2 * pool, manifest.ports.primary: login - pool}
    running = []
    for port, number in clients.items():
        bench = (
            f"/usr/lib/postgresql/{manifest.release.postgres}/bin/pgbench -n -c {number} -T {(WINDOWS + 1) * SECONDS} -f /dev/stdin "
            f"-h {host.address} -p {port} -U {FLOODING.app_role} {FLOODING.name}"
        )
        secret = ephemeral.environment.roots.password(FLOODING.app_role)
        command = f"read -r PGPASSWORD; export PGPASSWORD PGSSLMODE=require; exec {bench}"
        process = Popen(
            ["docker", "exec", "-i", ephemeral.container(host.name), "sh", "-c", command],
            stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(f"{secret}\n{statement}\n")
        process.stdin.close()
        running.append(process)
    try:
        until(lambda: held(ephemeral) >= login, 30, f"{FLOODING.name} to hold what it may")
        yield
    finally:
        for process in running:
            process.wait(timeout=2 * WINDOWS * SECONDS)


def held(ephemeral: Ephemeral) -> int:
    """Connections of the first product's login to the server."""
    with ephemeral.session() as session:
        query = f"select count(*) from pg_stat_activity where usename = '{FLOODING.app_role}'"
        return int(session.run(session.leader().name, f'psql -U postgres -XAtc "{query}"'))


def asked(environment: Environment) -> list[float]:
    """Milliseconds of each small transaction of the other product, through the pooler."""
    taken: list[float] = []
    url = conninfo(product_urls(environment.manifest, environment.roots, ASKING)["application"])
    with psycopg.connect(url, autocommit=True) as client:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            begin = time.perf_counter()
            with client.transaction():
                client.execute("select set_config('app.current_user_id', '1', true)")
                client.execute("select 1")
            taken.append((time.perf_counter() - begin) * 1000)
            time.sleep(PAUSE)
    return taken


def percentile(taken: list[float]) -> float:
    """The 95th."""
    return statistics.quantiles(taken, n=100)[94]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
