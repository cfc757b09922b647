"""Redis: sessions and query cache (BAC-25, -27, RIQ-20), TLS only, an account with a password (PLAT-25)."""

from __future__ import annotations

import hashlib

from environment.names import REDIS_VOLUME
from environment.urls import REDIS_ACCOUNT
from roles import paths
from roles.kit.declare import Certificate, Directory, File, Role, Target, Unit
from roles.kit.sandbox import path, sandbox

CONFIG = "/etc/redis/redis.conf"
ACCOUNTS = "/etc/redis/users.acl"
TLS = f"{paths.TLS}/redis"
UNIT = "redis-server.service"
DROPIN = paths.dropin(UNIT)


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
        return (Certificate(TLS, names, "redis", "redis"),)

    def files(self, target: Target) -> tuple[File, ...]:
        digest = hashlib.sha256(target.roots.password(f"redis/{REDIS_ACCOUNT}").encode()).hexdigest()
        accounts = self.render("users.acl.j2", target, account=REDIS_ACCOUNT, digest=digest)
        config = self.render("redis.conf.j2", target, tls=TLS, ca=paths.CA, accounts=ACCOUNTS, folder=REDIS_VOLUME)
        return (
            File(ACCOUNTS, accounts, "redis", "redis", "640"),
            File(CONFIG, config, "redis", "redis", "640"),
            File(DROPIN, self.render("redis-server.service.conf", target)),
            sandbox(UNIT, keys=(TLS,), writes=(REDIS_VOLUME,)),
        )

    def units(self, target: Target) -> tuple[Unit, ...]:
        return (Unit(UNIT, restart=(CONFIG, ACCOUNTS, DROPIN, path(UNIT), TLS, paths.CA), title="Redis"),)
