"""What a recovery can end at, and how it is told to pgBackRest."""

from __future__ import annotations

import pytest

from environment.recovery import target


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("latest", ["--type=default"]),
        ("2026-11-22T08:15:00Z", ["--type=time", "--target=2026-11-22 08:15:00.000000+00:00", "--target-action=promote"]),
        ("2026-11-22 10:15:00.5+02:00", ["--type=time", "--target=2026-11-22 08:15:00.500000+00:00", "--target-action=promote"]),
        ("2026-11-22 08:15", ["--type=time", "--target=2026-11-22 08:15:00.000000+00:00", "--target-action=promote"]),
        ("0/3000148", ["--type=lsn", "--target=0/3000148", "--target-action=promote"]),
        ("a/ff", ["--type=lsn", "--target=A/FF", "--target-action=promote"]),
        ("742", ["--type=xid", "--target=742", "--target-action=promote"]),
        ("ruleiq-007-008-20261122T081500Z",
         ["--type=name", "--target=ruleiq-007-008-20261122T081500Z", "--target-action=promote"]),
        # Without quotes in a stack file, Pulumi hands a time out so.
        ("2026-11-22 08:15:00 +0000 UTC", ["--type=time", "--target=2026-11-22 08:15:00.000000+00:00", "--target-action=promote"]),
        ("2026-11-22 10:15:00.5 +0200 +0200", ["--type=time", "--target=2026-11-22 08:15:00.500000+00:00", "--target-action=promote"]),
        ("2026-11-22-before-the-import",
         ["--type=name", "--target=2026-11-22-before-the-import", "--target-action=promote"]),
    ],
)  # fmt: skip
def test_a_target_is_what_it_looks_like(text: str, options: list[str]) -> None:
    """PLAT-34: a time, a position, a transaction or a name; times are UTC unless they say otherwise."""
    assert target(text).options == options


@pytest.mark.parametrize("text", ["", "yesterday evening", "--delta", "x" * 64, "a;b", "2026-13-01T00:00:00Z; rm"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: latest, a time such as"):
        target(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z", "2026-02-30", "2026-13-01T00:00:00Z", "2026-11-22T25:00:00Z", "2026-11-22T08:60", "20260230T000000Z",
        "2026-2-30T1:00", "25:00", "2026-11-22T08:15:00UTC", "2026-11-22T08:15:00+25:00", "2026-W60-1",
    ],
)  # fmt: skip
def test_a_time_that_there_is_not_is_no_name(text: str) -> None:
    """PLAT-34: it was meant as a time, and no restore point that anybody made is called so."""
    with pytest.raises(ValueError, match="is no time that there is"):
        target(text)
