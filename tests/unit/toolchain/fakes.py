"""A machine for tests of the toolchain set-up: fake root, fake commands, no network. Strict: what a test did
not describe fails it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.cache import Cache
from toolchain.errors import CommandFailed, Refused, Unreachable
from toolchain.system import Result, System

NOT_FOUND = Result(127, "", "not found")
DOCKER_VERSION = ("docker", "version", "--format", "{{.Server.Version}}")
GO_ENV = ("go", "env", "GOVERSION", "GOTOOLCHAIN")

HYBRID_MOUNTS = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"


@dataclass(frozen=True)
class FakeSystem(System):
    """Commands answer what `says` holds; long work is recorded and may be given an effect."""

    says: dict[tuple[str, ...], Result] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    reachable: frozenset[str] = frozenset()
    root_user: bool = True
    free: int = 10**12
    effects: dict[str, Callable[[tuple[str, ...]], None]] = field(default_factory=dict)
    worked: list[tuple[str, ...]] = field(default_factory=list)
    daemons: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        return self.root_user

    @property
    def kind(self) -> str:
        return "Linux x86_64"

    def which(self, program: str) -> Path | None:
        return Path(self.programs[program]) if program in self.programs else None

    def free_bytes(self, where: Path) -> int:
        return self.free

    def run(self, *args: str, cwd: Path | None = None, seconds: float = 60) -> Result:
        if args in self.says:
            return self.says[args]
        if args[0] not in self.programs:
            return NOT_FOUND
        raise AssertionError(f"the test describes no answer of {args}")

    def work(
        self,
        title: str,
        *args: str,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.worked.append(args)
        program = Path(args[0]).name
        if program not in self.effects:
            raise CommandFailed(f"the test describes no effect of {args}")
        self.effects[program](args)

    def start_daemon(self, *args: str, log: Path) -> None:
        self.daemons.append(args)
        self.says[DOCKER_VERSION] = Result(0, "20.10")

    def answers(self, url: str) -> bool:
        return url in self.reachable

    def fetch(self, url: str) -> str:
        if url in self.pages:
            return self.pages[url]
        if any(page.startswith(url.split("/dists/")[0]) for page in self.pages):
            raise Refused(f"{url} answers 404 Not Found")
        raise Unreachable(f"{url} does not answer")


def machine(tmp_path: Path, **details: object) -> FakeSystem:
    """A machine with a usable cgroup hierarchy and nothing installed, rooted below `tmp_path`."""
    root = tmp_path / "machine"
    write(root / "proc/mounts", HYBRID_MOUNTS)
    return FakeSystem({"HOME": str(root / "home"), "PATH": "/usr/bin"}, root, **details)  # type: ignore[arg-type]


def cache(tmp_path: Path) -> Cache:
    """A cache folder that does not exist yet."""
    return Cache(tmp_path / "cache")


def write(file: Path, text: str) -> Path:
    """A file with its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file
