"""Copy into the second repository what the first one's archive has and it lacks.

The database hosts archive to the first repository only. So a store that is away, slow or hangs keeps no WAL on the
primary and holds up nothing; what it missed is in the first repository and follows when it is back. A segment is
compared with the checksum in its name, then pushed as a database host would, so damage is not copied.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

from keel_host import files, metrics
from keel_host.config import BackupHost, read
from keel_host.pgbackrest import ARCHIVED, BACKUP_LABELS, FIRST, UNKNOWN, Pgbackrest, timelines
from keel_host.processes import Failed

UNPACK = {".zst": "zstd", ".lz4": "lz4", ".gz": "gzip"}
SECOND = "-second"
"""How the names of the second repository's jobs end."""
COPYING = "copying-"
METRICS = "copy_archive.prom"
MISSING = "keel_copy_archive_missing_files"
SUCCESS = "keel_copy_archive_last_success_timestamp_seconds"


class Damaged(Exception):
    """A segment of the first repository is not what its name says."""


def main(arguments: list[str]) -> int:
    """0 when nothing is missing any more. What could not be copied is printed on standard error."""
    try:
        left, failures = run(read(BackupHost))
    except (OSError, ValueError, Failed) as refused:
        sys.exit(str(refused))
    for failure in failures[:5]:
        sys.stderr.write(f"not copied into the second repository: {failure}\n")
    if left:
        sys.stderr.write(f"{left} files of the archive are missing in the second repository\n")
    return 1 if left else 0


def run(host: BackupHost) -> tuple[int, list[Exception]]:
    """Copy what is missing: how many files still are, and why."""
    for killed in host.volume.glob(f"{COPYING}*"):
        shutil.rmtree(killed)
    there = archived(host.archive)
    if not host.copied.exists():
        write(host.copied, begin(host, there))
    copied = set(host.copied.read_text().split())
    if copied - there:  # expired
        write(host.copied, copied & there)
    missing = sorted(there - copied)
    if missing:  # said before it is tried: a store that hangs is given up after minutes
        report(host.metrics, len(missing))
    failures: list[Exception] = []
    with host.copied.open("a") as record, ThreadPoolExecutor(host.copies_at_once) as pool:
        for at in range(0, len(missing), host.copies_at_once):
            group = missing[at : at + host.copies_at_once]
            errors = list(pool.map(partial(attempt, host), group))
            record.writelines(f"{name}\n" for name, error in zip(group, errors, strict=True) if error is None)
            record.flush()
            failures += [error for error in errors if error is not None]
            if any(not isinstance(error, Damaged) for error in failures):
                break  # the store is away: the next run tries again
    left = len(there - set(host.copied.read_text().split()))
    report(host.metrics, left)
    return left, failures


def archived(archive: Path) -> set[str]:
    """The files of the archive's newest history, by their paths below it; one that is being written has another name."""
    histories = sorted(archive.glob("*-*"), key=lambda folder: int(folder.name.partition("-")[2]))
    found = (path.relative_to(archive) for path in histories[-1].rglob("*")) if histories else ()
    return {
        str(path)
        for path in found
        if ARCHIVED.fullmatch(path.name) or BACKUP_LABELS.fullmatch(path.name) or timelines([path.name])
    }


def begin(host: BackupHost, there: set[str]) -> set[str]:
    """What needs no copying when nothing was copied yet: all of it, where no backup in the second repository, made or being
    made, begins with it."""
    held = Pgbackrest(host.stanza, (f"--repo={host.repositories[SECOND]}",), as_root=True).info()
    status = held.repositories[0].status
    if status.code == UNKNOWN:
        raise Failed(f"the second repository does not answer: {status.message}")
    return set() if held.backups or held.backup_runs else there


def attempt(host: BackupHost, name: str) -> Exception | None:
    """Copy one file; the error where it did not work."""
    try:
        copy(host, name)
    except (OSError, Failed, Damaged) as error:
        return error
    return None


def copy(host: BackupHost, name: str) -> None:
    """Take one file out of the first repository and push it to the second."""
    segment = ARCHIVED.fullmatch(name)
    with tempfile.TemporaryDirectory(prefix=COPYING, dir=host.volume) as folder:
        Path(folder).chmod(0o755)  # the volume itself is closed to others
        path = Path(folder, segment[1] if segment else Path(name).name)
        with path.open("wb") as file:
            take(host.stanza, name, file, UNPACK.get(segment[3] or "") if segment else None)
        if segment:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha1").hexdigest() != segment[2]:
                    raise Damaged(f"{name} is damaged in the first repository")
        second = Pgbackrest(host.stanza, (f"--config={host.copy_config}",), as_root=True)
        second.ask("archive-push", str(path))


def take(stanza: str, name: str, file: BinaryIO, unpack: str | None) -> None:
    """Write a file of the first repository, deciphered and unpacked."""
    first = Pgbackrest(stanza, (f"--repo={FIRST}",), as_root=True)
    command = first.command("repo-get", f"archive/{stanza}/{name}")
    with subprocess.Popen(command, stdout=subprocess.PIPE if unpack else file, stderr=subprocess.PIPE) as source:
        if unpack:
            done = subprocess.run(
                [unpack, "-dc"], stdin=source.stdout, stdout=file, stderr=subprocess.PIPE, check=False
            )
            if done.returncode:
                raise Damaged(f"{name} is damaged in the first repository: {done.stderr.decode().strip()}")
        error = source.stderr.read().decode().strip() if source.stderr else ""
    if source.returncode:
        raise Damaged(f"{name} cannot be read in the first repository: {error}")


def write(path: Path, names: set[str]) -> None:
    """Replace the list of what was copied."""
    files.replace(path, "".join(f"{name}\n" for name in sorted(names)))


def report(folder: Path, left: int) -> None:
    """Write the metrics; the time of the last success survives a failure."""
    path = folder / METRICS
    succeeded = metrics.value(metrics.read(path), SUCCESS) if left else time.time()
    gauges = metrics.Gauges()
    gauges.set(MISSING, "Files of the first archive that the second one lacks.", left)
    gauges.set(SUCCESS, "When the second archive last lacked nothing.", succeeded)
    folder.mkdir(exist_ok=True)
    gauges.write(path)
