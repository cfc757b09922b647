"""The requirement map is what the tests' docstrings say."""

from __future__ import annotations

import pytest

from tools.requirements_map import PAGE, cited, page


def test_the_map_is_current() -> None:
    """Regenerate it with `make reference`."""
    assert PAGE.read_text() == page()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("PLAT-15: all", ["PLAT-15"]),
        ("BAC-05, -06 and JEEX-02", ["BAC-05", "BAC-06", "JEEX-02"]),
        ("JEEX-07..09 hold", ["JEEX-07", "JEEX-08", "JEEX-09"]),
        ("nothing here: X-20, UTF-8", []),
    ],
)
def test_citations_are_read(text: str, ids: list[str]) -> None:
    """Lists and ranges count as each of their ids."""
    assert sorted(cited(text)) == sorted(ids)
