"""Long child processes: one line that says they are alive, everything else in a log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from .errors import CommandFailed

TERMINAL_EVERY = 1.0  # seconds between refreshes of the line on a terminal
LOG_EVERY = 15.0  # seconds between lines where output goes to a file or a pipeline's log
QUOTED_LINES = 15  # of a failed child's output


def say(text: str, to: TextIO | None = None) -> None:
    """Tell the person at the terminal. Standard error, because standard output may carry the environment."""
    print(text, file=to or sys.stderr, flush=True)


def elapsed(seconds: float) -> str:
    """`42 s` or `6 min 43 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def run(
    title: str,
    args: Sequence[str],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    to: TextIO | None = None,
) -> None:
    """Run `args`, its output appended to `log`, while a line shows `title`, the time and the last line.

    Raises CommandFailed when it ends badly or cannot start. It never outlives the caller: whatever
    interrupts us (Ctrl-C, a signal turned into an exception) ends the child first.
    """
    out = to or sys.stderr
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    tail: deque[str] = deque(maxlen=QUOTED_LINES)
    try:
        child = subprocess.Popen(
            args,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise CommandFailed(f"{title}: {args[0]} cannot be started: {error}") from error
    reader = threading.Thread(target=_keep, args=(child, log, tail), daemon=True)
    reader.start()
    try:
        _watch(title, child, tail, began, out)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        reader.join(timeout=5)
    if child.returncode:
        quoted = "\n".join(f"    {line}" for line in tail)
        raise CommandFailed(
            f"{title}: {' '.join(args[:3])} … ended with status {child.returncode}. "
            f"Its last lines ({log} has all):\n{quoted}"
        )


def _keep(child: subprocess.Popen[str], log: Path, tail: deque[str]) -> None:
    """Copy the child's output to the log and keep its last lines."""
    assert child.stdout is not None
    with log.open("a") as file, child.stdout as lines:
        for line in lines:
            file.write(line)
            file.flush()
            if line.strip():
                tail.append(line.strip())


def _watch(title: str, child: subprocess.Popen[str], tail: deque[str], began: float, out: TextIO) -> None:
    """Show the line until the child ends; on a terminal the line is wiped at the end."""
    terminal = out.isatty() and os.environ.get("TERM") != "dumb"
    every = TERMINAL_EVERY if terminal else LOG_EVERY
    while True:
        try:
            child.wait(timeout=every)
            break
        except subprocess.TimeoutExpired:
            line = f"  {title}  {elapsed(time.monotonic() - began)}  {tail[-1] if tail else ''}"
            if terminal:
                columns = shutil.get_terminal_size().columns
                out.write(f"\r\x1b[K{line[: columns - 1]}")
            else:
                out.write(f"{line[:160]}\n")
            out.flush()
    if terminal:
        out.write("\r\x1b[K")
        out.flush()
