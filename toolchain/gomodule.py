"""Programs built from Go modules, for machines that reach the module proxy but not the vendor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache, digest, whole
from .errors import SetupError
from .system import System

SWITCHES_SINCE = (1, 21)  # from this version on, Go fetches the toolchain a go.mod asks for by itself


@dataclass(frozen=True)
class GoProgram:
    """A program with a go.mod and go.sum of our own, which pin it and everything below it."""

    folder: Path
    package: str
    version_variable: str = ""  # set by the linker to the version of `module`, where the program does not know it
    module: str = ""

    @property
    def name(self) -> str:
        """The program's file name, which is its folder's."""
        return self.folder.name

    @property
    def sources(self) -> list[Path]:
        """What the binary is made of."""
        return [self.folder / "go.mod", self.folder / "go.sum", *self.folder.glob("*.go")]

    def required(self, module: str) -> str:
        """The version of `module` that go.mod pins, e.g. `v3.259.0`."""
        return _find(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", self.folder / "go.mod")

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that builds it."""
        return _numbers(_find(r"^go (\S+)", self.folder / "go.mod"))

    def binary(self, cache: Cache) -> Path:
        """Where the built program is kept."""
        return cache.root / "go" / f"{self.name}-{digest(self.sources)}" / self.name

    def obstacle(self, system: System) -> str | None:
        """Why it cannot be built here, or None."""
        needed = ".".join(map(str, self.go_version))
        told = system.run("go", "env", "GOVERSION", "GOTOOLCHAIN", cwd=Path("/"))
        if told.code:
            return f"Go {needed} or newer is not on PATH"
        version, _, toolchain = told.out.partition("\n")
        present = _numbers(version.removeprefix("go"))
        if present >= self.go_version or (present >= SWITCHES_SINCE and not toolchain.startswith("local")):
            return None
        return f"Go {needed} or newer is needed and {system.which('go')} is {version}"

    def build(self, system: System, cache: Cache) -> Path:
        """The built program, from the cache where it is there already."""
        binary = self.binary(cache)
        if not binary.exists():
            link = "-s -w"  # without symbol tables it is half the size
            if self.version_variable:
                link += f" -X {self.version_variable}={self.required(self.module)}"
            with whole(binary.parent) as part:
                system.work(
                    f"building {self.name}",
                    *("go", "build", "-v", "-ldflags", link, "-o", str(part / self.name), self.package),
                    log=cache.log(self.name),
                    cwd=self.folder,
                    env={"GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off"},
                )
        return binary

    def source_of(self, system: System, module: str) -> Path:
        """The folder of a module below this program in Go's module cache, unpacked by the build."""
        found = system.run("go", "list", "-m", "-f", "{{.Dir}}", module, cwd=self.folder)
        if found.code or not found.out:
            raise SetupError(f"Go does not know where the module {module} is: {found.err or 'not unpacked'}")
        return Path(found.out)


def _numbers(version: str) -> tuple[int, ...]:
    """`1.26.8` → (1, 26, 8); what is not a number ends it (`1.27rc1` → (1, 27))."""
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[a-z]|\s", version)[0]))


def _find(pattern: str, file: Path) -> str:
    """The first group of `pattern` in `file`, which must match."""
    found = re.search(pattern, file.read_text(), re.MULTILINE)
    if found is None:
        raise SetupError(f"{file} lacks a line like {pattern}")
    return found[1]
