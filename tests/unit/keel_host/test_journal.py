"""The journal as libsystemd shows it: the real library, on the journal of the machine that tests."""

from __future__ import annotations

import pytest

from keel_host import journal
from keel_host.journal import Journal
from keel_host.processes import Failed


def test_of_a_unit_that_writes_nothing_nothing_is_new() -> None:
    """W8: nor an old line of another's."""
    assert list(Journal(("keel-no-such.service",)).new()) == []


def test_what_the_library_refuses_is_no_silence() -> None:
    lines = Journal(("keel-no-such.service",))
    with pytest.raises(Failed, match="journal: seek_cursor: Invalid argument"):
        lines._ask("seek_cursor", b"nowhere")


def test_where_there_is_no_systemd_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LIBRARY", "libkeel-no-such.so.0")
    with pytest.raises(OSError, match="libkeel-no-such"):
        Journal(())
