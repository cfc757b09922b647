"""Which steps began since the environment was last verified: a file for each, next to Pulumi's state.

Pulumi compares a step with the inputs that it recorded, and it records those of steps that succeeded. After an update that
failed half-way, the old stack file equals what it recorded of the later steps: it would run none of them, over hosts that the
earlier ones changed. So what began is written down here, and runs again with all that follows, whatever the stack file says
then. A verification that passed ends it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import yaml

from environment.load import PROJECT


def backend() -> Path | None:
    """Folder of a file backend, None for any other."""
    url = (
        os.environ.get("PULUMI_BACKEND_URL") or yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["backend"]["url"]
    )
    parsed = urlparse(url)
    return Path(parsed.netloc + parsed.path).expanduser() if parsed.scheme == "file" else None


def step_key(action: str, name: str) -> str:
    """What a step is called where it is written down that it began."""
    return f"{action}-{name}"


def began(environment: str, step: str) -> None:
    """Write down that ``step`` begins."""
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    waiting = folder / f".{step}"
    waiting.write_text(secrets.token_hex(8))
    waiting.replace(folder / step)


@contextmanager
def under_way(environment: str, step: str) -> Iterator[None]:
    """Do the work of ``step`` outside an update. Where it does not end well, however that comes, the next update does it again;
    so it does where it was to do so before."""
    waits = (_folder(environment) / step).exists()
    began(environment, step)
    yield
    if not waits:
        (_folder(environment) / step).unlink(missing_ok=True)


def verified(environment: str) -> None:
    """Forget all of it: the environment is as it should be."""
    shutil.rmtree(_folder(environment), ignore_errors=True)


def mark(environment: str, steps: Iterable[str]) -> str | None:
    """What makes a step run again that is one of ``steps`` or follows them: another text after each time that one of them
    began; None where none of them waits for a verification."""
    folder = _folder(environment)
    found = [(folder / step).read_text() for step in sorted(set(steps)) if (folder / step).exists()]
    return "-".join(found) or None


def _folder(environment: str) -> Path:
    return (backend() or PROJECT / ".keel") / "unfinished" / environment
