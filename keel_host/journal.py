"""The journal, read as it is written.

`journalctl -f` prints a line up to a quarter of a second after it was written: journald wakes its readers no sooner, so that many
lines wake them once. Who looks meanwhile finds it. So this asks libsystemd, which is on every host with systemd;
Python's own binding is a package that hosts need not have.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence

from keel_host.processes import Failed

LIBRARY = "libsystemd.so.0"
LOCAL, SYSTEM = 1, 4
"""Of sd_journal_open(3): the journals of this boot's machine, of services."""


class Journal:
    """The lines of some units, from now on."""

    def __init__(self, units: Sequence[str]) -> None:
        """Raises Failed where the journal cannot be read, OSError where there is no systemd."""
        self._library = ctypes.CDLL(LIBRARY)
        self._journal = ctypes.c_void_p()
        self._ask("open", ctypes.byref(self._journal), LOCAL | SYSTEM, opens=True)
        for unit in units:
            self._ask("add_match", f"_SYSTEMD_UNIT={unit}".encode(), ctypes.c_size_t(0))
        self._ask("get_fd")  # from here on it notices that a file of the journal ends and the next begins
        self._ask("seek_tail")
        self._ask("previous")

    def new(self) -> Iterator[str]:
        """What was written since the last call. Raises Failed."""
        self._ask("process")
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        while self._ask("next"):
            self._ask("get_data", b"MESSAGE", ctypes.byref(data), ctypes.byref(size))
            yield ctypes.string_at(data, size.value).decode(errors="replace").partition("=")[2]

    def _ask(self, function: str, *arguments: object, opens: bool = False) -> int:
        """A function of sd-journal(3)."""
        handle = () if opens else (self._journal,)
        if (answer := getattr(self._library, f"sd_journal_{function}")(*handle, *arguments)) < 0:
            raise Failed(f"journal: {function}: {os.strerror(-answer)}")
        return int(answer)
