"""What someone ordered on PgBouncer's console. It is in no file: a SET lasts until PgBouncer reads its files again, a PAUSE or a
DISABLE until the opposite order."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import FactBase, operation

from keel_host.console import ANSWERS_WITHIN
from roles import paths
from roles.kit.results import perform

ITS_OWN = ("conffile", "peer_id")
"""What `run-pooler` gives each process."""
NOTHING = ("", "0", "<empty>")
"""How the console writes that a setting has no value."""
SILENT = "no answer"
SIGNALLED = "pkill -USR2 -x pgbouncer"
"""What RESUME does, for one whose console answers no more (pgbouncer(1))."""


def _console(port: int, administrator: str, more: str = "") -> str:
    # After SUSPEND it lets no one in.
    psql = f"env PGCONNECT_TIMEOUT={ANSWERS_WITHIN:.0f} psql -h {paths.PGBOUNCER_SOCKETS} -p {port} -U {administrator}"
    return f"runuser -u {administrator} -- {psql} pgbouncer -XA -F '\x1f' {more}"


class SetByHand(FactBase[dict[str, str]]):
    """Name → value of settings that the console can change and that are neither what the file on the host says nor, where it says
    nothing, PgBouncer's default; none where PgBouncer does not answer."""

    default = dict

    def command(self, config: str, port: int, administrator: str) -> str:
        return f"cat {config} 2>/dev/null; {_console(port, administrator, '-t')} -c 'show config' 2>/dev/null || true"

    def process(self, output: Iterable[str]) -> dict[str, str]:
        lines = list(output)
        rows = (line.split("\x1f") for line in lines if line.count("\x1f") == 3)
        given = (line.partition("=") for line in lines if "\x1f" not in line and not line.startswith((";", "%", "[")))
        declared = {name.strip(): value.strip() for name, _, value in given}
        return {
            name: value
            for name, value, default, changeable in sorted(rows)
            if changeable == "yes" and name not in ITS_OWN and not _same(value, declared.get(name, default))
        }


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other or (one in NOTHING and other in NOTHING)


class ClosedByHand(FactBase[dict[str, str]]):
    """What of a PgBouncer that runs is closed to clients → the command that opens it."""

    default = dict

    def command(self, unit: str, port: int, administrator: str) -> str:
        shown = f"{_console(port, administrator, '-P footer=off')} -c 'show databases' -c 'show state'"
        return f"if systemctl is-active -q {unit}; then {shown} 2>/dev/null || echo '{SILENT}'; fi"

    def process(self, output: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        names: list[str] = []
        for line in output:
            values = line.split("\x1f")
            row = dict(zip(names, values, strict=False))
            if line == SILENT:
                found["its console is silent"] = SIGNALLED
            elif values[0] in ("name", "key"):
                names = values
            elif row.get("key") in ("paused", "suspended") and row["value"] == "yes":
                found[f"all is {row['key']}"] = "RESUME"
            elif row.get("paused") == "1":
                found[f"{row['name']} is paused"] = f"RESUME {row['name']}"
            elif row.get("disabled") == "1":
                found[f"{row['name']} is disabled"] = f"ENABLE {row['name']}"
        return found


def open_what_is_closed(unit: str, port: int, administrator: str) -> None:
    """Undo PAUSE, SUSPEND and DISABLE on the console of this edge's PgBouncer."""
    closed = host.get_fact(ClosedByHand, unit=unit, port=port, administrator=administrator)
    found = ", ".join(closed) or "open"
    perform(f"pgbouncer: its databases are open ({found})", _opened, list(closed.values()), port, administrator)


@operation()
def _opened(orders: list[str], port: int, administrator: str) -> Generator[str, None, None]:
    for order in orders:
        yield order if order == SIGNALLED else f"{_console(port, administrator)} -c '{order}'"


def forget_hand_made_settings(config: str, port: int, administrator: str) -> None:
    """Undo SET on the console of this edge's PgBouncer, whose file is ``config``."""
    wrong = host.get_fact(SetByHand, config=config, port=port, administrator=administrator)
    found = ", ".join(f"{name} = {value}" for name, value in wrong.items())
    perform(f"pgbouncer: no SET on its console ({found or 'none'})", _read_again, bool(wrong))


@operation()
def _read_again(wrong: bool) -> Generator[str, None, None]:
    if wrong:
        yield "systemctl reload pgbouncer.service"
