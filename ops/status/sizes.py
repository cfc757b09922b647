"""What `./keel tune` shows: each size with where it came from and why, also for another memory and other cores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from environment import rules, server_parameters, sizing
from environment.errors import UNCHANGED, Refused
from environment.server_parameters import MEMORY, Parameter, text
from environment.settings import Host, Settings
from environment.sizing import Origin
from environment.types import AUTO, Group

LEFT_ALONE = ("hash_mem_multiplier", "temp_buffers", "wal_buffers")
"""Of the server's own, what takes memory too and follows from no host."""


class Line(NamedTuple):
    """A size."""

    name: str
    value: str
    origin: str
    reason: str


def lines(settings: Settings) -> tuple[Line, ...]:
    """Hosts, then every size of PostgreSQL."""
    return (*_of_hosts(settings), *_of_servers(settings))


def imagined(settings: Settings, memory: int | None, cpus: float | None) -> Settings:
    """The same environment with other database hosts. Raises Refused where the rules would refuse it."""
    wanted = {name: value for name, value in (("memory", memory), ("cpus", cpus)) if value is not None}
    for name, value in wanted.items():
        try:
            TypeAdapter(Host.model_fields[name].rebuild_annotation()).validate_python(value)
        except ValidationError as error:
            raise Refused(f"--{name} {value:g}: {error.errors()[0]['msg']}", UNCHANGED) from None
    hosts = {
        name: host.model_copy(update=wanted) if Group.POSTGRES in host.groups else host
        for name, host in settings.hosts.items()
    }
    changed = settings.model_copy(update={"hosts": hosts})
    problems = rules.check(dict(changed))
    if problems:
        said = ", ".join(f"{name} {value:g}" for name, value in wanted.items())
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise Refused(f"with {said} on every database host, `up` would refuse the stack\n{listed}", UNCHANGED)
    return changed


def sums(settings: Settings) -> dict[str, dict[str, int]]:
    """Database host → its memory, and what of it is taken at the same time, MiB."""
    sized = sizing.sized(settings)
    return {
        name: {
            "memory": sized.machines[name].memory,
            "services": sizing.services(host.groups, settings.redis),
            "postgresql": sizing.needed(settings.postgres.max_connections, sized.values),
        }
        for name, host in settings.hosts.items()
        if Group.POSTGRES in host.groups
    }


def _of_hosts(settings: Settings) -> Iterator[Line]:
    machines = sizing.sized(settings).machines
    for name, host in settings.hosts.items():
        for setting, unit in (("memory", " MiB"), ("cpus", "")):
            path, value = f"hosts.{name}.{setting}", f"{getattr(machines[name], setting):g}{unit}"
            if getattr(host, setting) == AUTO:
                yield Line(path, value, Origin.DERIVED, _why_auto(setting, Group.POSTGRES in host.groups))
            elif setting in host.model_fields_set:
                yield Line(path, value, Origin.STACK, f"keel:{path}")
            else:
                yield Line(path, value, Origin.KEEL, "BAC-03")


def _why_auto(setting: str, database: bool) -> str:
    if setting == "cpus":
        return "auto: BAC-03's"
    if not database:
        return f"auto: what its groups need, {sizing.SMALL} at least"
    return (
        f"auto: the least, {sizing.DOCUMENTED} (BAC-03) at least, with which every connection has "
        f"{sizing.DOCUMENTED_WORK_MEM} MiB of work_mem (ADA-01)"
    )


def _of_servers(settings: Settings) -> Iterator[Line]:
    postgres, known = settings.postgres, server_parameters.known(settings.release.postgres)
    connections = "max_connections" in postgres.model_fields_set
    yield Line(
        "max_connections", str(postgres.max_connections), Origin.STACK if connections else Origin.KEEL,
        "keel:postgres.max_connections" if connections else "ADA-01; the connection budget of the products fits in it",
    )  # fmt: skip
    for name, value in sizing.sized(settings).values.items():
        yield Line(name, value.text, value.origin, value.reason)
    for name in LEFT_ALONE:
        if name in postgres.parameters:
            yield Line(name, text(postgres.parameters[name]), Origin.STACK, f"keel:postgres.parameters.{name}")
        elif name in known:
            yield Line(name, _default(known[name]), Origin.POSTGRESQL, "set it under keel:postgres.parameters")


def _default(parameter: Parameter) -> str:
    """PostgreSQL's own value, in MiB where it is memory and no sign."""
    number: Any = parameter.base(parameter.default)
    base = parameter.base("1MB") if parameter.unit else None
    return (
        f"{number / base:g}MB"
        if base and number > 0 and parameter.unit.lstrip("0123456789") in MEMORY
        else parameter.default
    )
