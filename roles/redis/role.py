"""Redis: sessions and query cache (BAC-25, -27, RIQ-20), TLS only, an account for each product (PLAT-25, W10)."""

from __future__ import annotations

import hashlib

from environment.names import MONITOR, REDIS_VOLUME
from environment.urls import redis_login
from roles import paths
from roles.kit import tls
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit
from roles.kit.sandbox import path, sandbox

CONFIG = "/etc/redis/redis.conf"
ACCOUNTS = "/etc/redis/users.acl"
TLS = f"{paths.TLS}/redis"
UNIT = "redis-server.service"
DROPIN = paths.dropin(UNIT)


RIGHTS = (
    "-@all",
    *("+@string", "+@hash", "+@list", "+@set", "+@sortedset", "+@stream", "+@bitmap", "+@hyperloglog", "+@geo"),
    *("+@keyspace", "+@pubsub", "+@transaction", "+@connection", "+@blocking"),
    # KEYS, CONFIG, FLUSHALL, FLUSHDB, INFO, SORT, MONITOR and the like; EVAL and FUNCTION.
    *("-@admin", "-@dangerous", "-@scripting"),
    # What tells the names of other products' keys and channels, or how many there are: patterns do not hold for it.
    *("-scan", "-randomkey", "-dbsize", "-pubsub", "-client|tracking", "-select"),
)
"""What a product's account may do with its own keys and channels. No document asks for more (docs/contradictions.md)."""


class Redis(Role):
    """One Redis server with an append-only file."""

    name = "redis"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (
            Directory(REDIS_VOLUME, "redis", "redis", "750"),
            Directory(f"{paths.UNITS}/redis-server.service.d"),
        )

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        host = target.host
        names = (host.name, f"redis.{target.manifest.identity.name}", "localhost", "127.0.0.1", str(host.address))
        return (target.serving("redis", "redis", *names, *target.manifest.aliases(host)),)

    def files(self, target: Target) -> tuple[File, ...]:
        names = (MONITOR, *target.manifest.products)
        digests = {
            name: hashlib.sha256(target.roots.password(redis_login(name)).encode()).hexdigest() for name in names
        }
        accounts = self.render("users.acl.j2", target, monitor=MONITOR, digests=digests, rights=" ".join(RIGHTS))
        config = self.render(
            "redis.conf.j2", target, ciphers=tls.CIPHERS, tls=TLS, ca=paths.CA, accounts=ACCOUNTS, folder=REDIS_VOLUME
        )
        return (
            File(ACCOUNTS, accounts, "redis", "redis", "640"),
            File(CONFIG, config, "redis", "redis", "640"),
            File(DROPIN, self.render("redis-server.service.conf", target)),
            sandbox(UNIT, self.certificates(target), writes=(REDIS_VOLUME,)),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit(UNIT, restart=(CONFIG, ACCOUNTS, DROPIN, path(UNIT), TLS, paths.CA), title="Redis"),)
