"""Other programs, run to their end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keel_host import processes
from keel_host.processes import AS_POSTGRES, Failed
from tests.stand_ins import stand_in


@pytest.fixture
def says(tmp_path: Path) -> str:
    """A program that does as it is told."""
    stand_in(tmp_path, "says", 'eval "$1"')
    return str(tmp_path / "says")


def test_its_output_is_returned(says: str) -> None:
    assert processes.output(says, "echo one; echo two >&2") == "one\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo out; echo why >&2; exit 3", "says: why"),
        ("echo only out; exit 3", "says: only out"),
        ("exit 3", "says: exit status 3"),
        ("printf '%0900d' 7 >&2; exit 3", f"says: {7:0800d}"),
    ],
)
def test_a_failure_is_quoted(says: str, script: str, words: str) -> None:
    """PLAT-32: by the name of the program, with the end of what it said."""
    with pytest.raises(Failed, match=f"^{re.escape(words)}$"):
        processes.output(says, script)


def test_a_program_that_hangs_is_given_up(says: str) -> None:
    with pytest.raises(Failed, match=r"^says did not answer within 1 s$"):
        processes.output(says, "sleep 60", timeout=0.6)


def test_a_program_that_runs_as_postgres_has_its_own_name() -> None:
    assert processes.program((*AS_POSTGRES, "/usr/bin/pgbackrest", "info")) == "pgbackrest"
    assert processes.program(("/usr/bin/psql",)) == "psql"


def test_an_option_has_its_last_value() -> None:
    assert processes.option(["--scope=a", "--datadir=/b=c", "x"], "--datadir") == "/b=c"
    with pytest.raises(Failed, match="--datadir is not given"):
        processes.option(["--data=/b"], "--datadir")
