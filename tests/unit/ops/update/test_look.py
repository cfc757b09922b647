"""What a host finds about its own packages and units."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ops.update import look

SIMULATED = """\
Inst haproxy [3.2.26-1] (3.2.27-1 Debian:14/forky [amd64])
Inst libpq5 [18.5-1] (18.6-1 Debian:14/forky [amd64]) [postgresql-18:amd64 ]
Inst postgresql-19 (19.0-1 Debian:14/forky [amd64])
Remv redis-server [8.0.2-1]
Conf haproxy (3.2.27-1 Debian:14/forky [amd64])
"""
MAPS = """\
55e9c1 r--p 00000000 00:16f 1    /usr/sbin/haproxy
55e9c2 r-xp 00087000 00:16f 1    /usr/sbin/haproxy
7f8df1 rw-s 00000000 00:01 2     /dev/shm/PostgreSQL.1 (deleted)
7f8df2 r-xp 00000000 00:00 0     [vdso]
7f8df3 r-xp 00000000 00:00 0
7f8df4 r-xp 00004000 00:16f 3    /usr/lib/libpq.so.5.18 (deleted)
"""


def test_only_what_is_installed_gets_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is new, as another major of PostgreSQL would be, is not among them."""
    monkeypatch.setattr(look, "_said", lambda *_: SIMULATED)
    assert look.newer() == {"haproxy": ("3.2.26-1", "3.2.27-1"), "libpq5": ("18.5-1", "18.6-1")}


def test_what_runs_is_executable_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text(MAPS)
    assert look.runs(tmp_path) == {"/usr/sbin/haproxy", "/usr/lib/libpq.so.5.18 (deleted)"}


def test_a_process_began_before_now() -> None:
    """Its own start, by the kernel's figures: after its parent's, and not in the future."""
    assert look.started(Path(f"/proc/{os.getppid()}")) <= look.started(Path("/proc/self")) <= time.time() + 0.02


@pytest.mark.parametrize(
    ("maps", "owners", "why"),
    [
        (MAPS, {}, {look.REPLACED}),
        (MAPS.replace(" (deleted)", ""), {}, set()),
        (MAPS.replace(" (deleted)", ""), {"/sbin/haproxy": "haproxy", "/sbin/other": "other"}, {"haproxy"}),
    ],
)
def test_a_unit_restarts_for_what_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maps: str, owners: dict[str, str], why: set[str]
) -> None:
    (tmp_path / "maps").write_text(maps)
    monkeypatch.setattr(look, "processes", lambda _: [tmp_path, tmp_path / "ended"])
    assert set(look.reasons("haproxy.service", owners)) == why


def test_a_program_in_python_restarts_for_its_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are read, and not in memory as code."""
    (tmp_path / "maps").write_text("55e9c2 r-xp 00087000 00:16f 1    /usr/bin/python3.14\n")
    monkeypatch.setattr(look, "processes", lambda _: [tmp_path])
    monkeypatch.setattr(look, "MODULES", tmp_path)
    (tmp_path / "patroni.py").touch()
    changed = (tmp_path / "patroni.py").stat().st_ctime
    for began, why in ((changed - 1, {"patroni", look.REPLACED}), (changed + 1, {"patroni"})):
        monkeypatch.setattr(look, "started", lambda _, began=began: began)
        assert set(look.reasons("patroni.service", {str(tmp_path / "patroni.py"): "patroni"})) == why


def test_what_leaves_with_its_clients_is_no_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The pooler of before runs what was replaced until its clients have gone; nobody is its parent any more."""
    numbers = [os.getpid(), os.getppid()]
    (tmp_path / "cgroup.procs").write_text("\n".join(map(str, [*numbers, 1, 2**22])))
    monkeypatch.setattr(look, "CGROUPS", tmp_path)
    monkeypatch.setattr(look, "_said", lambda *_: f"MainPID={os.getppid()}\nControlGroup=/\n")
    assert look.processes("pgbouncer.service") == [Path(f"/proc/{number}") for number in numbers]
    assert len(look.processes("patroni.service")) == 4


def test_one_document_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A unit for which nothing is newer is not in it."""
    said = {"apt-get": SIMULATED, "dpkg": "/usr/sbin/haproxy\n"}
    monkeypatch.setattr(look, "_said", lambda *command: said[command[0]])
    monkeypatch.setattr(look, "reasons", lambda unit, owners: iter([owners["/sbin/haproxy"]] if unit == "a" else []))
    look.main(["a", "b"])
    assert json.loads(capsys.readouterr().out)["restarts"] == {"a": ["libpq5"]}
