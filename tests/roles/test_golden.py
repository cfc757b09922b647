"""Everything that the roles declare, compared whole: packages, directories, key pairs, files, units, per environment.

`make reference` writes what is compared with. The lines that carry a promise have tests of their own.
"""

from __future__ import annotations

import pytest

from tests.roles.declared import GOLDEN, environments, text


@pytest.mark.parametrize("name", environments())
def test_what_is_declared_is_what_was_reviewed(name: str) -> None:
    """A change of it is seen as a change of these files: look at it, then `make reference`."""
    assert text(environments()[name]).splitlines() == (GOLDEN / f"{name}.txt").read_text().splitlines()


def test_no_environment_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(environments())
