"""Take the WAL that database hosts have pushed out of the hands of the account that received it (W5).

seal-archive

pgBackRest admits a database host to a stanza, not to a command, so through its server a host could also remove or replace what it
has archived. That server has an account of its own on the backup host. What it received becomes `postgres`', and the folders
are sticky: the account adds files there, and the kernel refuses to let it remove, rename or change those of others. A timer
runs this every few seconds, and the server's start before it serves.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
import sys
import time
from pathlib import Path

from keel_host.accounts import POSTGRES
from keel_host.config import BackupHost, read
from keel_host.processes import Failed

FOLDER_MODE, FILE_MODE = 0o1770, 0o640
"""The server's account is in the group of `postgres`, by its unit."""
UNFINISHED = ".pgbackrest.tmp"
"""How a file ends that is still being written."""
DONE = Path("/run/keel-seal/done")
"""When the last look began that found everything sealed; gone with the next boot."""
ON_ITS_WAY = 60
"""Seconds by which a folder must be older than that, not to be looked through again."""


def main(_arguments: list[str]) -> int:
    """Seal the archive of the first repository. One that is not there yet is not missed. It takes no arguments."""
    try:
        host = read(BackupHost)
    except Failed as error:
        sys.exit(str(error))
    owner, began = (pwd.getpwnam(POSTGRES).pw_uid, grp.getgrnam(POSTGRES).gr_gid), time.time()
    since = DONE.stat().st_mtime - ON_ITS_WAY if DONE.exists() else 0.0
    with contextlib.suppress(FileNotFoundError):
        seal(str(host.archive), owner, since)
    DONE.parent.mkdir(exist_ok=True)
    DONE.touch()
    os.utime(DONE, (began, began))
    return 0


def seal(root: str, owner: tuple[int, int], since: float) -> None:
    """Folders and finished files below ``root`` become the ``owner``'s (user, group). Files in folders that did not change
    after ``since`` are as they were left. No link is followed: the other account may make some. Raises OSError."""
    for _, _, names, folder in os.fwalk(root, onerror=_refuse, follow_symlinks=False):
        found = os.fstat(folder)
        known = found.st_uid == owner[0] and found.st_mtime < since
        give(folder, found, owner, FOLDER_MODE)
        for name in () if known else names:
            if not name.endswith(UNFINISHED):
                with contextlib.suppress(FileNotFoundError):  # expired, or renamed at this moment
                    seal_file(name, folder, owner)


def _refuse(error: OSError) -> None:
    """A folder that cannot be read hides what is in it; one that was expired at this moment hides nothing."""
    if not isinstance(error, FileNotFoundError):
        raise error


def seal_file(name: str, folder: int, owner: tuple[int, int]) -> None:
    """A regular file; nothing else belongs there."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode) and (found.st_uid != owner[0] or stat.S_IMODE(found.st_mode) & ~FILE_MODE):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            give(file, os.fstat(file), owner, FILE_MODE)
        finally:
            os.close(file)


def give(opened: int, found: os.stat_result, owner: tuple[int, int], mode: int) -> None:
    """Owner and mode of what is open, where they differ: taking it first, so that the former owner cannot change it again."""
    if (found.st_uid, found.st_gid) != owner:
        os.fchown(opened, *owner)
    if stat.S_IMODE(found.st_mode) != mode:
        os.fchmod(opened, mode)
