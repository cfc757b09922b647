"""What PgBouncer holds: a SET on its console is in no file, and lasts until it reads its files again."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import FactBase, operation

from roles import paths
from roles.kit.results import perform

ITS_OWN = ("conffile", "peer_id")
"""What `run-pooler` gives each process."""
NOTHING = ("", "0", "<empty>")
"""How the console writes that a setting has no value."""


class SetByHand(FactBase[dict[str, str]]):
    """Name → value of settings that the console can change and that are neither what the file on the host says nor, where it says
    nothing, PgBouncer's default; none where PgBouncer does not answer."""

    default = dict

    def command(self, config: str, port: int, administrator: str) -> str:
        console = f"psql -h {paths.PGBOUNCER_SOCKETS} -p {port} -U {administrator} pgbouncer -XAt -F '\x1f'"
        return f"cat {config} 2>/dev/null; runuser -u {administrator} -- {console} -c 'show config' 2>/dev/null || true"

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


def forget_hand_made_settings(config: str, port: int, administrator: str) -> None:
    """Undo SET on the console of this edge's PgBouncer, whose file is ``config``."""
    wrong = host.get_fact(SetByHand, config=config, port=port, administrator=administrator)
    found = ", ".join(f"{name} = {value}" for name, value in wrong.items())
    perform(f"pgbouncer: no SET on its console ({found or 'none'})", _read_again, bool(wrong))


@operation()
def _read_again(wrong: bool) -> Generator[str, None, None]:
    if wrong:
        yield "systemctl reload pgbouncer.service"
