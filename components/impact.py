"""What a change of settings will do to which host, said before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from environment.manifest import COMMON
from environment.roles import entry, stages

POSTMASTER_SETTINGS = frozenset(
    {
        "shared_buffers", "max_connections", "superuser_reserved_connections", "io_method",
    }
)  # fmt: skip
"""Fields of `keel:postgres` that PostgreSQL reads only when it starts (pg_settings.context = postmaster)."""


def impact(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    """One sentence per service and host that an update of a `converge` step reloads or restarts."""
    if news.get("action") != "converge" or not isinstance(news.get("manifest"), dict):
        return []
    old, new = olds.get("manifest") or {}, news["manifest"]
    lines = []
    for section in sorted(new.keys() - {"identity", "hosts"}):
        for path, before, after in _differences(old.get(section), new[section], section):
            if path.endswith(".limits.revision"):  # of a database, no service reads it
                continue
            if section in COMMON:
                lines.append(f"{path}: {before} => {after}: every service of the stage {news['stage']} may restart")
            for role in stages()[news["stage"]]:
                if section in entry(role).sections and entry(role).service:
                    lines.append(_sentence(role, path, before, after, new["hosts"]))
    return lines


def _sentence(role: str, path: str, before: object, after: object, hosts: list[dict[str, Any]]) -> str:
    section, _, name = path.partition(".")
    facts = entry(role)
    groups = {group.value for group in facts.groups}
    names = [host["name"] for host in hosts if groups & set(host["groups"])]
    where = ", ".join(names)
    if section == "postgres" and name in POSTMASTER_SETTINGS:
        order = "replicas first, then a switchover, the old primary last" if len(names) > 1 else "the only member"
        if name == "max_connections" and len(names) > 1 and int(str(after)) < int(str(before)):
            order = "to lower it, the primary first, without a switchover"
        return f"{path}: {before} => {after}: {facts.service} restarts on {where} ({order})"
    return f"{path}: {before} => {after}: {facts.service} {facts.effect} on {where}"


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}")
    elif old != new:
        yield path, old, new
