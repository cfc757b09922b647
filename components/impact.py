"""What a preview says of a changed stage: which settings differ, and what that does to running services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from environment.types import Group

Foresee = Callable[[dict[str, Any], dict[str, Any]], list[str]]
"""(old inputs, new inputs) → a sentence per service and hosts that fare alike."""
LONGEST = 60
"""Characters of a value that a sentence shows; a certificate has hundreds."""


def impact(olds: dict[str, Any], news: dict[str, Any], foresee: Foresee) -> list[str]:
    """Lines about an update: of a `converge` step its changed settings with their effects, then changed code; of a `drain` the
    replacement that it prepares."""
    if news.get("action") == "leave":
        return list(_of_leaving(olds.get("hosts") or {}, news["hosts"]))
    if news.get("action") == "ready":
        return list(_of_names(olds, news))
    if news.get("action") == "drain":
        return list(_of_replacement(olds, news))
    if news.get("action") != "converge" or not all(isinstance(side.get("manifest"), dict) for side in (olds, news)):
        return []
    settings = [f"{path}: {_shown(old)} => {_shown(new)}" for path, old, new in _changes(olds, news)]
    effects = foresee(_declaring(olds), {**_declaring(news), "made": _made(olds, news)}) if settings else []
    if len(settings) == len(effects) == 1:
        lines = [f"{settings[0]}: {effects[0]}"]
    else:
        lines = [f"{news['stage']}: {line}" for line in [*settings, *effects]]
    return [*lines, *_of_code(olds, news)]


def _of_leaving(olds: dict[str, list[str]], news: dict[str, list[str]]) -> Iterator[str]:
    """Who leaves, group by group; one that joins is created before one's eyes."""
    for host, groups in olds.items():
        gone = sorted(set(groups) - set(news.get(host, ())))
        if host not in news:
            yield f"{host} leaves: it is taken out of {', '.join(gone)} and stops, and is removed when the rest is verified"
        elif gone:
            yield f"{host} leaves {', '.join(gone)}: it is taken out, and what it had of them stops"


def _of_replacement(olds: dict[str, Any], news: dict[str, Any]) -> Iterator[str]:
    """What a new container means for what runs on its host and, where that may lead the cluster, for the primary."""
    if not olds or all(olds.get(key) == news.get(key) for key in ("image", "specification")):
        return
    servers, edges = (
        [host["name"] for host in news["manifest"]["hosts"] if group in host["groups"]]
        for group in (Group.POSTGRES, Group.EDGE)
    )
    line = f"{news['host']}: its container is replaced; every service on it stops and starts again"
    if servers == [news["host"]]:
        yield f"{line} (the only PostgreSQL server: no database answers meanwhile)"
    elif edges == [news["host"]]:
        yield f"{line} (the only edge: no client of the pooler gets through meanwhile)"
    elif news["host"] in servers:
        yield f"{line} (if it is the primary, a switchover comes first)"
    else:
        yield line


def _of_names(olds: dict[str, Any], news: dict[str, Any]) -> Iterator[str]:
    """What other names mean for a container that stays; one that is made has them from its beginning."""
    aliases = news.get("aliases") or []
    if olds and olds.get("container") == news["container"] and (olds.get("aliases") or []) != aliases:
        yield (
            f"{news['host']}: containers will find it as {', '.join(aliases) or 'nothing'}; for that it leaves its network "
            "for less than a second: sessions through this machine's published ports end once, others pause"
        )


def _changes(olds: dict[str, Any], news: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    yield from _differences(_by_name(olds["manifest"]), _by_name(news["manifest"]))
    if olds.get("credentials") != news.get("credentials"):
        yield "s3_key, s3_secret", "(secret)", "(secret)"


def _declaring(inputs: dict[str, Any]) -> dict[str, Any]:
    """What the roles render from."""
    return {key: inputs[key] for key in ("stage", "manifest", "credentials") if key in inputs}


def _by_name(manifest: dict[str, Any]) -> dict[str, Any]:
    """Hosts by their names, so that a difference names its host."""
    return {**manifest, "hosts": {host["name"]: host for host in manifest.get("hosts", [])}}


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, object, object]]:
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "present"
    text = "absent" if value is None else str(value)
    return text if len(text) <= LONGEST and "\n" not in text else f"{text[:LONGEST].splitlines()[0]}…"


def _made(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    """Containers that this update replaces (a preview does not know their new ids yet): nothing runs in them."""
    if news["manifest"]["identity"]["provider"] != "docker":
        return []
    old, new = olds.get("identities") or {}, news.get("identities") or {}
    return sorted(host for host in old.keys() | new.keys() if old.get(host) != new.get(host))


def _of_code(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    old, new = olds.get("roles") or {}, news.get("roles") or {}
    changed = ", ".join(role for role in new if old.get(role) != new[role])
    return [f"{news['stage']}: code changed ({changed}): `./keel drift` shows what it will do"] if changed else []
