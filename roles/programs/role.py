"""The package `keel_host` on the hosts whose services run its programs, and a launcher for each program."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

from pyinfra import host
from pyinfra.api import FactBase, operation

from environment.load import ROOT
from environment.types import Group
from keel_host.accounts import RECEIVER, SCRATCH
from roles import paths
from roles.kit.declare import Directory, File, Role, Target
from roles.kit.results import perform

PACKAGE = ROOT / "keel_host"
LAUNCHED = {
    Group.POSTGRES: ("bootstrap", "end-sessions", "recorded-patroni", "replica-from-repository", "share-cores"),
    Group.EDGE: ("hold-writes", "run-pooler", "watch-logins"),
    Group.REDIS: ("watch-logins",),
    Group.BACKUP: (
        "copy-archive",
        "drill",
        "dump-databases",
        "job",
        "known-moment",
        "scratch-server",
        "seal-archive",
        "watch-archive",
    ),
}
"""Group → programs that its hosts run."""


class Programs(Role):
    """Code only, the same everywhere: the roles whose programs these are write the settings (keel_host/config.py)."""

    name = "programs"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        folders = {path.parent for path in _modules()}
        return tuple(Directory(_there(folder)) for folder in sorted(folders))

    def files(self, target: Target) -> tuple[File, ...]:
        launcher = self.render("launcher", target)
        launched = {name: None for group, names in LAUNCHED.items() if target.host.carries(group) for name in names}
        return (
            *(File(_there(path), path.read_text()) for path in _modules()),
            *(File(f"{paths.LIBRARY}/{name}", launcher, mode="755") for name in launched),
        )

    def activate(self, target: Target, changed: frozenset[str]) -> None:
        if target.host.carries(Group.BACKUP):
            for account in (SCRATCH, RECEIVER):
                perform(f"programs: account {account}", _account, account, host.get_fact(Account, account=account))


class Account(FactBase[bool]):
    """Whether the host knows an account."""

    def command(self, account: str) -> str:
        return f"getent passwd {account} || true"

    def process(self, output: Iterable[str]) -> bool:
        return any(output)


@operation()
def _account(account: str, known: bool) -> Generator[str, None, None]:
    """What scratch servers, or pgBackRest's, run as: it is in no other group and has no shell."""
    if not known:
        yield f"useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {account}"


def _modules() -> list[Path]:
    """The package's files, without what Python caches."""
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".sql"))


def _there(path: Path) -> str:
    """Where a file or folder of the package is on a host."""
    return f"{paths.LIBRARY}/{path.relative_to(ROOT)}"
