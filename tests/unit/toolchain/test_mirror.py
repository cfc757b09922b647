"""The base image comes from the mirror the machine itself uses, also when that is a frozen snapshot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.toolchain.fakes import FakeSystem, cache, machine, write
from toolchain import base_image, mirror
from toolchain.errors import CommandFailed, SetupError
from toolchain.steps import take
from toolchain.system import Result

DEB822 = """# a comment
Types: deb
URIs:
# http://snapshot.debian.org/archive/debian/20250520T000000Z
 http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main
"""
THIRD_PARTY = """deb https://download.docker.com/linux/debian bookworm stable
deb http://apt.postgresql.org/pub/repos/apt bookworm-pgdg main
deb [signed-by=/k.gpg] https://apt.hashicorp.example bookworm main
"""
FRESH = "Suite: testing\nValid-Until: Fri, 06 Nov 2099 08:08:01 UTC\n"
STALE = "Suite: testing\nValid-Until: Fri, 06 Nov 2020 08:08:01 UTC\n"


def debian(tmp_path: Path, files: dict[str, str], **details: object) -> FakeSystem:
    """A Debian 12 machine with these files of apt."""
    system = machine(tmp_path, **details)
    write(system.path("/etc/os-release"), 'ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID="12"\n')
    for name, text in files.items():
        write(system.path(f"/etc/apt/{name}"), text)
    return system


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"sources.list.d/debian.sources": DEB822, "sources.list.d/a.list": THIRD_PARTY},
            ("http://mirror.example/debian", "http://mirror.example/debian-security"),
        ),
        (
            {"sources.list": "deb [arch=amd64] http://one.example/debian/ bookworm main\n# deb x y z\n"},
            ("http://one.example/debian", mirror.DEBIAN_SECURITY),
        ),
        (
            {"sources.list": "deb http://s.example/archive/debian/20250520T000000Z bookworm main"},
            ("http://s.example/archive/debian/20250520T000000Z", mirror.DEBIAN_SECURITY),
        ),
        (
            {
                "sources.list": "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main",
                "mirrors/debian.list": "https://cloud.example/debian\nhttps://second.example/debian\n",
            },
            ("https://cloud.example/debian", mirror.DEBIAN_SECURITY),
        ),
        ({"sources.list.d/a.list": THIRD_PARTY}, (mirror.DEBIAN, mirror.DEBIAN_SECURITY)),
        (
            {"sources.list.d/debian.sources": DEB822.replace("Types: deb\n", "Types: deb\nEnabled: no\n")},
            (mirror.DEBIAN, mirror.DEBIAN_SECURITY),
        ),
        ({}, (mirror.DEBIAN, mirror.DEBIAN_SECURITY)),
    ],
    ids=["deb822", "one-line", "snapshot", "mirror-file", "third-party-only", "disabled", "none"],
)
def test_archives(tmp_path: Path, files: dict[str, str], expected: tuple[str, str]) -> None:
    assert mirror.archives(debian(tmp_path, files)) == expected


def test_expiry() -> None:
    assert mirror.expired(STALE)
    assert not mirror.expired(FRESH)
    assert not mirror.expired("Suite: stable\n")


@pytest.mark.parametrize(("release", "checked"), [(FRESH, True), (STALE, False)])
def test_a_bootstrapped_image(tmp_path: Path, release: str, checked: bool) -> None:
    """The tree that is imported: sources of the machine's mirror, no leftovers of debootstrap, expiry
    tolerated only where the mirror is expired."""
    inspect = ("docker", "image", "inspect", "--format", "{{.Id}}", "debian:forky")
    seen: dict[str, str] = {}

    def debootstrap(args: tuple[str, ...]) -> None:
        suite, tree, archive, script = args[-4:]
        assert (suite, archive) == ("forky", "http://mirror.example/debian")
        assert script == "/usr/share/debootstrap/scripts/sid"
        write(Path(tree) / "var/lib/apt/lists/forky_Release", release)
        write(Path(tree) / "var/cache/apt/archives/dpkg.deb", "deb")
        write(Path(tree) / "etc/apt/sources.list", "deb …")
        (Path(tree) / "usr/sbin").mkdir(parents=True)

    def tar(args: tuple[str, ...]) -> None:
        tree = Path(args[args.index("-C") + 1])
        seen.update({str(f.relative_to(tree)): f.read_text() for f in tree.rglob("*") if f.is_file()})

    def docker(args: tuple[str, ...]) -> None:
        assert "LABEL keel.base=forky" in args
        system.says[inspect] = Result(0, "sha256:…")

    system = debian(
        tmp_path,
        {"sources.list.d/debian.sources": DEB822},
        programs={"docker": "/docker", "debootstrap": "/debootstrap"},
        pages={"http://mirror.example/debian/dists/forky/Release": release},
        says={inspect: Result(1, "")},
        effects={"unshare": debootstrap, "tar": tar, "docker": docker},
    )
    where = cache(tmp_path)
    take(base_image.step(system, where, "forky"))
    sources = seen.pop("etc/apt/sources.list.d/debian.sources")
    assert "URIs: http://mirror.example/debian\nSuites: forky\n" in sources
    assert "forky-updates" not in sources
    assert "exit 101" in seen.pop("usr/sbin/policy-rc.d")
    assert ("etc/apt/apt.conf.d/80keel-frozen-mirror" in seen) != checked
    seen.pop("etc/apt/apt.conf.d/80keel-frozen-mirror", None)
    assert not seen
    assert list(where.root.glob(".debootstrap*")) == []


def test_a_release_the_mirrors_do_not_have(tmp_path: Path) -> None:
    system = debian(tmp_path, {}, programs={"debootstrap": "/debootstrap"})
    with pytest.raises(SetupError, match="has the release forky"):
        base_image._bootstrap(system, cache(tmp_path), "forky", "debian:forky")


def test_a_failed_bootstrap_leaves_nothing(tmp_path: Path) -> None:
    def cut_off(args: tuple[str, ...]) -> None:
        write(Path(args[-3]) / "etc/half", "half")
        raise CommandFailed("debootstrap failed")

    system = debian(
        tmp_path,
        {},
        programs={"debootstrap": "/debootstrap"},
        pages={f"{mirror.DEBIAN}/dists/trixie/Release": FRESH},
        effects={"unshare": cut_off},
    )
    with pytest.raises(CommandFailed):
        base_image._bootstrap(system, cache(tmp_path), "trixie", "debian:trixie")
    assert list(cache(tmp_path).root.glob(".*")) == []


def test_debootstraps_own_script_is_used_where_it_has_one(tmp_path: Path) -> None:
    system = debian(tmp_path, {})
    write(system.path("/usr/share/debootstrap/scripts/trixie"), "")
    assert base_image.script(system, "trixie").endswith("/trixie")
    assert base_image.script(system, "forky").endswith("/sid")
