"""The machine as set-up sees it: every look and every command goes through here, so tests can fake it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import progress


@dataclass(frozen=True)
class Result:
    """A finished command: exit status (127 when the program does not exist) and its two streams, stripped."""

    code: int
    out: str
    err: str = ""


@dataclass(frozen=True)
class System:
    """Read-only looks at the machine, and commands run on it."""

    environ: Mapping[str, str]
    root: Path = Path("/")
    _answered: dict[str, bool] = field(default_factory=dict)

    def path(self, absolute: str) -> Path:
        """`absolute` below this system's root."""
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str:
        """The text of a file, empty when it cannot be read."""
        try:
            return self.path(absolute).read_text(errors="replace")
        except OSError:
            return ""

    @property
    def is_root(self) -> bool:
        """Whether packages can be installed and daemons started."""
        return os.geteuid() == 0

    @property
    def kind(self) -> str:
        """Operating system and processor, e.g. `Linux x86_64`."""
        return f"{platform.system()} {platform.machine()}"

    def which(self, program: str) -> Path | None:
        """Where `program` is on PATH."""
        found = shutil.which(program, path=self.environ.get("PATH", ""))
        return Path(found) if found else None

    def free_bytes(self, where: Path) -> int:
        """Bytes a user may still write below `where`, which need not exist yet."""
        return shutil.disk_usage(existing(where)).free

    def device(self, where: Path) -> int:
        """Identity of the file system that holds, or will hold, `where`."""
        return existing(where).stat().st_dev

    def run(self, *args: str, cwd: Path | None = None, seconds: float = 60) -> Result:
        """Run a short command and return what it said; it may fail."""
        try:
            done = subprocess.run(
                args, cwd=cwd, env=self.environ, timeout=seconds, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            return Result(127, "", f"{args[0]}: not found")
        except subprocess.TimeoutExpired:
            return Result(124, "", f"{args[0]}: no answer within {seconds:g} s")
        return Result(done.returncode, done.stdout.strip(), done.stderr.strip())

    def work(
        self,
        title: str,
        *args: str,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a long command showing progress; everything it says goes to `log`. Raises CommandFailed."""
        progress.run(title, args, log=log, cwd=cwd, env={**self.environ, **(env or {})})

    def start_daemon(self, *args: str, log: Path) -> None:
        """Start a process that outlives set-up, in a session of its own, speaking to `log`."""
        with log.open("ab") as out:
            subprocess.Popen(
                args,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def answers(self, url: str) -> bool:
        """Whether anything answers at `url` within a few seconds; asked once per set-up."""
        from . import web

        if url not in self._answered:
            self._answered[url] = web.answers(url)
        return self._answered[url]

    def fetch(self, url: str) -> str:
        """The text at `url`. Raises Refused or Unreachable."""
        from . import web

        return web.fetch(url)


def existing(where: Path) -> Path:
    """`where`, or its nearest parent that exists."""
    while not where.exists():
        where = where.parent
    return where
