"""Who may connect to what: the one table (PLAT-25, PLAT-41, JEEX-33, W3, W4).

From it come the firewall of each host (roles/firewall), what PostgreSQL and PgBouncer admit (their pg_hba), the clients that
HAProxy takes, and the addresses on which services listen. A host, a service or a client more is a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network

from environment import scratch
from environment.manifest import HostEntry, Manifest
from environment.names import ADMIN, BACKUP, MONITOR, PGBOUNCER, REPLICATION, REWIND
from environment.products import Product
from environment.types import Group, Provider

ANYWHERE = IPv4Network("0.0.0.0/0")
LOOPBACK = "127.0.0.1"


class Other(StrEnum):
    """Who comes and is no group of hosts."""

    CLIENTS = "clients"
    """`keel:network.clients`, and containers of applications: `keel:network.containers`."""
    ITSELF = "itself"
    """The host, by its own address: through SSH the operator and the verification come from there."""
    CONTROLLER = "controller"
    """Where Keel runs. To a container it is the network's first address: Docker's gateway, through which published ports lead."""


@dataclass(frozen=True)
class Door:
    """A service that listens: its port (a name in `keel:ports`), and the groups whose hosts have it."""

    service: str
    title: str
    groups: frozenset[Group]
    loopback: bool = False
    """It listens on 127.0.0.1 too, for programs next to it."""
    between: bool = False
    """It is there only where another host comes."""
    guessed: bool = False
    """It asks for a password and answers a wrong one at once, so the firewall slows the addresses that guess (W8). PostgreSQL
    delays its answer itself."""


@dataclass(frozen=True)
class Login:
    """Roles that log in to databases, over TLS unless ``clear``. ``certificate``: with one whose name is the role's."""

    databases: tuple[str, ...]
    roles: tuple[str, ...]
    clear: bool = False
    certificate: bool = False


def encrypted(manifest: Manifest, product: Product) -> bool:
    """True where a product's logins come over TLS only: everywhere but in dev, and in dev where the product asks for it
    (PLAT-39, X-51)."""
    return manifest.identity.kind.encrypted or product.tls


def _through_the_edge(manifest: Manifest) -> Iterator[Login]:
    """What PostgreSQL admits from an edge: HAProxy hides who comes, so it is all that may come there."""
    yield Login(("postgres",), (PGBOUNCER,), certificate=True)
    for name, entry in manifest.products.items():
        yield Login(_direct(manifest, name), entry.product.login_roles, clear=not encrypted(manifest, entry.product))
    if manifest.network.admin:
        yield Login(("postgres", *manifest.products), (ADMIN, MONITOR))


def _direct(manifest: Manifest, product: str) -> tuple[str, ...]:
    """The databases of a product to which its logins come past the pooler: with its throwaway copies, where there are any."""
    return (product, scratch.pattern(product)) if scratch.offered(manifest) else (product,)


def _members(_manifest: Manifest) -> Iterator[Login]:
    """Servers of each other. Each shows a certificate too: where a member's host is an edge, HAProxy's clients have its address."""
    yield Login(("replication",), (REPLICATION,), certificate=True)
    yield Login(("postgres",), (REWIND,), certificate=True)


def _applications(manifest: Manifest) -> Iterator[Login]:
    for name, entry in manifest.products.items():
        yield Login((name, f"{name}_ro"), entry.product.pooled_roles, clear=not encrypted(manifest, entry.product))


@dataclass(frozen=True)
class Entry:
    """Hosts of a group, or someone else, may come to a door (``at`` hosts of one group only) and log in."""

    source: Group | Other
    service: str
    at: Group | None = None
    logins: tuple[Login, ...] | Callable[[Manifest], Iterator[Login]] = ()
    own: bool = False
    """From the host itself too, by its address. Others that are on the same host use the socket."""

    def logs_in(self, manifest: Manifest) -> tuple[Login, ...]:
        """Who logs in there."""
        return self.logins if isinstance(self.logins, tuple) else tuple(self.logins(manifest))


DOORS = (
    Door("ssh", "sshd", frozenset(Group)),
    Door("postgres", "PostgreSQL", frozenset({Group.POSTGRES})),
    Door("patroni", "Patroni", frozenset({Group.POSTGRES})),
    Door("etcd_client", "etcd for clients", frozenset({Group.ETCD})),
    Door("etcd_peer", "etcd for members", frozenset({Group.ETCD})),
    Door("primary", "HAProxy to the primary", frozenset({Group.EDGE}), loopback=True),
    Door("replica", "HAProxy to the replicas", frozenset({Group.EDGE}), loopback=True),
    Door("pgbouncer", "PgBouncer", frozenset({Group.EDGE}), guessed=True),
    Door("redis", "Redis", frozenset({Group.REDIS}), loopback=True, guessed=True),
    Door("pgbackrest", "pgBackRest", frozenset({Group.POSTGRES, Group.BACKUP}), between=True),
)

ENTRIES = (
    Entry(Other.CONTROLLER, "ssh"),
    Entry(Other.CONTROLLER, "primary"),  # migrations and the verification; to machines both come through SSH
    Entry(Other.CLIENTS, "primary"),
    Entry(Other.CLIENTS, "replica"),
    Entry(Other.CLIENTS, "pgbouncer", logins=_applications),
    Entry(Other.CLIENTS, "redis"),
    Entry(Other.ITSELF, "pgbouncer", logins=_applications, own=True),
    Entry(Group.EDGE, "postgres", logins=_through_the_edge, own=True),
    Entry(Group.EDGE, "patroni"),
    Entry(Group.POSTGRES, "postgres", logins=_members),
    Entry(Group.BACKUP, "postgres", logins=(Login(("all",), (BACKUP,)),)),
    Entry(Group.POSTGRES, "patroni"),
    Entry(Group.POSTGRES, "etcd_client"),
    Entry(Group.ETCD, "etcd_client"),
    Entry(Group.ETCD, "etcd_peer"),
    Entry(Group.POSTGRES, "pgbackrest", at=Group.BACKUP),
    Entry(Group.BACKUP, "pgbackrest", at=Group.POSTGRES),
)


@dataclass(frozen=True)
class Admitted:
    """Connections that a host admits: from where, to which port, and why."""

    source: IPv4Network
    port: int
    door: Door
    entry: Entry

    @property
    def reason(self) -> str:
        """Service and who comes, for people."""
        return f"{self.door.title}: {self.entry.source.value}"


@dataclass(frozen=True)
class Line:
    """A login from a network: what a pg_hba says."""

    source: IPv4Network
    login: Login

    @property
    def text(self) -> str:
        """As PostgreSQL and PgBouncer read it."""
        kind = "host" if self.login.clear else "hostssl"
        proof = " clientcert=verify-full" if self.login.certificate else ""
        return (
            f"{kind} {','.join(self.login.databases)} {','.join(self.login.roles)} {self.source} scram-sha-256{proof}"
        )


def door(service: str) -> Door:
    """The door of a service."""
    return next(each for each in DOORS if each.service == service)


def doors(manifest: Manifest, host: HostEntry) -> tuple[Door, ...]:
    """The services that listen on a host."""
    here = (each for each in DOORS if any(host.carries(group) for group in each.groups))
    return tuple(each for each in here if not each.between or _comes(manifest, host, each.service))


def listens(host: HostEntry, door: Door) -> tuple[str, ...]:
    """The addresses on which a service of a host listens."""
    return (str(host.address), LOOPBACK) if door.loopback else (str(host.address),)


def port(manifest: Manifest, host: HostEntry, door: Door) -> int:
    """The port of a service on a host. A machine's sshd is where the controller finds it."""
    if door.service == "ssh" and manifest.identity.provider is Provider.SSH:
        return host.ssh.port
    return int(getattr(manifest.ports, door.service))


def admitted(manifest: Manifest, host: HostEntry) -> tuple[Admitted, ...]:
    """What comes over the network to a host, service by service."""
    return tuple(
        Admitted(source, port(manifest, host, each), each, entry)
        for each in doors(manifest, host)
        for entry, source in _comes(manifest, host, each.service)
    )


def sources(manifest: Manifest, host: HostEntry, service: str) -> tuple[IPv4Network, ...]:
    """From where connections come to a service of a host, the host itself included."""
    return (IPv4Network(host.address), *(source for _, source in _comes(manifest, host, service)))


def lines(manifest: Manifest, host: HostEntry, service: str, *, former: bool = False) -> tuple[Line, ...]:
    """The logins that a service of a host admits over the network. ``former``: without the certificates that some need, in an
    environment whose hosts have none yet."""
    return tuple(
        Line(source, replace(login, certificate=False) if former else login)
        for entry in _of(service, host)
        for source in _sources(manifest, host, entry)
        for login in entry.logs_in(manifest)
        if entry.own or source != IPv4Network(host.address)
    )


def on_the_socket(manifest: Manifest, host: HostEntry) -> Sequence[Login]:
    """The logins of those that are on the database host itself."""
    own = [entry for entry in _of("postgres", host) if not entry.own and _is_from(host, entry)]
    return [login for entry in own for login in entry.logs_in(manifest)]


def _comes(manifest: Manifest, host: HostEntry, service: str) -> list[tuple[Entry, IPv4Network]]:
    """Who comes to a door from elsewhere, each network once."""
    found = {
        source: entry
        for entry in reversed(_of(service, host))
        for source in _sources(manifest, host, entry)
        if source != IPv4Network(host.address)
    }
    return sorted(((entry, source) for source, entry in found.items()), key=lambda each: each[1])


def _of(service: str, host: HostEntry) -> tuple[Entry, ...]:
    return tuple(entry for entry in ENTRIES if entry.service == service and (not entry.at or host.carries(entry.at)))


def _is_from(host: HostEntry, entry: Entry) -> bool:
    return isinstance(entry.source, Group) and host.carries(entry.source)


def _sources(manifest: Manifest, host: HostEntry, entry: Entry) -> tuple[IPv4Network, ...]:
    if isinstance(entry.source, Group):
        return tuple(IPv4Network(each.address) for each in manifest.carrying(entry.source))
    if entry.source is Other.ITSELF:
        return (IPv4Network(host.address),)
    if entry.source is Other.CLIENTS:
        return (*manifest.network.clients, *([manifest.containers] if manifest.containers else ()))
    if manifest.identity.provider is Provider.DOCKER:
        return (IPv4Network(manifest.network.cidr.network_address + 1),)
    # To a machine the controller's own ports are SSH's alone: everything else comes through it.
    return (manifest.network.controllers or (ANYWHERE,)) if entry.service == "ssh" else ()
