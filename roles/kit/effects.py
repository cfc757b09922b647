"""What a change of settings will do to running services, from what the roles declare before and after it.

No host is asked and no secret is needed: both sides are rendered with the same placeholders, and compared as the engine
compares a declaration with a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from environment.derive import Roots
from environment.manifest import Manifest
from roles.kit.declare import Effect, Role, Target, Unit

DOES = ("starts", "stops", "reloads", "restarts")
"""From the least to the most that happens to a service."""


def foreseen(
    roles: Sequence[Role], old: tuple[Manifest, Roots], new: tuple[Manifest, Roots], made: Set[str] = frozenset()
) -> dict[str, list[Effect]]:
    """Host → what happens there to each service. Hosts in ``made``, and those that ``old`` lacks, are new: nothing runs
    on them."""
    known = {host.name for host in old[0].hosts} - made
    found = {}
    for host in new[0].hosts:
        if host.name in known:
            before, after = (Target(manifest, manifest.host(host.name), roots) for manifest, roots in (old, new))
            carried = [role for role in roles if role.runs_on(host)]
            found[host.name] = _strongest(each for role in carried for each in _of_role(role, before, after))
    return found


def sentences(effects: dict[str, list[Effect]]) -> list[str]:
    """One sentence per service and hosts that fare alike; a single one where nothing happens."""
    hosts: dict[Effect, list[str]] = {}
    for host, each in effects.items():
        for effect in each:
            hosts.setdefault(effect, []).append(host)
    return [_sentence(effect, hosts[effect]) for effect in hosts] or ["nothing reloads or restarts"]


def _sentence(effect: Effect, hosts: list[str]) -> str:
    order = f" ({effect.order})" if effect.order and len(hosts) > 1 else ""
    return f"{effect.service} {effect.does} on {', '.join(hosts)}{order}"


def _of_role(role: Role, old: Target, new: Target) -> Iterator[Effect]:
    if not role.runs_on(old.host):
        yield from (Effect(_title(unit), "starts") for unit in role.units(new))
        return
    before, after = _declared(role, old), _declared(role, new)
    changed = {path for path, declared in after.items() if before.get(path) != declared}
    running = {unit.name for unit in role.units(old)}
    for unit in role.units(new):
        reaction = unit.reaction(changed)
        if unit.name not in running:
            yield Effect(_title(unit), "starts")
        elif reaction == "restart":
            yield Effect(_title(unit), "restarts", unit.order if unit.serial else "")
        elif reaction == "reload":
            yield Effect(_title(unit), "reloads")
    yield from role.effects(old, new)


def _title(unit: Unit) -> str:
    return unit.title or unit.name


def _declared(role: Role, at: Target) -> dict[str, object]:
    """Path → what the engine would compare there."""
    return {
        **{each.path: (each.owner, each.group, each.mode) for each in role.directories(at)},
        **{each.directory: each.leaf for each in role.certificates(at)},
        **{each.path: (each.content, each.owner, each.group, each.mode) for each in role.files(at)},
    }


def _strongest(effects: Iterable[Effect]) -> list[Effect]:
    """Of several effects on one service only the one that matters most."""
    found: dict[str, Effect] = {}
    for effect in effects:
        known = found.get(effect.service)
        if known is None or DOES.index(effect.does) > DOES.index(known.does):
            found[effect.service] = effect
    return list(found.values())
