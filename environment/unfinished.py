"""Which steps began since the environment was last verified.

Pulumi compares a step with the inputs that it recorded, and it records those of steps that succeeded. After an update that
failed half-way, the old stack file equals what it recorded of the later steps: it would run none of them, over hosts that the
earlier ones changed. So what began is known here, and runs again with all that follows, whatever the stack file says
then. A verification that passed ends it.

Each step that begins leaves a file, next to the state where that is a folder. Where other controllers have the state too, they have
no such file: there Pulumi's own history says whether the last update ended well, and if it did not, every step runs again.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from environment.errors import UNCHANGED, KeelError
from environment.home import expanded
from environment.load import PROJECT

SECOND = timedelta(seconds=1)
"""Pulumi records the end of an update in whole seconds, rounded down, and the time of a state, written before the end, exactly."""
LOOKED_AT = "20"
"""Of the history's newest entries: refreshes are among them."""


def backend() -> Path | None:
    """Folder of a file backend, None for any other."""
    url = (
        os.environ.get("PULUMI_BACKEND_URL") or yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["backend"]["url"]
    )
    parsed = urlparse(url)
    return PROJECT / expanded(parsed.netloc + parsed.path) if parsed.scheme == "file" else None


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


def engine(environment: str) -> Path:
    """Where this checkout writes down the engine of its last update; it is on this machine, wherever the state is."""
    return PROJECT / ".keel" / "engines" / environment


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
    engine(environment).unlink(missing_ok=True)


def mark(environment: str, steps: Iterable[str]) -> str | None:
    """What makes a step run again that is one of ``steps`` or follows them: another text after each time that one of them
    began; None where none of them waits for a verification."""
    folder = _folder(environment)
    found = [(folder / step).read_text() for step in sorted(set(steps)) if (folder / step).exists()]
    if backend() is None and (update := _not_ended(environment)):
        found.append(update)
    return "-".join(found) or None


@cache
def _not_ended(environment: str) -> str | None:
    """The last update if it failed, or left a state and no entry in the history, as one that was killed does."""
    entries = _pulumi(environment, "stack", "history", "--json", "--full-dates", "--page-size", LOOKED_AT)
    return not_ended(entries, _pulumi(environment, "stack", "export").get("deployment") or {})


def not_ended(history: list[dict[str, Any]], state: dict[str, Any]) -> str | None:
    """As :func:`_not_ended`, of Pulumi's ``history``, the newest first, and its ``state`` as it exports it."""
    updates = [entry for entry in history if entry["kind"] in ("update", "destroy")]
    if updates and updates[0]["result"] != "succeeded":
        return f"{updates[0]['kind']} of {updates[0]['startTime']}"
    if not state.get("resources"):
        return None
    written = state["manifest"]["time"]
    ended = history and _time(written) < _time(history[0]["endTime"]) + SECOND
    return None if ended else f"state of {written}"


def _time(text: str) -> datetime:
    """Go writes as many digits of a second as there are, up to nine; Python reads six."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00")))


def _pulumi(environment: str, *arguments: str) -> Any:
    done = subprocess.run(
        ["pulumi", *arguments, "-s", environment, "--non-interactive"],
        cwd=PROJECT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise KeelError(
            f"how the last update of {environment} ended cannot be read: pulumi {' '.join(arguments[:2])}: {done.stderr.strip()}",
            UNCHANGED,
            "See docs/two-people.md for what the state's place needs in the shell",
        )
    return json.loads(done.stdout)


def _folder(environment: str) -> Path:
    return (backend() or PROJECT / ".keel") / "unfinished" / environment
