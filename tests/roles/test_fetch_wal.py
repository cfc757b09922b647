"""Where a replica and a recovery look for WAL."""

from __future__ import annotations

from pathlib import Path

import pytest

from environment.settings import Repository, SecondRepository
from tests.roles.targets import files
from tests.stand_ins import calls, run_script, stand_in

ALONE, BOTH = Repository(), Repository(second=SecondRepository(endpoint="s3.example.com", bucket="backups"))


def asked(tmp_path: Path, settings: Repository, *arguments: str, first: int = 0, status: int = 0) -> list[str]:
    """What pgBackRest is asked on the way to exit status ``status``, when the first repository answers with ``first``."""
    stand_in(tmp_path, "pgbackrest", f'case "$*" in *--repo=1*) exit {first};; esac')
    text = files("pgbackrest", repository=settings)["/usr/local/lib/keel/fetch-wal"].content
    assert run_script(tmp_path, text, *arguments).returncode == status
    return calls(tmp_path).splitlines()


def test_with_one_repository_it_is_sought_under_every_key(tmp_path: Path) -> None:
    """PLAT-34: a recovery waits for what is slow, a promotion does not."""
    assert asked(tmp_path, ALONE, "everywhere", "W", "P") == ["pgbackrest --stanza=dev archive-get W P"]
    (_, near) = asked(tmp_path, ALONE, "near", "W", "P")
    assert near == "pgbackrest --stanza=dev --io-timeout=5 --no-archive-async archive-get W P"


@pytest.mark.parametrize("found", [0, 1])
def test_a_replica_asks_the_first_repository_only(tmp_path: Path, found: int) -> None:
    """A store that hangs must not hold a promotion up."""
    (near,) = asked(tmp_path, BOTH, "near", "W", "P", first=found, status=found)
    assert near == "pgbackrest --stanza=dev --repo=1 --io-timeout=5 --no-archive-async archive-get W P"


def test_a_recovery_asks_the_second_for_what_the_first_lacks(tmp_path: Path) -> None:
    """PLAT-34, PLAT-36: and for nothing else, for it may be away."""
    options = ("everywhere", "W", "P", "--config=own.conf")
    assert asked(tmp_path, BOTH, *options) == ["pgbackrest --stanza=dev --repo=1 --config=own.conf archive-get W P"]
    (_, _, then) = asked(tmp_path, BOTH, *options, first=49)
    assert then == "pgbackrest --stanza=dev --no-archive-async --config=own.conf archive-get W P"
