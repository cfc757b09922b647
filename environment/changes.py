"""What an environment that runs does not take from its stack file, and which hosts leave it.

Both compare the manifest that was carried out last with the new one: a preview refuses like an update, before
anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from environment.manifest import HostEntry, Manifest
from environment.types import Group, Provider

STATEFUL = (Group.POSTGRES, Group.ETCD)
"""What others must know by its address before it starts."""


def refused(old: Manifest, new: Manifest) -> list[str]:
    """A sentence for each change that cannot be made: the setting, from what to what, what to do instead."""
    return [sentence for rule in RULES for sentence in rule(old, new)]


def leaving(old: Manifest, new: Manifest) -> dict[str, tuple[Group, ...]]:
    """Host of ``old`` → the groups that leave it: all of them where the host itself leaves."""
    there = {host.name: host for host in new.hosts}
    found = {
        host.name: tuple(
            group for group in host.groups if host.name not in there or not there[host.name].carries(group)
        )
        for host in old.hosts
    }
    return {name: groups for name, groups in found.items() if groups}


def _major(old: Manifest, new: Manifest) -> Iterator[str]:
    before, after = old.release.postgres, new.release.postgres
    if before != after:
        yield (
            f"keel:release.postgres: {before} => {after}: a server of another major version cannot read this cluster's files. "
            f"Keep {before} here. Instead: make a second environment with {after}, load the last dump of each product into it "
            "(`./keel backup list` shows them; pg_restore), then lead the applications there"
        )


def _etcd_ports(old: Manifest, new: Manifest) -> Iterator[str]:
    for name in ("etcd_peer", "etcd_client"):
        before, after = getattr(old.ports, name), getattr(new.ports, name)
        if before != after:
            yield (
                f"keel:ports.{name}: {before} => {after}: etcd's members would not find each other while they change, and no "
                f"server accepts writes without them. Keep {before}; another port is for a new environment"
            )


def _someone_stays(old: Manifest, new: Manifest) -> Iterator[str]:
    for group, what in ((Group.POSTGRES, "the databases"), (Group.ETCD, "the cluster's state")):
        before = {host.name for host in old.carrying(group)}
        after = {host.name for host in new.carrying(group)}
        if before.isdisjoint(after):
            yield (
                f"keel:hosts: none of {', '.join(sorted(before))} keeps the group {group.value!r}: {what} would go with them. "
                f"Let the new hosts join first ({', '.join(sorted(after))}), and take the old ones out in the next update"
            )


def _one_address(old: Manifest, new: Manifest) -> Iterator[str]:
    there = {host.name: host for host in old.hosts}
    stay = [(there[host.name], host) for host in new.hosts if host.name in there]
    moved = [now for was, now in stay if was.address != now.address and any(now.carries(each) for each in STATEFUL)]
    if not moved:
        return
    others = [now.name for was, now in stay if now not in moved and _made_of(was, old) != _made_of(now, new)]
    if len(moved) > 1 or others:
        yield (
            f"keel:hosts: {', '.join(host.name for host in moved)} get(s) another address"
            + (f" while {', '.join(others)} change(s) too" if others else "")
            + ". The databases and etcd stay up when one such host changes at a time: change one address, run the update, then "
            "go on"
        )


def _network(old: Manifest, new: Manifest) -> Iterator[str]:
    if {old.identity.provider, new.identity.provider} == {Provider.DOCKER} and old.network.cidr != new.network.cidr:
        yield (
            f"keel:network.cidr: {old.network.cidr} => {new.network.cidr}: another network would replace every host at the same "
            f"time. Keep {old.network.cidr}; another network is for a new environment"
        )
        return
    before, after = old.containers, new.network.containers
    if before is None or after in (before, "off"):
        return
    if after is None:
        there = [host.name for host in new.hosts if host.address in before]
        yield (
            f"keel:hosts: {', '.join(there)} would have an address of {before}, which is for containers of applications. Take an "
            "address outside it, or write `off` in keel:network.containers: then none is admitted"
        )
    else:
        yield (
            f"keel:network.containers: {before} => {after}: Docker takes the addresses of containers from the range with which "
            f"the network was made, and another network would replace every host. Keep {before}, or write `off`; another range "
            "is for a new environment"
        )


def _made_of(host: HostEntry, manifest: Manifest) -> object:
    """What replaces its container when it differs."""
    return manifest.release, host.address, set(host.groups), host.cpus


RULES: tuple[Callable[[Manifest, Manifest], Iterator[str]], ...] = (
    _major,
    _etcd_ports,
    _someone_stays,
    _one_address,
    _network,
)
