"""WAL that was received is no longer its receiver's (W5)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from keel_host.programs import seal_archive
from keel_host.programs.seal_archive import FILE_MODE, FOLDER_MODE, UNFINISHED, seal

RECEIVER, OWNER = 64001, 64002


def owned(path: Path, account: int = RECEIVER) -> Path:
    """What an account has made."""
    os.chown(path, account, account, follow_symlinks=False)
    return path


def state(path: Path) -> tuple[int, int]:
    """Owner and mode."""
    found = path.lstat()
    return found.st_uid, stat.S_IMODE(found.st_mode)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A stanza's, to which a segment was just pushed."""
    there = tmp_path / "archive" / "dev"
    (there / "18-1" / "0000000100000000").mkdir(parents=True)
    for folder in (there / "18-1", there / "18-1" / "0000000100000000"):
        owned(folder)
    owned(there, OWNER)
    segment(there).write_text("wal")
    owned(segment(there)).chmod(0o666)
    return there


def segment(archive: Path) -> Path:
    """The segment that was pushed."""
    return archive / "18-1" / "0000000100000000" / "000000010000000000000001-c0ffee.zst"


def test_what_was_received_becomes_the_owners(archive: Path) -> None:
    """W5: in folders in which others may add and remove nothing of it; no one else may write to it."""
    seal(str(archive), (OWNER, OWNER), 0)
    for folder in (archive, archive / "18-1", archive / "18-1" / "0000000100000000"):
        assert state(folder) == (OWNER, FOLDER_MODE)
    assert state(segment(archive)) == (OWNER, FILE_MODE)


def test_what_is_being_written_stays_its_writers(archive: Path) -> None:
    """Otherwise it could not give it its name."""
    writing = segment(archive).with_name(f"000000010000000000000002-abc.zst{UNFINISHED}")
    writing.touch()
    owned(writing)
    seal(str(archive), (OWNER, OWNER), 0)
    assert state(writing)[0] == RECEIVER


def test_no_link_leads_elsewhere(archive: Path, tmp_path: Path) -> None:
    """W5: the receiver's account could make one to a file of root's, or to a folder."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.touch()
    folder.mkdir()
    (folder / "inside").touch()
    (archive / "18-1" / "file").symlink_to(outside)
    (archive / "18-1" / "folder").symlink_to(folder)
    os.mkfifo(archive / "18-1" / "pipe")
    seal(str(archive), (OWNER, OWNER), 0)
    assert [state(path)[0] for path in (outside, folder, folder / "inside")] == [0, 0, 0]


def test_a_folder_that_did_not_change_is_left(archive: Path) -> None:
    """Thousands of segments lie there; one that comes changes its folder."""
    seal(str(archive), (OWNER, OWNER), 0)
    old = owned(segment(archive))
    for folder in (archive, archive / "18-1", old.parent):
        os.utime(folder, (1000, 1000))
    seal(str(archive), (OWNER, OWNER), 2000)
    assert state(old)[0] == RECEIVER, "not looked at"
    owned(old.parent)
    seal(str(archive), (OWNER, OWNER), 2000)
    assert state(old)[0] == OWNER, "a folder of the receiver's is new"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup host without a stanza."""
    monkeypatch.setattr(seal_archive, "DONE", tmp_path / "run" / "done")
    monkeypatch.setattr(seal_archive, "POSTGRES", "daemon")
    monkeypatch.setattr(seal_archive, "read", lambda _: SimpleNamespace(archive=tmp_path / "archive" / "dev"))


@pytest.mark.usefixtures("host")
def test_the_next_look_knows_when_the_last_one_began(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a boot everything is looked at, because what came before is not known."""
    looks: list[float] = []
    monkeypatch.setattr(seal_archive, "seal", lambda folder, owner, since: looks.append(since))
    assert seal_archive.main([]) == seal_archive.main([]) == 0
    assert looks[0] == 0 and 0 < looks[1] <= (tmp_path / "run" / "done").stat().st_mtime - seal_archive.ON_ITS_WAY


@pytest.mark.usefixtures("host")
def test_an_archive_that_is_not_there_is_not_missed() -> None:
    """The server starts before there is a stanza."""
    assert seal_archive.main([]) == 0
