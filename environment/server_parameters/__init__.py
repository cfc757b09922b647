"""PostgreSQL's own parameters: what each major says of them (`tools/server_parameters.py` asks and writes), and what a stack file may
set. A value is refused here and not by a server that then does not start."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from environment.types import ParameterValue

FOLDER = Path(__file__).parent
MEMORY = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
"""Unit → bytes."""
TIME = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}
"""Unit → microseconds."""
FEWER = dict.fromkeys(("autovacuum_max_workers", "max_worker_processes"), "10000")
"""At most, of what has a process each: with the connections they are 262143 at most, or the server does not start."""
NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?) *([A-Za-z]*)")
TRUE, FALSE = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


class Parameter(NamedTuple):
    """A row of pg_settings. ``unit`` is the base unit, perhaps a multiple (8kB); ``choices`` are separated by |."""

    name: str
    kind: str
    context: str
    unit: str
    least: str
    most: str
    choices: str
    default: str
    """PostgreSQL's own, in the base unit."""

    @property
    def at_start(self) -> bool:
        """Whether PostgreSQL reads it only when it starts."""
        return self.context == "postmaster"

    def base(self, value: ParameterValue) -> float | None:
        """A number in the base unit, None where the text is none: a number without a unit is in it already."""
        found = NUMBER.fullmatch(text(value).strip())
        if not found:
            return None
        number, unit = float(found[1]), found[2]
        if not unit:
            return number
        base = NUMBER.fullmatch(self.unit) or NUMBER.fullmatch(f"1{self.unit}")
        for units in (MEMORY, TIME):
            if base and unit in units and base[2] in units:
                return number * units[unit] / (float(base[1]) * units[base[2]])
        return None

    def same(self, one: ParameterValue, other: ParameterValue) -> bool:
        """Whether two texts are the same value to the server."""
        if self.kind == "bool":
            return (text(one).lower() in TRUE) == (text(other).lower() in TRUE)
        if self.kind in ("integer", "real"):
            return self.base(one) == self.base(other)
        return text(one) == text(other)

    def allowed(self, value: ParameterValue) -> str:
        """What is allowed instead of ``value``; "" where it is allowed."""
        said = text(value)
        if self.kind == "bool":
            return "" if said.lower() in TRUE + FALSE else "on or off"
        if self.kind == "enum":
            choices = self.choices.split("|")
            return "" if said.lower() in choices else f"one of {choices}"
        number = self.base(value)
        if number is not None and float(self.least) <= number <= float(self.most):
            return "" if self.kind == "real" or self.unit or number.is_integer() else "a whole number"
        unit = f", in {self.unit} or with one of the units {_units(self.unit)}" if self.unit else ""
        return f"a number from {self.least} to {self.most}{unit}"


OF_A_DATABASE = frozenset({"effective_cache_size", "maintenance_work_mem", "work_mem"})
"""What keel:postgres says for the whole server, and one database may have otherwise."""
OF_ITS_LOGINS = {
    "idle_in_transaction_session_timeout": "keel:products.<name>.idle_transaction bounds each login",
    "temp_file_limit": "keel:products.<name>.temp_files bounds each login",
    "lo_compat_privileges": "it lets everybody read everybody's large objects",
}
"""What a database does not say: why."""
IN_SESSIONS = frozenset({"user", "superuser"})
"""Contexts of what a session begins with, and a database therefore can have a value of its own of."""


def allowed_of_database(major: int, name: str, value: ParameterValue) -> str:
    """What is allowed instead of this value for one database; "" where it is allowed."""
    found = known(major).get(name)
    if name in OF_ITS_LOGINS:
        return f"not here: {OF_ITS_LOGINS[name]}"
    if wrong := found.allowed(value) if found and name in OF_A_DATABASE else allowed(major, name, value):
        return wrong
    if found and found.context not in IN_SESSIONS:
        return "not here: the server has one value for all databases, which keel:postgres.parameters says"
    return ""


CARRIED = frozenset(
    {"application_name", "client_encoding", "datestyle", "intervalstyle", "standard_conforming_strings", "timezone"}
)
"""What every PgBouncer keeps apart for each client: the server reports them. One that is in its list of ignored parameters is not
carried any more (1.26.1)."""
NOT_SENT = {
    **dict.fromkeys(CARRIED, "the pooler carries it already, and each client has the value that it sends"),
    "default_transaction_read_only": "<product>_ro and the read-only login begin with it",
    "idle_session_timeout": "it would end the pooler's connections, which wait for clients",
    "row_security": "what a client sends does not say whose rows it sees",
    "search_path": "names are looked up in `public`; a transaction has another one by SET LOCAL",
}
"""What no client's start may change: why."""
FROM_CLIENTS = OF_A_DATABASE | {
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "statement_timeout",
    "transaction_timeout",
}
"""What is not set for a whole server, and a login may begin with."""


def allowed_at_startup(major: int, name: str, value: ParameterValue, most: Mapping[str, str]) -> str:
    """What is allowed instead of this value that clients send as they connect; "" where it is allowed. ``most``: parameter → the
    longest time that it may say."""
    found = known(major).get(name)
    if name in NOT_SENT:
        return f"not here: {NOT_SENT[name]}"
    if wrong := found.allowed(value) if found and name in FROM_CLIENTS else allowed(major, name, value):
        return wrong
    if found and found.context != "user":
        return "not here: the server takes it from no client"
    if found and name in most and not 0 < (found.base(value) or 0) <= (found.base(most[name]) or 0):
        return f"more than 0 and at most {most[name]}: the product's own limit holds"
    return ""


def text(value: ParameterValue) -> str:
    """As a configuration file has it. YAML reads `on` as true."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _units(base: str) -> list[str]:
    return list(next(units for units in (MEMORY, TIME) if base.lstrip("0123456789") in units))


@cache
def known(major: int) -> dict[str, Parameter]:
    """Name → parameter, of a major; none of one that no supported Debian release has."""
    path = FOLDER / f"{major}.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        found = [Parameter(*row) for row in rows]
    return {each.name: each._replace(most=FEWER.get(each.name, each.most)) for each in found}


@cache
def owned() -> dict[str, str]:
    """Name → why a stack file does not set it here."""
    reasons: dict[str, list[str]] = yaml.safe_load((FOLDER / "owned.yaml").read_text())
    return {name: reason for reason, names in reasons.items() for name in names}


def allowed(major: int, name: str, value: ParameterValue) -> str:
    """What is allowed instead of this value of this parameter; "" where it is allowed."""
    parameters = known(major)
    if not parameters:
        return f"nothing: what PostgreSQL {major} has is not known here"
    if name in owned():
        return f"not here: {owned()[name]}"
    if name not in parameters:
        near = get_close_matches(name, sorted(parameters), 3)
        return f"a parameter of PostgreSQL {major}" + (f", such as {', '.join(near)}" if near else "")
    if parameters[name].context == "internal":
        return "not here: it says how the server was built or its cluster was made"
    if parameters[name].kind == "string":
        return "not here: the server alone knows which texts it takes, and does not start with another one"
    return parameters[name].allowed(value)
