"""Whose processes the server's are (W9)."""

from __future__ import annotations

from pathlib import Path

from keel_host.backends import Backend, backends


def test_titles_name_login_and_database(tmp_path: Path) -> None:
    """With a cluster's name and without; a parallel worker works for its leader. What is no session is none, whatever it is called."""
    titles = {
        1: "postgres: main: app one 10.0.0.1(4242) idle in transaction",
        2: "postgres: app two 10.0.0.1(4244) SELECT",
        3: "postgres: main: parallel worker for PID 2 ",
        4: "postgres: main: parallel worker for PID 99 ",
        5: "postgres: main: checkpointer ",
        6: "/usr/bin/postgres -D app one 10.0.0.1(1) DO",
    }
    for number, title in titles.items():
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_bytes(title.encode() + b"\0\0")
    (tmp_path / "7").mkdir()  # has just ended
    assert sorted(backends(tmp_path), key=lambda each: each.pid) == [
        Backend(1, "app", "one", "idle in transaction"),
        Backend(2, "app", "two", "SELECT"),
        Backend(3, "app", "two", "SELECT"),
    ]
