"""The files of the data directory that the server reads its settings and its access rules from. What an operator writes there by
hand is drift (PLAT-03), and goes. Read and written as files: a setting in one of them can keep everybody out who could ask."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from pyinfra.api import FactBase, operation

from roles import paths
from roles.kit.declare import Target
from roles.kit.results import perform
from roles.postgres.parameters import parameters

Lines = list[str]
BY_HAND, BASE, PATRONIS = "postgresql.auto.conf", "postgresql.base.conf", "postgresql.conf"
"""ALTER SYSTEM's, initdb's, and the one that Patroni writes, which begins with initdb's."""
ACCESS = ("pg_ident", "pg_hba")
"""As Patroni calls them; the files' names end in .conf."""
STARTED = "postmaster.opts"
"""With what the server was started: those names win over every file."""
MARK = "=====keel "
INCLUDES = f"include '{BASE}'"
OF_THE_MEMBER = re.compile("primary_conninfo|primary_slot_name|synchronous_standby_names|recovery_|restore_command")
"""What Patroni writes as the member's part in the cluster asks for it, and puts right by itself."""


class ServerFiles(FactBase[dict[str, Lines]]):
    """File → its lines without comments. One that is gone is left out; there are none before there is a cluster."""

    default = dict

    def command(self, data: str) -> str:
        names = " ".join((BY_HAND, BASE, PATRONIS, *(f"{word}.conf" for word in ACCESS), STARTED))
        each = f'[ ! -e $file ] || {{ echo "{MARK}$file"; awk 1 $file; }}'
        return f"cd {data} 2>/dev/null && [ -e PG_VERSION ] && for file in {names}; do {each}; done; true"

    def process(self, output: Iterable[str]) -> dict[str, Lines]:
        found: dict[str, Lines] = {}
        current: Lines = []
        for line in output:
            if line.startswith(MARK):
                current = found.setdefault(line.removeprefix(MARK), [])
            elif line.strip() and not line.lstrip().startswith("#"):
                current.append(line)
        return found


def forget_hand_made(
    target: Target, found: Mapping[str, Lines], given: Mapping[str, Any], configuration: Mapping[str, Any]
) -> bool:
    """Make each file what it should be; True where a setting of a recovery went, which stays in force until a restart.

    ``found``: as :class:`ServerFiles` answers. ``given``: the part `postgresql` of this member's Patroni, which writes pg_ident and
    pg_hba only when its own settings change, and seconds later, when Keel already comes as a login that they admit.
    ``configuration``: Patroni's in etcd.
    """
    started = set(re.findall(r'"--([\w.]+)=', "".join(found.get(STARTED, []))))
    wins = started | parameters(target.manifest).keys()
    _make(target, BY_HAND, found, [], _name)
    _make(target, BASE, found, [line for line in found.get(BASE, []) if _name(line) in wins], _name)
    _make(target, PATRONIS, found, _patronis(target, found.get(PATRONIS, []), started, given, configuration), _name)
    for word in ACCESS:
        _make(target, f"{word}.conf", found, given[word], _admits)
    return any(_name(line).startswith("recovery_target") for line in found.get(BY_HAND, []))


def _patronis(
    target: Target, found: Lines, started: set[str], given: Mapping[str, Any], configuration: Mapping[str, Any]
) -> Lines:
    """Patroni's file: its lines that may stay, and those that are missing."""
    declared, stored = parameters(target.manifest), configuration.get("postgresql", {}).get("parameters", {})
    # What differs in etcd is put right there, and comes from there.
    differs = {name for name, value in declared.items() if stored.get(name) != value}
    data = paths.data_directory(target.manifest)
    access = {f"{word.removeprefix('pg_')}_file": f"{data}/{word}.conf" for word in ACCESS}
    free = started | differs
    values = {name: value for name, value in (declared | given["parameters"] | access).items() if name not in free}
    wanted = {name: _line(name, value) for name, value in values.items()}
    stay = [line for line in found if _stays(line, wanted, free)]
    return [INCLUDES, *stay, *(line for line in wanted.values() if line not in stay)]


def _stays(line: str, wanted: Mapping[str, str], free: set[str]) -> bool:
    name = _name(line)
    return wanted.get(name) == line or name in free or bool(OF_THE_MEMBER.match(name))


def _line(name: str, value: object) -> str:
    """As Patroni writes it."""
    doubled = re.sub(r"(['\\])", r"\1\1", str(value))
    return f"{name} = '{doubled}'"


def _name(line: str) -> str:
    """What a line sets."""
    return re.split(r"[\s=]", line.strip(), maxsplit=1)[0].lower()


def _admits(line: str) -> str:
    """Whom a line admits: its options may hold a password."""
    return " ".join(line.split()[:4])


def _make(target: Target, file: str, files: Mapping[str, Lines], wanted: Lines, told: Callable[[str], str]) -> None:
    found = files.get(file)
    more = [told(line) for line in found or () if line not in wanted]
    less = [told(line) for line in wanted if line not in (found or ())]
    differs = [*more, *(f"without {each}" for each in less if each not in more)]
    what = (
        "gone" if found is None else ", ".join(dict.fromkeys(differs)) or ("current" if found == wanted else "changed")
    )
    perform(f"postgres: {file} ({what})", _write, target, None if found == wanted else file, wanted)


@operation()
def _write(target: Target, file: str | None, lines: Lines) -> Generator[str]:
    if file:
        data = paths.data_directory(target.manifest)
        path = f"{data}/{file}"
        written = f"umask 077; cat >{path}.keel && mv {path}.keel {path}"
        text = "".join(f"{line}\n" for line in lines)
        yield f"printf %s {shlex.quote(text)} | runuser -u postgres -- sh -c {shlex.quote(written)}"
        control = f"runuser -u postgres -- {paths.binaries(target.manifest)}/pg_ctl -D {data}"
        yield f"! {control} status >/dev/null || {control} reload"  # a server that does not run reads it when it starts
