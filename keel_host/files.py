"""Files that are written whole or not at all, and locks that end with their process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a file under a waiting name, then give it its own. Raises OSError."""
    waiting = path.with_name(f"{path.name}.part")
    waiting.write_text(text)
    waiting.replace(path)


def append(path: Path, text: str) -> None:
    """Add whole lines to a file. Where the volume is full it stays as it was, without an error: the next look tries again."""
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        whole = file.tell()
        if file.write(text.encode()) < len(text.encode()):
            file.truncate(whole)


@contextlib.contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a file or a folder; a file is made where there is none.

    ``how``: fcntl.LOCK_EX waits for the holder; with fcntl.LOCK_NB it raises BlockingIOError instead.
    """
    held = os.open(path, os.O_RDONLY if path.is_dir() else os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, how)
        yield
    finally:
        os.close(held)


def lack_of_space(folder: str, size: int, free: int, needed: int) -> str | None:
    """A sentence where the volume of ``folder`` does not hold ``needed`` bytes more, or where less than a tenth of it would
    stay free: the archive needs room, and so does a server that runs. All in bytes."""
    if free - needed >= size / 10:
        return None
    return (
        f"{folder} has {free / 2**30:.1f} GiB free; {needed / 2**30:.1f} GiB are needed, and a tenth of the volume must "
        "stay free"
    )
