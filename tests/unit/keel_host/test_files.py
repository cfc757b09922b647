"""Files that are whole or not there, and locks."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from keel_host import files


def test_a_file_is_replaced_whole_or_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.replace(path, "first")
    files.replace(path, "second")
    assert path.read_text() == "second" and [entry.name for entry in tmp_path.iterdir()] == ["file"]
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        files.replace(path, "third")
    assert path.read_text() == "second"


def test_lines_are_added_and_a_full_volume_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.append(path, "one\n")
    files.append(path, "two — three\n")
    assert path.read_text() == "one\ntwo — three\n"
    (tmp_path / "full").symlink_to("/dev/full")
    files.append(tmp_path / "full", "four\n")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_is_held_by_one(tmp_path: Path, kind: str) -> None:
    """And free again afterwards, also after an error."""
    path = tmp_path / "lock" if kind == "file" else tmp_path
    with pytest.raises(KeyError), files.locked(path):
        with pytest.raises(BlockingIOError), files.locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass
        raise KeyError
    with files.locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        pass
