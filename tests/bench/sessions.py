"""What each choice of `pgbouncer.reset` costs: a transaction of four statements through the pooler, in turns on one environment.

    ENV=dev python -m tests.bench.sessions [ROUNDS]

Nothing stays changed: PgBouncer's console sets each choice, and in the end it reads its file again. Prints the median for
one client, with what the driver prepares and without, and how much more it is than with nothing reset.
"""

from __future__ import annotations

import os
import shlex
import statistics
import sys
import time
from collections import defaultdict

import psycopg
from rich.console import Console
from rich.table import Table

from db.url import conninfo
from environment.products import catalogue
from environment.types import Group, Reset
from environment.urls import product_urls
from ops.hosts.environment import open_environment
from ops.hosts.session import Session
from roles.pgbouncer.role import RESET_QUERIES

PRODUCT = "bacopilot"
STATEMENTS = (
    b"select set_config('app.current_user_id', '01900000-0000-7000-8000-000000000001', true)",
    b"select * from users",
    b"select * from documents order by created_at desc limit 20",
    b"select count(*) from conversations",
)
TRANSACTIONS = 200
"""Of each choice in each round, after a tenth of them that is not counted."""
WAYS = {"prepared": 5, "not prepared": None}
"""How → after how many executions psycopg prepares a statement."""


def main(rounds: int) -> None:
    """Measure and print."""
    seconds: defaultdict[tuple[Reset, str], list[float]] = defaultdict(list)
    with open_environment(os.environ.get("ENV", "dev")) as session:
        url = conninfo(product_urls(session.manifest, session.roots, catalogue()[PRODUCT])["application"])
        try:
            for _ in range(rounds):
                for reset in Reset:
                    _console(session, f"SET server_reset_query = '{RESET_QUERIES[reset]}'")
                    _console(session, f"SET server_reset_query_always = {int(reset is not Reset.OFF)}")
                    for way, threshold in WAYS.items():
                        seconds[reset, way] += _transactions(url, threshold)
        finally:
            _console(session, "RELOAD")
    table = Table("reset", *(f"{way}, ms" for way in WAYS), *(f"{way}, more" for way in WAYS))
    for reset in Reset:
        medians = [statistics.median(seconds[reset, way]) for way in WAYS]
        more = [
            median / statistics.median(seconds[Reset.OFF, way]) - 1 for median, way in zip(medians, WAYS, strict=True)
        ]
        table.add_row(reset, *(f"{median * 1000:.2f}" for median in medians), *(f"{each:+.0%}" for each in more))
    Console().print(table)


def _transactions(url: str, threshold: int | None) -> list[float]:
    """Seconds of each transaction of one client."""
    found = []
    with psycopg.connect(url, prepare_threshold=threshold) as client:
        for _ in range(TRANSACTIONS + TRANSACTIONS // 10):
            began = time.perf_counter()
            for statement in STATEMENTS:
                client.execute(statement).fetchall()
            client.commit()
            found.append(time.perf_counter() - began)
    return found[TRANSACTIONS // 10 :]


def _console(session: Session, command: str) -> None:
    edge, port = session.manifest.carrying(Group.EDGE)[0], session.manifest.ports.pgbouncer
    psql = f"psql -Xq -v ON_ERROR_STOP=1 -h /run/pgbouncer -p {port} -U postgres pgbouncer -c {shlex.quote(command)}"
    session.run(edge.name, f"runuser -u postgres -- {psql}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
