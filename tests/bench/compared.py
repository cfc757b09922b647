"""What one environment costs its clients more than another, in turns in one run: two revisions, or two settings.

    ./keel -e one env bacopilot > one.env; ./keel -e other env bacopilot > other.env
    python -m tests.bench.compared one.env other.env [ROUNDS]

Prints for each way the median in milliseconds, and how much more the second takes. It writes nothing.
"""

from __future__ import annotations

import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from tests.bench.sessions import STATEMENTS

TIMES = {"connect": 15, "transaction": 150}
"""Of a way in each round, after a tenth of them that is not counted."""
Way = Callable[[], object]


def ways(values: dict[str, str]) -> dict[str, Way]:
    """What a client of BA Copilot does, by name; connections stay open from round to round."""
    pooled, direct = (_conninfo(values[key]) for key in ("DATABASE_URL", "DATABASE_SYNC_URL"))
    prepared, unprepared, past = (
        psycopg.connect(url, prepare_threshold=threshold)
        for url, threshold in ((pooled, 5), (pooled, None), (direct, 5))
    )
    cache = redis.Redis.from_url(values["REDIS_URL"], ssl_cert_reqs="none")
    return {
        "connect through the pooler": lambda: psycopg.connect(pooled).close(),
        "connect to the primary": lambda: psycopg.connect(direct).close(),
        "transaction through the pooler, prepared": lambda: _transaction(prepared),
        "transaction through the pooler, not prepared": lambda: _transaction(unprepared),
        "transaction past the pooler": lambda: _transaction(past),
        "read of a key in Redis": lambda: cache.get("bacopilot:none"),
    }


def main(files: list[str], rounds: int) -> None:
    """Measure and print."""
    sides = [ways(_values(Path(file))) for file in files]
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sides[0]}
    for _ in range(rounds):
        for name in taken:
            for side, found in zip(sides, taken[name], strict=True):
                found += _times(side[name], TIMES["connect" if name.startswith("connect") else "transaction"])
    table = Table("way", *(f"{Path(file).stem}, ms" for file in files), "more")
    for name, both in taken.items():
        first, second = (statistics.median(each) * 1000 for each in both)
        table.add_row(name, f"{first:.2f}", f"{second:.2f}", f"{second / first - 1:+.0%}")
    Console().print(table)


def _values(file: Path) -> dict[str, str]:
    """What `./keel env` printed."""
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return {key: shlex.split(value)[0] for key, _, value in (line.partition("=") for line in lines)}


def _times(way: Way, number: int) -> list[float]:
    found = []
    for _ in range(number + number // 10):
        began = time.perf_counter()
        way()
        found.append(time.perf_counter() - began)
    return found[number // 10 :]


def _transaction(client: psycopg.Connection) -> None:
    for statement in STATEMENTS:
        client.execute(statement).fetchall()
    client.commit()


def _conninfo(url: str) -> str:
    """libpq's form of an application's URL."""
    found = make_url(url).set(drivername="postgresql")
    mode = found.query.get("ssl") or found.query["sslmode"]
    return found.set(query={"sslmode": mode}).render_as_string(hide_password=False)


if __name__ == "__main__":
    main(sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else 5)
