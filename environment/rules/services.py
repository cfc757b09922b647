"""What the software admits: products, versions, timing, and what production must not do without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from environment import products, server_parameters
from environment.rules.base import Problem, carrying, rule
from environment.settings import Host
from environment.types import Group, Preset
from environment.versions import DEBIAN_PGBOUNCER, NEEDED_PGBOUNCER, PackageSource, available_majors


@rule("products")
def products_are_known(wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """Every product has its folder under db/."""
    known = products.catalogue()
    for name in wanted:
        if name not in known:
            yield Problem(f"products.{name}", name, f"one of {sorted(known)} (a folder under db/)")


@rule("products")
def revisions_exist(wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """A product is held at a revision of its own history."""
    for name, settings in wanted.items():
        known = products.revisions(name)
        meant = [each for each in known if settings.revision in (each, products.short(each))]
        if settings.revision and settings.revision not in known and len(meant) != 1:
            yield Problem(f"products.{name}.revision", settings.revision, f"one of {meant or list(known)}")


@rule("release")
def version_is_available(release: Any) -> Iterator[Problem]:
    """The chosen release and source have the chosen server major (PLAT-01)."""
    majors = available_majors(release.debian, release.source)
    if release.postgres not in majors:
        where = f"{release.debian.value} from {release.source.value}"
        yield Problem("release.postgres", release.postgres, f"one of {list(majors)}, which {where} has")
    if release.source is PackageSource.DEBIAN and DEBIAN_PGBOUNCER[release.debian] < NEEDED_PGBOUNCER:
        yield Problem(
            "release.debian",
            release.debian.value,
            f"trixie or forky, or source pgdg: its own PgBouncer {_dotted(DEBIAN_PGBOUNCER[release.debian])} "
            f"is older than {_dotted(NEEDED_PGBOUNCER)} (PLAT-23, X-08)",
        )


@rule("release", "postgres")
def parameters_are_the_servers(release: Any, postgres: Any) -> Iterator[Problem]:
    """What PostgreSQL would refuse, or what Keel owns, is refused before anything changes: a server that cannot read a value does not
    start."""
    for name, value in postgres.parameters.items():
        if wrong := server_parameters.allowed(release.postgres, name, value):
            yield Problem(f"postgres.parameters.{name}", value, wrong)


@rule("release", "products")
def settings_are_a_databases(release: Any, products: Any) -> Iterator[Problem]:
    """The same of what one database has otherwise."""
    for product, limits in products.items():
        for name, value in limits.settings.items():
            if wrong := server_parameters.allowed_of_database(release.postgres, name, value):
                yield Problem(f"products.{product}.settings.{name}", value, wrong)


@rule("release", "products")
def clients_may_send_it(release: Any, wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """What clients send as they connect is a value of their logins: one that the server or Keel would not take is refused here."""
    known = products.catalogue()
    for product, limits in ((name, limits) for name, limits in wanted.items() if name in known):
        most = {
            "statement_timeout": known[product].statement_timeout,  # ADA-02
            "idle_in_transaction_session_timeout": f"{limits.idle_transaction}s",
            "transaction_timeout": f"{limits.transaction}s",
        }
        for name, value in limits.startup.items():
            if wrong := server_parameters.allowed_at_startup(release.postgres, name, value, most):
                yield Problem(f"products.{product}.startup.{name}", value, wrong)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


@rule("patroni")
def lease_holds(patroni: Any) -> Iterator[Problem]:
    """Patroni's own rule: a lease must outlast one loop with two retries."""
    if patroni.loop_wait + 2 * patroni.retry_timeout > patroni.ttl:
        yield Problem(
            "patroni.ttl",
            patroni.ttl,
            f"at least loop_wait + 2 * retry_timeout = {patroni.loop_wait + 2 * patroni.retry_timeout}",
        )


@rule("patroni", "postgres")
def safe_outlives_a_replica(patroni: Any, postgres: Any) -> Iterator[Problem]:
    """Where nothing is written without a synchronous replica, the loss of one must leave another."""
    replicas = postgres.replicas - len(postgres.apply_delay)
    if patroni.ha is Preset.SAFE and (replicas < 2 or not postgres.synchronous):
        yield Problem(
            "patroni.ha",
            "safe",
            "fast or balanced with fewer than two replicas that confirm commits: no write without one",
        )


@rule("etcd")
def election_outlasts_heartbeat(etcd: Any) -> Iterator[Problem]:
    """etcd refuses an election timeout below five heartbeats."""
    if etcd.election_ms < 5 * etcd.heartbeat_ms:
        yield Problem("etcd.election_ms", etcd.election_ms, f"at least 5 * heartbeat_ms = {5 * etcd.heartbeat_ms}")


@rule("environment", "postgres", "hosts")
def production_is_redundant(environment: Any, postgres: Any, hosts: Mapping[str, Host]) -> Iterator[Problem]:
    """X-18: production has at least one replica, never runs asynchronously, and its store survives a member."""
    if not environment.kind.guarded:
        return
    where = f"in {environment.kind.value}"
    if postgres.replicas < 1:
        yield Problem("postgres.replicas", postgres.replicas, f"at least 1 {where} (X-18)")
    if not postgres.synchronous:
        yield Problem("postgres.synchronous", False, f"true {where}")
    members = carrying(hosts, Group.ETCD)
    if len(members) < 3:
        yield Problem("hosts", members, f"at least three hosts carry the group 'etcd' {where}")


@rule("environment", "postgres")
def production_logs_no_values(environment: Any, postgres: Any) -> Iterator[Problem]:
    """X-42: what clients send and rows hold is personal, and a log is read by other people than the database."""
    if environment.kind.guarded and postgres.log_values:
        yield Problem("postgres.log_values", True, f"false in {environment.kind.value} (X-42)")


@rule("environment", "network")
def production_is_closed(environment: Any, network: Any) -> Iterator[Problem]:
    """PLAT-41: production admits networks that someone chose, not the whole world."""
    if environment.kind.guarded and any(client.prefixlen == 0 for client in network.clients):
        yield Problem(
            "network.clients", "0.0.0.0/0", f"the applications' networks in {environment.kind.value} (PLAT-41)"
        )
