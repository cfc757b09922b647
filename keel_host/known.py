"""Known moments: restore points of which is recorded what every table held there (PLAT-35)."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keel_host import files
from keel_host.config import BackupHost
from keel_host.fingerprint import Table
from keel_host.typed import build


@dataclass(frozen=True)
class KnownMoment:
    """A restore point; ``time`` is ISO 8601 in UTC."""

    environment: str
    system: str
    """The cluster's system identifier."""
    name: str
    lsn: str
    wal: str
    """The segment that holds it."""
    time: str
    tables: dict[str, dict[str, Table]] = field(default_factory=dict)
    """Product → table → number of rows and digest."""
    moving: dict[str, list[str]] = field(default_factory=dict)
    """Product → tables that were being written, of which nothing is certain."""
    method: str = ""
    """How the digests were made."""


def newest(folder: Path) -> KnownMoment | None:
    """The one that was recorded last. Raises ValueError where it cannot be read."""
    paths = sorted(folder.glob("*.json"))
    return build(KnownMoment, json.loads(paths[-1].read_text())) if paths else None


def keep(host: BackupHost, moment: KnownMoment) -> None:
    """Write a moment down, also as a restore point, and forget those that no backup reaches any more."""
    files.replace(host.known_moments / f"{moment.name}.json", json.dumps(asdict(moment), indent=1) + "\n")
    entry = {"name": moment.name, "lsn": moment.lsn, "time": moment.time, "database": next(iter(host.products))}
    with host.restore_points.open("a") as points:
        points.write(json.dumps(entry) + "\n")
    for old in host.known_moments.glob("*.json"):
        if old.stat().st_mtime < time.time() - host.retention:
            old.unlink()
