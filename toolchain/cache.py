"""What was built is kept outside the checkout, under names made of what it was built from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .progress import say


def digest(files: Iterable[Path], *extra: str) -> str:
    """Twelve hex digits naming the content of `files` and the words in `extra`."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for word in extra:
        total.update(word.encode() + b"\0")
    return total.hexdigest()[:12]


@dataclass(frozen=True)
class Cache:
    """The folder that holds what set-up made, shared by all checkouts of this user."""

    root: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Cache:
        """`$XDG_CACHE_HOME/keel`, `~/.cache/keel` where that is not set."""
        base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".cache")
        return cls(Path(base) / "keel")

    @property
    def pulumi_home(self) -> Path:
        """PULUMI_HOME for Keel: plugins and workspace, so that the user's own ~/.pulumi is not touched."""
        return self.root / "pulumi-home"

    def log(self, name: str) -> Path:
        """Where a step's child processes write."""
        return self.root / "logs" / f"{name}.log"

    def without_own(self, path: str) -> str:
        """PATH without this cache's folders, so that what Keel provides is not found as the machine's own."""
        return os.pathsep.join(p for p in path.split(os.pathsep) if not Path(p).is_relative_to(self.root))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the set-up lock; a second set-up says whom it waits for and waits."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                other = lock.read().strip() or "unknown"
                say(f"Another set-up is running (process {other}): waiting for it to end.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


@contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """A new, hidden folder below `parent` that is gone afterwards, however the block ends.

    Call with the set-up lock held: what an earlier, killed attempt left under such a name is removed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f".{name}.*"):
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A new folder that becomes `target` when the block ends well and vanishes when it does not."""
    with scratch(target.parent, target.name) as part:
        yield part
        part.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
