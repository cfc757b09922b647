"""The backend of BA Copilot in a container, as far as its connections go: run by the compose file of docs/compose.

It reads what `./keel env bacopilot --from docker` prints and answers with one line of JSON. Standard input, the repository and the
rest of Keel are not there.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import asyncpg
import psycopg
import redis
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

REGISTER = "select auth.register_user('{tag}@keel.invalid', '!', 'Ada')"
BECOME = "select set_config('app.current_user_id', '{user}', true)"
WRITE = "insert into documents (user_id, project_name, content) values ('{user}', '{tag}', '')"
COUNT = "select count(*) from documents where project_name = '{tag}'"
REMOVE = "delete from documents where project_name = '{tag}'"
Client = Callable[[str], dict[str, Any]]


def rows(ask: Callable[..., Any]) -> dict[str, Any]:
    """What an owner and someone else see of a committed row. ``ask`` runs statements in one transaction; their answers."""
    tag = f"keel-{uuid4().hex}"
    ((user,), (other,)) = ask(REGISTER.format(tag=tag)), ask(REGISTER.format(tag=f"other-{tag}"))
    become, intrude = BECOME.format(user=user), BECOME.format(user=other)
    ask(become, WRITE.format(user=user, tag=tag))
    seen = {
        "owner": ask(become, COUNT.format(tag=tag))[-1],
        "other": ask(intrude, COUNT.format(tag=tag))[-1],
        "nobody": ask(COUNT.format(tag=tag))[-1],
    }
    ask(become, REMOVE.format(tag=tag))
    return seen


def with_psycopg(url: str) -> dict[str, Any]:
    """psycopg, as reports and scripts use it."""
    with psycopg.connect(url, autocommit=True) as connection:

        def ask(*statements: str) -> list[Any]:
            with connection.transaction():
                return [_first(connection.execute(each.encode())) for each in statements]

        return rows(ask)


def _first(cursor: Any) -> Any:
    return cursor.fetchone()[0] if cursor.description else None


def with_asyncpg(url: str) -> dict[str, Any]:
    """asyncpg alone."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))

        async def ask(*statements: str) -> list[Any]:
            async with connection.transaction():
                return [await connection.fetchval(each) for each in statements]

        try:
            return rows(lambda *statements: runner.run(ask(*statements)))
        finally:
            runner.run(connection.close())


def with_sqlalchemy_async(url: str) -> dict[str, Any]:
    """As ComponentForge's document configures it."""
    engine = create_async_engine(
        url, pool_size=20, max_overflow=10, pool_timeout=30, pool_pre_ping=True, echo=False, pool_recycle=3600
    )
    sessions = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)

    async def ask(*statements: str) -> list[Any]:
        async with sessions() as session, session.begin():
            answers = [await session.execute(sqlalchemy.text(each)) for each in statements]
            return [answer.scalar() if answer.returns_rows else None for answer in answers]  # type: ignore[attr-defined]

    with asyncio.Runner() as runner:
        try:
            return rows(lambda *statements: runner.run(ask(*statements)))
        finally:
            runner.run(engine.dispose())


def with_sqlalchemy(url: str) -> dict[str, Any]:
    """As BA Copilot's document configures it."""
    engine = sqlalchemy.create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True, echo=False)
    sessions = sessionmaker(engine, class_=Session)

    def ask(*statements: str) -> list[Any]:
        with sessions() as session, session.begin():
            answers = [session.execute(sqlalchemy.text(each)) for each in statements]
            return [answer.scalar() if answer.returns_rows else None for answer in answers]  # type: ignore[attr-defined]

    try:
        return rows(ask)
    finally:
        engine.dispose()


def with_redis(url: str) -> dict[str, Any]:
    """redis-py: a transaction of the product's account."""
    key = f"bacopilot:{uuid4().hex}"
    with redis.Redis.from_url(url, decode_responses=True) as cache, cache.pipeline(transaction=True) as pipe:
        _, got, removed = pipe.set(key, "there", ex=60).get(key).delete(key).execute()
    return {"got": got, "removed": removed}


def clients() -> dict[str, tuple[Client, str]]:
    """Name → client and its URL: those of the `.env` file, and the same for drivers that are used without SQLAlchemy."""
    application, direct = os.environ["DATABASE_URL"], os.environ["DATABASE_SYNC_URL"]
    plain = application.replace("+asyncpg", "").replace("ssl=", "sslmode=")
    return {
        "asyncpg": (with_asyncpg, plain),
        "psycopg": (with_psycopg, plain),
        "psycopg, past the pooler": (with_psycopg, plain.replace(address(plain), address(direct))),
        "sqlalchemy+asyncpg": (with_sqlalchemy_async, application),
        "sqlalchemy+psycopg": (with_sqlalchemy, plain.replace("postgresql:", "postgresql+psycopg:")),
        "redis": (with_redis, os.environ["REDIS_URL"]),
    }


def address(url: str) -> str:
    """Name and port in a URL."""
    return url.rpartition("@")[2].partition("/")[0]


def misled(client: Client, url: str, name: str) -> str:
    """What a client says of a server that answers under ``name``; "" where it takes it for the right one."""
    try:
        client(url.replace(address(url).partition(":")[0], name))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def answers(at: list[Any]) -> bool:
    """True if a port answers, be it with a refusal."""
    try:
        socket.create_connection((at[0], at[1]), 3).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def main(asked: dict[str, Any]) -> None:
    """``asked``: the ports to try, and a name that leads to an edge and that its certificate does not hold."""
    with ThreadPoolExecutor(32) as pool:
        answering = [
            at for at, answered in zip(asked["ports"], pool.map(answers, asked["ports"]), strict=True) if answered
        ]
    edge = address(os.environ["DATABASE_URL"]).partition(":")[0]
    said = {
        "address": socket.gethostbyname(socket.gethostname()),
        "edges": sorted({found[4][0] for found in socket.getaddrinfo(edge, 0, socket.AF_INET)}),
        "clients": {name: client(url) for name, (client, url) in clients().items()},
        "misled": {name: misled(client, url, asked["another_name"]) for name, (client, url) in clients().items()},
        "ports": answering,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
