"""The words of the drift report: what was found on a host, and what is declared."""

from __future__ import annotations

from hashlib import sha256

import pytest

from roles.kit import differences
from roles.kit.declare import Directory, File
from roles.kit.observe import HostState, PathState, UnitState

FILE = File("/etc/a.conf", "text\n", "root", "adm", "0640")
DIGEST = sha256(b"text\n").hexdigest()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "is missing"),
        (PathState("regular file", "640", "root", "adm", DIGEST), ""),
        (PathState("regular file", "644", "root", "adm", DIGEST), "mode 644 instead of 640"),
        (PathState("regular file", "640", "bob", "bob", DIGEST), "owner bob instead of root; group bob instead of adm"),
        (PathState("regular file", "640", "root", "adm", "0" * 64), f"content 000000000000 instead of {DIGEST[:12]}"),
        (PathState("directory", "640", "root", "adm", ""), f"content directory instead of {DIGEST[:12]}"),
    ],
)  # fmt: skip
def test_a_file(found: PathState | None, words: str) -> None:
    """PLAT-48: each line of the drift says expected and found."""
    assert differences.path(FILE, HostState(paths={FILE.path: found} if found else {})) == words


def test_a_directory_a_package_and_a_unit() -> None:
    """PLAT-48."""
    folder = PathState("symbolic link", "777", "root", "root", "")
    found = differences.path(Directory("/srv"), HostState(paths={"/srv": folder}))
    assert found == "mode 777 instead of 755; kind symbolic link instead of directory"
    assert differences.packages(("b", "a", "c"), HostState(packages={"c": "1"})) == "not installed: a, b"
    state = HostState(units={"x.service": UnitState("failed", "masked")})
    assert differences.unit("x.service", state, running=True) == "is failed, declared: active"
    assert differences.unit("x.service", state, running=False) == "is masked, declared: enabled"
    assert differences.unit("y.service", state, running=True) == "is unknown"


def test_what_was_added_to_a_unit() -> None:
    """PLAT-48: of what systemd reads with it, what neither Keel nor a package wrote; also by `systemctl set-property`."""
    ours, theirs = "/etc/systemd/system/x.service.d/keel.conf", "/usr/lib/systemd/system/x.service.d/debian.conf"
    added = (
        "/etc/systemd/system/x.service.d/override.conf",
        "/etc/systemd/system.control/x.service.d/50-MemoryMax.conf",
    )
    state = HostState(units={"x.service": UnitState("active", "enabled", (theirs, ours, *added))})
    assert differences.dropins("x.service", state, {ours}) == added
    assert differences.dropins("y.service", state, {ours}) == ()
