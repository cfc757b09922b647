"""Workers: each has a scratch checkout and a warm process in it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tools.mutants import scratch, warm

T = TypeVar("T")


@dataclass
class Worker:
    """One scratch checkout."""

    root: Path
    process: subprocess.Popen[str]

    def ask(self, job: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Have the job done; `ended`, `code`, `seconds`, and what the child wrote, if it came to that.

        `timeout` is in seconds of one processor, see `warm.attempt`. Raises RuntimeError when the warm process is gone.
        """
        self.out.unlink(missing_ok=True)
        job = {**job, "out": str(self.out), "log": str(self.root.parent / "log"), "timeout": timeout}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended with status {self.process.wait()}")
        return {**json.loads(answer), **(json.loads(self.out.read_text()) if self.out.exists() else {})}

    def end(self) -> None:
        """No more jobs; one that is running has no result."""
        assert self.process.stdin
        self.process.stdin.close()

    @property
    def out(self) -> Path:
        """Where the child writes its answer."""
        return self.root.parent / "out.json"

    @property
    def log(self) -> str:
        """Output of the last job."""
        return (self.root.parent / "log").read_text(errors="replace")


@contextmanager
def running(source: Path, count: int, modules: Iterable[str] = warm.MODULES) -> Iterator[list[Worker]]:
    """Copy the checkout `count` times, start processes with `modules` in them; remove all of it in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-")))
        workers: list[Worker] = []
        for number in range(count):
            root = folder / str(number) / "keel"
            if number:
                shutil.copytree(workers[0].root, root)
            else:
                root.mkdir(parents=True)
                scratch.copy(source, root)
            process = subprocess.Popen(
                [sys.executable, "-m", "tools.mutants.warm", *modules],
                cwd=root, env=_environment(root.parent), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(process.wait)
            workers.append(Worker(root, process))
        try:
            yield workers
        finally:
            # Each ends with its input, and what it is running with it: all at once, then they are waited for.
            for worker in workers:
                worker.end()


def _environment(folder: Path) -> dict[str, str]:
    """Home and temporary files of a worker's own: a changed program finds no state or key of the user.

    Python looks for modules in the copy alone. The cache is common to the workers: in it they reserve ports. Paths are short: a socket's may have 107 bytes.
    """
    for name in ("home", "t"):
        (folder / name).mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "KEEL_", "PYTEST_", "PYTHONPATH"))
    }
    image = {"KEEL_TEST_IMAGE": os.environ["KEEL_TEST_IMAGE"]} if "KEEL_TEST_IMAGE" in os.environ else {}
    return (
        kept
        | image
        | {"HOME": str(folder / "home"), "TMPDIR": str(folder / "t"), "XDG_CACHE_HOME": str(folder.parent / "cache")}
        | {"PYTEST_ADDOPTS": f"--basetemp={folder / 'p'}"}
    )


def spread(workers: list[Worker], items: Iterable[T], do: Callable[[Worker, T], None]) -> None:
    """Give every worker the next item until there is none. Raises the first error, when all have stopped."""
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    errors: list[BaseException] = []

    def work(worker: Worker) -> None:
        while not errors:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                do(worker, item)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:
        errors.append(error)
        raise
    if errors:
        raise errors[0]
