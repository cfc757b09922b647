"""The manifest: an environment as everything else reads it. Derived from the settings, no secret in it.

Pulumi's components, the roles, Alembic, the operator command and the verification take this and nothing else.
A *slice* holds only some sections: a stage of roles is given the slice it declares, so it cannot depend on a
setting whose change would not run it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Network
from typing import Any

from pydantic import TypeAdapter

from environment import names, products, sizing
from environment.containers import containers
from environment.kind import Kind
from environment.products import Product
from environment.published import first_edge, ssh_port
from environment.settings import (
    Etcd,
    Haproxy,
    Network,
    Patroni,
    Pgbouncer,
    Ports,
    Postgres,
    ProductSettings,
    Recovery,
    Redis,
    Release,
    Repository,
    Schedule,
    Settings,
    SshEndpoint,
)
from environment.types import Address, EnvironmentName, Group, HostName, Megabytes, Model, Provider, Undeclared


class Identity(Model):
    """Which environment this is."""

    name: EnvironmentName
    kind: Kind
    provider: Provider


class HostEntry(Model):
    """One host as the controller and the other hosts see it."""

    name: HostName
    address: Address
    groups: tuple[Group, ...]
    ssh: SshEndpoint
    """Where the controller reaches sshd; its host_key is pinned."""
    memory: Megabytes = sizing.DOCUMENTED
    """What it may use, MiB. The default is for what an earlier release wrote down."""
    cpus: float = sizing.DOCUMENTED_CPUS
    """How many processors it may use, where it is a container."""

    def carries(self, group: Group) -> bool:
        """True if this host is in ``group``."""
        return group in self.groups


class Endpoints(Model):
    """Where the controller and clients on its machine reach the services; None where not published.

    None is the default, because Pulumi drops it on the way to a step.
    """

    address: str
    primary: int | None = None
    pgbouncer: int | None = None
    redis: int | None = None


class ProductEntry(Model):
    """A product of this environment: what it is, and its share of the connections."""

    product: Product
    limits: ProductSettings


class DatabasesEntry(Model):
    """How the databases converge, resolved."""

    undeclared: Undeclared
    backup_before_migration: bool


class Manifest(Model):
    """One environment, resolved."""

    identity: Identity
    hosts: tuple[HostEntry, ...]
    ports: Ports
    release: Release
    network: Network
    endpoints: Endpoints
    etcd: Etcd
    patroni: Patroni
    postgres: Postgres
    databases: DatabasesEntry
    haproxy: Haproxy
    pgbouncer: Pgbouncer
    redis: Redis
    repository: Repository
    schedule: Schedule
    recovery: Recovery | None = None
    products: dict[str, ProductEntry]

    def slice(self, sections: Iterable[str]) -> dict[str, Any]:
        """The named sections and the common ones (identity, hosts, ports, release), as JSON-ready data."""
        return self.model_dump(mode="json", include={*COMMON, *sections})

    @classmethod
    def from_slice(cls, data: dict[str, Any]) -> Manifest:
        """The manifest of a slice; reading a section it does not hold raises AttributeError."""
        sections = {name: _reader(name).validate_python(value) for name, value in data.items()}
        if "products" in sections:
            sections["products"] = _sorted(sections["products"])
        return cls.model_construct(**sections)

    @property
    def extension_packages(self) -> tuple[str, ...]:
        """The Debian packages that bring the extensions of its products."""
        return products.packages((entry.product for entry in self.products.values()), self.release.postgres)

    def carrying(self, group: Group) -> tuple[HostEntry, ...]:
        """The hosts of ``group``, by name."""
        return tuple(host for host in self.hosts if host.carries(group))

    def host(self, name: str) -> HostEntry:
        """The host called ``name``. Raises KeyError naming the hosts there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(f"no host {name!r} in {self.identity.name}; there are {[h.name for h in self.hosts]}")

    def published(self, host: HostEntry) -> dict[int, int]:
        """Of a host in a container: port inside → port on 127.0.0.1. Of the edges, only the first one's services have any."""
        found: dict[int, int] = {self.ports.ssh: host.ssh.port}
        if host.name == first_edge(self.carrying(Group.EDGE)).name:
            wanted = {self.ports.primary: self.endpoints.primary, self.ports.pgbouncer: self.endpoints.pgbouncer}
            found |= {inside: outside for inside, outside in wanted.items() if outside}
        if host.carries(Group.REDIS) and self.endpoints.redis:
            found[self.ports.redis] = self.endpoints.redis
        return found

    @property
    def containers(self) -> IPv4Network | None:
        """Where containers of applications are; None where none is admitted."""
        found = self.network.containers
        return found if isinstance(found, IPv4Network) else None

    def called(self, group: Group) -> tuple[str, ...]:
        """The name under which containers find the hosts of a group. Docker knows none of machines."""
        docker = self.identity.provider is Provider.DOCKER
        return (names.alias(self.identity.name, group),) if docker else ()

    def aliases(self, host: HostEntry) -> tuple[str, ...]:
        """Under which names containers come to a host: as an edge, and as the one with Redis."""
        groups = (group for group in (Group.EDGE, Group.REDIS) if host.carries(group))
        return tuple(name for group in groups for name in self.called(group))

    @property
    def stanza(self) -> str:
        """pgBackRest's name for this cluster in its repository: the environment's, so that no other is taken for it."""
        return self.identity.name

    @property
    def repository_host(self) -> HostEntry:
        """The host that holds the repository of backups and WAL."""
        return self.carrying(Group.BACKUP)[0]

    @property
    def primary_name(self) -> str:
        """The name that PostgreSQL's certificates and the edges use for the primary."""
        return f"primary.{self.identity.name}"

    @property
    def replica_name(self) -> str:
        """The name that PostgreSQL's certificates and the edges use for the replicas."""
        return f"replica.{self.identity.name}"


@cache
def _reader(section: str) -> TypeAdapter[Any]:
    return TypeAdapter(Manifest.model_fields[section].rebuild_annotation())


COMMON = frozenset({"identity", "hosts", "ports", "release"})
"""Sections every slice holds: who, where and on which software."""


def build(name: str, settings: Settings, host_keys: dict[str, str]) -> Manifest:
    """The manifest of environment ``name``.

    ``host_keys`` maps host names to their public SSH host keys, derived by the controller for containers;
    machines that exist bring theirs in the settings.
    """
    docker = settings.environment.provider is Provider.DOCKER
    published = settings.network.published
    sized = sizing.sized(settings)
    hosts = tuple(
        HostEntry(
            name=host_name,
            address=host.address,
            groups=tuple(sorted(host.groups)),
            memory=sized.machines[host_name].memory,
            cpus=sized.machines[host_name].cpus,
            ssh=host.ssh
            or SshEndpoint(
                hostname="127.0.0.1", port=ssh_port(published.ssh, host.address), host_key=host_keys[host_name]
            ),
        )
        for host_name, host in settings.hosts.items()
    )
    edge = first_edge(host for host in hosts if host.carries(Group.EDGE))
    ports = settings.ports
    catalogue = products.catalogue()
    return Manifest(
        identity=Identity(name=name, kind=settings.environment.kind, provider=settings.environment.provider),
        hosts=hosts,
        ports=ports,
        release=settings.release,
        network=settings.network.model_copy(
            update={"containers": containers(settings.environment, settings.network, settings.hosts)}
        ),
        endpoints=Endpoints(
            address="127.0.0.1" if docker else str(edge.address),
            primary=published.primary if docker else None,
            pgbouncer=published.pgbouncer if docker else ports.pgbouncer,
            redis=published.redis if docker else ports.redis,
        ),
        etcd=settings.etcd,
        patroni=settings.patroni,
        postgres=sized.postgres(settings.postgres),
        databases=_databases(settings),
        haproxy=settings.haproxy,
        pgbouncer=settings.pgbouncer,
        redis=settings.redis,
        repository=settings.repository,
        schedule=settings.schedule,
        recovery=settings.recovery,
        products=_sorted(
            {
                product: ProductEntry(product=catalogue[product], limits=limits)
                for product, limits in settings.products.items()
            }
        ),
    )


def _sorted(entries: dict[str, ProductEntry]) -> dict[str, ProductEntry]:
    """By name: Pulumi hands a mapping on in any order, and files that list products must be the same each time."""
    return dict(sorted(entries.items()))


def _databases(settings: Settings) -> DatabasesEntry:
    """What applies where the stack file does not say: where data is guarded nothing is taken away or risked unasked."""
    guarded, given = settings.environment.kind.guarded, settings.databases
    return DatabasesEntry(
        undeclared=given.undeclared or (Undeclared.REPORT if guarded else Undeclared.REMOVE),
        backup_before_migration=guarded if given.backup_before_migration is None else given.backup_before_migration,
    )
