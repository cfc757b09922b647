"""Pulumi: what is there, then the vendor's way, then the build, and nothing half-done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.toolchain.fakes import GO_ENV, FakeSystem, cache, machine, write
from toolchain import docker_plugin, main, pulumi_cli
from toolchain.errors import CommandFailed, SetupError
from toolchain.steps import take
from toolchain.system import Result

Effect = Callable[[tuple[str, ...]], None]


def option(args: tuple[str, ...], name: str) -> Path:
    """The path that follows `name` on a command line."""
    return Path(args[args.index(name) + 1])


def go_build(args: tuple[str, ...]) -> None:
    """What `go build -o FILE` leaves."""
    write(option(args, "-o"), "binary")


def builder(tmp_path: Path, **details: object) -> FakeSystem:
    """A machine that can build Go programs and has their sources in the module cache."""
    for path in pulumi_cli.SCRIPTS.values():
        write(tmp_path / "sdk" / path, "#!/bin/sh\n")
    says = {
        GO_ENV: Result(0, "go1.26.8\nlocal"),
        ("go", "list", "-m", "-f", "{{.Dir}}", pulumi_cli.SDK): Result(0, str(tmp_path / "sdk")),
        ("pulumi", "version"): Result(0, "v3.250.0"),
    }
    effects: dict[str, Effect] = {"go": go_build}
    given: dict[str, object] = {"programs": {"go": "/go"}, "says": says, "effects": effects}
    return machine(tmp_path, **(given | details))


def installed_pulumi(tmp_path: Path) -> Path:
    """A Pulumi of somebody else's making."""
    for part in pulumi_cli.PARTS:
        write(tmp_path / "opt" / part, "theirs")
    return tmp_path / "opt/pulumi"


def official_installer(args: tuple[str, ...]) -> None:
    """What the vendor's script leaves below its --install-root."""
    assert args[args.index("--version") + 1] == pulumi_cli.CLI.required(pulumi_cli.PKG)[1:]
    for part in pulumi_cli.PARTS:
        write(option(args, "--install-root") / "bin" / part, "vendor's")


def test_an_installed_pulumi_is_used(tmp_path: Path) -> None:
    system = builder(tmp_path, programs={"go": "/go", "pulumi": str(installed_pulumi(tmp_path))})
    step = pulumi_cli.step(system, cache(tmp_path))
    take(step)
    assert step.done()
    assert (pulumi_cli.folder(cache(tmp_path)) / "pulumi").read_text() == "theirs"
    assert not system.worked


@pytest.mark.parametrize("flaw", ["too old", "no language host"])
def test_an_unsuitable_pulumi_is_left_alone(tmp_path: Path, flaw: str, capsys: pytest.CaptureFixture[str]) -> None:
    system = builder(tmp_path, programs={"go": "/go", "pulumi": str(installed_pulumi(tmp_path))})
    if flaw == "too old":
        system.says[("pulumi", "version")] = Result(0, "v3.199.0")
    else:
        (tmp_path / "opt/pulumi-language-python").unlink()
    take(pulumi_cli.step(system, cache(tmp_path)))
    assert (pulumi_cli.folder(cache(tmp_path)) / "pulumi").read_text() == "binary"
    assert "did not work" not in capsys.readouterr().err


def test_the_official_installer_comes_before_a_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = builder(
        tmp_path,
        reachable=frozenset({pulumi_cli.VENDOR}),
        pages={pulumi_cli.VENDOR: "#!/bin/sh"},
        effects={"sh": official_installer},
    )
    take(pulumi_cli.step(system, cache(tmp_path)))
    assert (pulumi_cli.folder(cache(tmp_path)) / "pulumi-language-python").read_text() == "vendor's"
    assert "Pulumi: the official installer" in capsys.readouterr().err


def test_a_failed_installer_leads_to_the_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(args: tuple[str, ...]) -> None:
        write(option(args, "--install-root") / "bin/pulumi", "half")
        raise CommandFailed("curl: not found")

    system = builder(
        tmp_path,
        reachable=frozenset({pulumi_cli.VENDOR}),
        pages={pulumi_cli.VENDOR: "#!/bin/sh"},
        effects={"sh": broken, "go": go_build},
    )
    step = pulumi_cli.step(system, cache(tmp_path))
    take(step)
    assert step.done()
    said = capsys.readouterr().err
    assert "did not work: curl: not found" in said
    assert "Pulumi: a build from Go modules" in said


def test_a_build_has_all_four_programs_and_knows_its_version(tmp_path: Path) -> None:
    system = builder(tmp_path)
    take(pulumi_cli.step(system, cache(tmp_path)))
    folder = pulumi_cli.folder(cache(tmp_path))
    assert sorted(file.name for file in folder.iterdir()) == sorted(pulumi_cli.PARTS)
    assert all((folder / script).stat().st_mode & 0o111 for script in pulumi_cli.SCRIPTS)
    link = system.worked[0][system.worked[0].index("-ldflags") + 1]
    assert link.endswith(f"version.Version={pulumi_cli.CLI.required(pulumi_cli.PKG)}")


def test_no_way_left_is_a_clear_error(tmp_path: Path) -> None:
    system = builder(tmp_path, says={GO_ENV: Result(127, "")})
    with pytest.raises(SetupError, match=r"Pulumi is missing and cannot be provided here .*Install Pulumi"):
        take(pulumi_cli.step(system, cache(tmp_path)))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), CommandFailed("no space left on device")])
def test_an_interrupted_build_leaves_no_binary(tmp_path: Path, interruption: BaseException) -> None:
    def cut_off(args: tuple[str, ...]) -> None:
        go_build(args)
        raise interruption

    system = builder(tmp_path, effects={"go": cut_off})
    step = pulumi_cli.step(system, cache(tmp_path))
    with pytest.raises(type(interruption) if isinstance(interruption, KeyboardInterrupt) else SetupError):
        take(step)
    assert not step.done()
    assert list((cache(tmp_path).root / "go").iterdir()) == []


def test_the_plugin_is_the_users_then_downloaded_then_built(tmp_path: Path) -> None:
    version = docker_plugin.version(main.REQUIREMENTS)
    name = f"plugins/resource-docker-v{version}/pulumi-resource-docker"

    def install(args: tuple[str, ...]) -> None:
        source = str(option(args, "--file")) if "--file" in args else "download"
        write(cache(tmp_path).pulumi_home / name, source)

    def source_taken(**details: object) -> str:
        system = builder(tmp_path, effects={"pulumi": install, "go": go_build}, **details)
        (cache(tmp_path).pulumi_home / name).unlink(missing_ok=True)
        take(docker_plugin.step(system, cache(tmp_path), main.REQUIREMENTS))
        return (cache(tmp_path).pulumi_home / name).read_text()

    assert source_taken() == str(docker_plugin.PLUGIN.binary(cache(tmp_path)))
    assert source_taken(reachable=frozenset({pulumi_cli.VENDOR})) == "download"
    own = write(tmp_path / "machine/home/.pulumi" / name, "theirs")
    assert source_taken(reachable=frozenset({pulumi_cli.VENDOR})) == str(own)


def test_the_built_plugin_says_the_version_that_is_pinned() -> None:
    source = (docker_plugin.PLUGIN.folder / "main.go").read_text()
    assert f'const version = "{docker_plugin.version(main.REQUIREMENTS)}"' in source
