"""Every setting of the model, each with another valid value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache, partial
from ipaddress import ip_address, ip_network
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from environment import program
from environment.derive import Roots
from environment.manifest import Manifest, build
from environment.pki import ca_certificate
from environment.settings import Settings
from environment.types import Model, Preset
from tests.unit.stacks import ROOTS, config

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
WHOLE = {
    "network.firewall": "all",
    "repository.second": {"endpoint": "s3.example", "bucket": "backups"},
    "repository.archive_full": "drop",
    "recovery": {"token": "first"},
}
STACKS = ("dev", "staging")
"""Containers and machines: some settings are of one of them."""

OTHER: dict[str, Any] = {
    "release.extra_packages": ("htop",),
    "network.cidr": ip_network("10.0.0.0/8"),
    "network.containers": ip_network("10.88.0.192/26"),
    "network.clients": (ip_network("10.99.0.0/16"),),
    "network.firewall": "keel",
    "network.controllers": (ip_network("10.99.0.0/16"),),
    "hosts.*.address": ip_address("10.88.0.99"),
    "hosts.*.groups": frozenset({"postgres", "etcd", "edge", "monitor"}),
    "hosts.*.memory": 6144,
    "hosts.*.cpus": 3.0,
    "hosts.*.ssh.hostname": "elsewhere.example",
    "hosts.*.ssh.host_key": KEY[:-4] + "AAAB",
    "postgres.apply_delay": {"db2": 60},
    "postgres.parameters": {"deadlock_timeout": "2s"},
    "patroni.ha": Preset.SAFE,
    "repository.second.endpoint": "elsewhere.example",
    "repository.second.bucket": "elsewhere",
    "repository.second.region": "elsewhere-1",
    "repository.second.path": "/elsewhere",
    "repository.second.ca": ca_certificate(Roots("elsewhere", "a", "p", "b")),
    "products.*.revision": "001",
    "products.*.settings": {"work_mem": "16MB"},
    "products.*.startup": {"lock_timeout": "2s"},
    "schedule.full": "7 7 * * *",
    "schedule.differential": "7 7 * * *",
    "schedule.incremental": "7 7 * * *",
    "schedule.drill": "7 7 * * *",
    "recovery.token": "another",
    "recovery.to": "2026-11-22T08:00:00Z",
}
"""Settings whose other values do not follow from their type."""

Leaf = tuple[str, Callable[[Any], Any], Model, str]


@cache
def settings_of(stack: str) -> Settings:
    """A real stack with everything in it that is optional."""
    keys = {"keel:s3_key": "the access key", "keel:s3_secret": "the secret key"}
    return program.load(stack, {**config(stack, WHOLE), **ROOTS, **keys}).settings


def leaves(model: Model, path: str = "") -> Iterator[Leaf]:
    """(path, the whole with another model in this one's place, model, field) of each plain setting below ``model``.

    Of hosts and products the first stands for all: its name is ``*`` in the path.
    """
    for name in type(model).model_fields:
        value, here = getattr(model, name), f"{path}{name}"

        put = partial(_with, model, name)
        if isinstance(value, Model):
            yield from _below(leaves(value, f"{here}."), put)
        elif isinstance(value, dict) and value and isinstance(next(iter(value.values())), Model):
            first = next(iter(value))
            yield from _below(leaves(value[first], f"{here}.*."), partial(_entry, put, value, first))
        elif not _fixed(model, name):
            yield here, lambda inner: inner, model, name


def _fixed(model: Model, name: str) -> bool:
    """True for a field that has one value only: no setting, but a fact beside settings."""
    annotation = type(model).model_fields[name].annotation
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _below(found: Iterator[Leaf], around: Callable[[Any], Any]) -> Iterator[Leaf]:
    for path, put, model, name in found:
        yield path, partial(_through, around, put), model, name


def _with(model: Model, name: str, inner: Any) -> Model:
    return model.model_copy(update={name: inner})


def _entry(put: Callable[[Any], Any], entries: dict[str, Any], name: str, inner: Any) -> Any:
    return put({**entries, name: inner})


def _through(outer: Callable[[Any], Any], inner: Callable[[Any], Any], model: Any) -> Any:
    return outer(inner(model))


def other(path: str, model: Model, name: str) -> Model:
    """``model`` with another valid value of the field."""
    value, annotation = getattr(model, name), type(model).model_fields[name].annotation
    for candidate in (OTHER[path],) if path in OTHER else _candidates(value, annotation):
        if candidate != value:
            try:
                checked = type(model).model_validate({**dict(model), name: candidate})
            except ValidationError:
                continue
            # What the stack file does not set is not set here either.
            return model.model_copy(update={name: getattr(checked, name)})
    raise AssertionError(f"{path} = {value!r} has no other value: name one in OTHER")


def _candidates(value: Any, annotation: Any) -> Iterator[Any]:
    for option in get_args(annotation) if get_origin(annotation) in (UnionType,) else (annotation,):
        if get_origin(option) is Literal:
            yield from get_args(option)
        elif isinstance(option, type) and issubclass(option, StrEnum):
            yield from option
        elif option is bool:
            yield from (True, False)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from (value + 1, value - 1)


FOUND = {(stack, leaf[0]): leaf[1:] for stack in STACKS for leaf in leaves(settings_of(stack))}
PATHS = sorted({path for _, path in FOUND if not any(below.startswith(f"{path}.") for _, below in FOUND)})
"""Without an optional section that one stack lacks: the other has its settings."""


def changed(stack: str, path: str) -> Settings:
    """The settings of ``stack`` with another value of the one at ``path``."""
    put, model, name = FOUND[stack, path]
    settings: Settings = put(other(path, model, name))
    return settings


def manifest(stack: str, settings: Settings) -> Manifest:
    """The manifest of these settings, whose host keys are the same everywhere."""
    return build(stack, settings, dict.fromkeys(settings.hosts, KEY))
