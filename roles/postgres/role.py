"""PostgreSQL under Patroni: the primary and its replicas (PLAT-37, X-23)."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from environment.access import lines, on_the_socket
from environment.names import LOCAL, POSTGRES_VOLUME, REPLICATION, RESTORE, REWIND, SESSIONS, SUPERUSER
from environment.pki import Authority, Leaf
from environment.types import Group, Provider
from keel_host.config import Bound, Member, text
from roles import paths
from roles.kit import tls
from roles.kit.declare import Certificate, Directory, Effect, File, Role, Target, Trust, Unit
from roles.kit.sandbox import path, sandbox
from roles.pgbackrest.role import LOGS as ARCHIVING_LOGS
from roles.pgbackrest.role import SPOOL, Pgbackrest
from roles.postgres import cluster, patroni, restarts
from roles.postgres.parameters import LOGS, TLS, dynamic_configuration

CONFIG = "/etc/patroni/config.yml"
NEW_CLUSTER = "/etc/patroni/new-cluster.json"
"""Patroni's configuration in etcd as a new cluster begins with it. No running Patroni reads it: see `before-patroni`."""
VALID = (
    "said=$(patroni --validate-config {} --ignore-listen-port 2>&1) || "
    '{{ test -n "$said" && ! echo "$said" | grep -v \'^etcd3[.]hosts[.].* is not reachable$\' >&2; }}'
)
"""What Patroni says of its file. A member of the store that is away just now, or joins later, is no fault of the file."""
UNIT = "patroni.service"
TO_ETCD = f"{paths.TLS}/patroni-to-{Authority.ETCD}"
DOOR, ETCD = paths.door(Authority.PATRONI), paths.door(Authority.ETCD)
DROPIN = paths.dropin(UNIT)
SESSIONS_TIMER = "keel-end-sessions.timer"
SESSIONS_UNITS = {f"{paths.UNITS}/{unit}": unit for unit in ("keel-end-sessions.service", SESSIONS_TIMER)}
"""Path → unit."""
SHARING = "keel-share-cores.service"
SHARING_UNIT = f"{paths.UNITS}/{SHARING}"
SHARING_CODE = paths.code("programs/share_cores", "backends", "config", "processes", "typed")
PATRONI_CODE = paths.code("programs/recorded_patroni")
BESIDE_SORTING = 256
"""MiB that a process may allocate in addition to what it sorts with: catalogues, plans, rows on their way."""
BEFORE = f"{paths.LIBRARY}/before-patroni"
TMPFILES = "/etc/tmpfiles.d/postgresql-common.conf"
"""Takes the place of the package's own file, which gives the log directory to root at every boot (BAC-05)."""
LOGROTATE = "/etc/logrotate.d/postgresql-common"
"""The package's own empties the running file, and never removes one whose name has the time."""


COMPILES = "MemoryDenyWriteExecute=no"
"""PostgreSQL makes machine code of expressions (jit), in memory that it first writes and then executes."""


class Postgres(Role):
    """One member of the cluster; Patroni decides which one is the primary."""

    name = "postgres"

    def packages(self, target: Target) -> tuple[str, ...]:
        """Also those that bring extensions of the products."""
        return (*super().packages(target), *target.manifest.extension_packages)

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (
            Directory(POSTGRES_VOLUME, "postgres", "postgres", "755"),
            Directory(f"{POSTGRES_VOLUME}/{target.manifest.release.postgres}", "postgres", "postgres", "755"),
            Directory(LOGS, "postgres", "postgres", "700"),
            Directory(paths.PATRONI),
            *(Directory(f"{paths.UNITS}/{unit}.d") for unit in (UNIT, SHARING)),
        )

    def certificates(self, target: Target) -> tuple[Certificate, ...]:
        manifest, host = target.manifest, target.host
        names = (
            host.name, manifest.primary_name, manifest.replica_name, "localhost", "127.0.0.1", str(host.address),
            *manifest.called(Group.EDGE),
        )  # fmt: skip
        return (
            target.serving("postgres", "postgres", *names),
            target.entering("patroni", Authority.PATRONI, "postgres"),
            target.entering("patroni", Authority.ETCD, "postgres"),
            # Servers ask each other for the login's name in it, so that each opens nothing else.
            *(
                Certificate(f"{paths.TLS}/{name}", Leaf(name, (name,), enters=True), "postgres", "postgres")
                for name in (REPLICATION, REWIND)
            ),
        )

    def files(self, target: Target) -> tuple[File, ...]:
        data = paths.data_directory(target.manifest)
        passwords = {name: target.roots.password(name) for name in (SUPERUSER, REPLICATION, REWIND)}
        config = self.render(
            "patroni.yml.j2",
            target,
            tls=TLS,
            to_patroni=patroni.TLS,
            to_etcd=TO_ETCD,
            door=DOOR,
            etcd=ETCD,
            closed=target.trust is Trust.OWN,
            api_user=patroni.API_USER,
            api_password=target.roots.password(patroni.API_USER),
            ciphers=tls.CIPHERS,
            ca=paths.CA,
            # An edge from before looks passwords up without a certificate, and is converged after the servers.
            admitted=lines(target.manifest, target.host, "postgres", former=target.trust is Trust.FORMER),
            beside=on_the_socket(target.manifest, target.host),
            stores=target.manifest.carrying(Group.ETCD),
            passwords=passwords,
            replication=REPLICATION,
            rewind=REWIND,
            pairs=paths.TLS,
            bootstrap=paths.BOOTSTRAP,
            replica=paths.REPLICA,
            data=data,
            passfile=paths.PATRONI_PASSFILE,
            fetch=paths.FETCH_WAL,
            sessions=SESSIONS,
            restore=RESTORE,
            local=LOCAL,
            delay=target.manifest.postgres.apply_delay.get(target.host.name),
        )
        return (
            File(CONFIG, config, "postgres", "postgres", "600", check=VALID),
            File(patroni.NETRC, self._netrc(target), mode="600"),
            File(str(Member.FILE), text(settings(target)), "root", "postgres", "640"),
            File(NEW_CLUSTER, f"{json.dumps(dynamic_configuration(target.manifest), indent=2)}\n"),
            File(BEFORE, self._before_patroni(target, data), mode="755"),
            File(
                DROPIN,
                self.render(
                    "patroni.service.conf",
                    target,
                    before=BEFORE,
                    config=CONFIG,
                    backend_memory=_backend_memory(target),
                ),
            ),
            *self._ending_sessions(target),
            *self._sharing_cores(target),
            self._walls(target),
            File(TMPFILES, self.render("tmpfiles.conf.j2", target, logs=LOGS, settings=target.manifest.postgres)),
            File(
                LOGROTATE,
                "# Nothing to rotate: PostgreSQL begins a file each day, and the oldest are removed (tmpfiles.d).\n",
            ),
        )

    def _walls(self, target: Target) -> File:
        """Around Patroni, PostgreSQL and what both run: pgBackRest and Keel's programs."""
        archiving = (pair for pair in Pgbackrest().certificates(target) if pair.leaf.enters)
        pairs = (*self.certificates(target), *archiving)
        writes = [POSTGRES_VOLUME, paths.SOCKETS, LOGS, ARCHIVING_LOGS, SPOOL]
        if target.host.carries(Group.BACKUP):  # it archives into the repository beside it
            writes.append(paths.REPOSITORY)
        return sandbox(UNIT, pairs, writes=writes, hides=(paths.PGBOUNCER,), more=(COMPILES, *_watchdog(target)))

    def _ending_sessions(self, target: Target) -> tuple[File, ...]:
        """What ends sessions that hold a transaction too long, and how often it looks."""
        values = {"program": paths.END_SESSIONS, "settings": Member.FILE}
        return tuple(File(path, self.render(unit, target, **values)) for path, unit in SESSIONS_UNITS.items())

    def _sharing_cores(self, target: Target) -> tuple[File, ...]:
        """What keeps a product that computes off one processor."""
        unit = self.render(SHARING, target, program=paths.SHARE_CORES, settings=Member.FILE)
        return File(SHARING_UNIT, unit), sandbox(SHARING, ())

    def _before_patroni(self, target: Target, data: str) -> str:
        stores = [
            f"{store.address}:{target.manifest.ports.etcd_client}" for store in target.manifest.carrying(Group.ETCD)
        ]
        return self.render(
            "before-patroni",
            target,
            data=data,
            restoring=paths.RESTORING,
            configuration=NEW_CLUSTER,
            stores=" ".join(stores),
            tls=TO_ETCD,
            ca=ETCD,
        )

    def _netrc(self, target: Target) -> str:
        """What curl reads, for whoever orders something of Patroni."""
        return f"default login {patroni.API_USER} password {target.roots.password(patroni.API_USER)}\n"

    def units(self, target: Target) -> tuple[Unit, ...]:
        ready = patroni.ready(target.manifest, target.host.name)
        working = patroni.being_made(target.manifest, target.host.name)
        # What Patroni shows and trusts as a client it reads for each connection.
        reload = (CONFIG, TLS, DOOR)
        return (
            Unit(
                UNIT,
                (DROPIN, path(UNIT), *PATRONI_CODE),
                reload,
                ready=ready,
                working=working,
                serial=True,
                order=restarts.order(target.manifest),
                title="PostgreSQL",
            ),
            Unit(SESSIONS_TIMER, restart=tuple(SESSIONS_UNITS), title="the end of long transactions"),
            Unit(
                SHARING,
                restart=(SHARING_UNIT, path(SHARING), str(Member.FILE), *SHARING_CODE),
                title="who leaves a processor to others",
            ),
        )

    def goes_last(self, target: Target, unit: Unit) -> bool:
        return unit.name == UNIT and cluster.leads(target)

    def makes_way(self, target: Target, unit: Unit) -> None:
        if unit.name == UNIT:
            cluster.let_another_lead(target)

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        cluster.forget_order()
        config = next(file.content for file in self.files(target) if file.path == CONFIG)
        cluster.forget_hand_made(target, yaml.safe_load(config)["postgresql"])

    def converge_cluster(self, target: Target) -> None:
        cluster.converge_configuration(target)
        cluster.carry_out_restarts(target)

    def effects(self, old: Target, new: Target) -> tuple[Effect, ...]:
        return restarts.effects(old.manifest, new.manifest)


def _watchdog(target: Target) -> tuple[str, ...]:
    """On a machine Patroni keeps the watchdog's device open, and needs no other."""
    if target.manifest.identity.provider is Provider.DOCKER:
        return ()
    return ("PrivateDevices=no", "DevicePolicy=closed", "DeviceAllow=/dev/watchdog rw")


def _backend_memory(target: Target) -> int:
    """MiB of its own that one process may allocate: a quarter of the host's, and what a migration may sort with."""
    return max(target.host.memory // 4, target.manifest.postgres.maintenance_work_mem + BESIDE_SORTING)


def settings(target: Target) -> Member:
    """The settings of the programs that Patroni and a timer run."""
    manifest = target.manifest
    return Member(
        stanza=manifest.stanza,
        binaries=Path(paths.binaries(manifest)),
        fetch_wal=Path(paths.FETCH_WAL),
        locale=manifest.postgres.locale,
        recovery_order=Path(paths.RECOVERY_ORDER),
        restoring=paths.RESTORING,
        replica_from_repository_above=manifest.postgres.replica_from_repository_above,
        sockets=Path(paths.SOCKETS),
        ends_sessions=SESSIONS,
        processors=target.host.cpus if manifest.identity.provider is Provider.DOCKER else 0,
        bounds={
            login: Bound(entry.limits.idle_transaction, entry.limits.transaction)
            for entry in manifest.products.values()
            for login in entry.product.bounded_roles
        },
    )
