"""A session, with a stand-in for ssh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from environment.types import Group
from ops.session import Session
from tests.unit.cli_fakes import session

SSH = """#!/usr/bin/env python3
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if {deaf} else signal.SIG_DFL)
open({written!r}, "w").write(str(os.getpid()))
local = sys.argv[sys.argv.index("-L") + 1].split(":")
listener = socket.socket()
listener.bind((local[0], int(local[1])))
listener.listen()
time.sleep(60)
"""


@pytest.mark.parametrize("deaf", [False, True])
def test_a_tunnel_ends_with_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool) -> None:
    """Also when ssh missed its signal: a step would wait for it for ever, and the whole `up` with it."""
    written = tmp_path / "pid"
    stand_in = tmp_path / "ssh"
    stand_in.write_text(SSH.format(deaf=deaf, written=str(written)))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    opened: Session = session(tmp_path)
    with opened.tunnel(opened.manifest.carrying(Group.EDGE)[0], 5000):
        assert Path("/proc", written.read_text()).exists()
    assert not Path("/proc", written.read_text()).exists()


def test_a_file_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written down in the repository is not taken for nothing because its disk is ill."""
    stand_in = tmp_path / "ssh"
    stand_in.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    opened = session(tmp_path)
    written, folder = tmp_path / "written", tmp_path / "folder"
    written.write_text("a line\n")
    folder.mkdir()
    assert opened.recorded("ops1", str(written)) == "a line\n"
    assert opened.recorded("ops1", str(tmp_path / "missing")) == ""
    with pytest.raises(subprocess.CalledProcessError):
        opened.recorded("ops1", str(folder))
