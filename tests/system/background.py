"""What goes on in a thread for the length of a block."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self


class Background:
    """``_work`` runs from the block's beginning and ends soon after ``_stop`` is set, at the block's end."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), f"{type(self).__name__} did not end within 60 s"
