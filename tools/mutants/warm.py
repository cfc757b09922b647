"""A process in a scratch checkout that has imported everything that is not ours, and forks to run tests.

It reads jobs from standard input and answers each on standard output, one line of JSON for one. Importing pytest,
Pulumi, pyinfra and SQLAlchemy takes seconds; a fork takes milliseconds, and begins without a module of ours.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

MODULES = (
    "pytest", "xdist.plugin", "testinfra", "pytest_alembic", "pytest_benchmark.plugin", "pytest_timeout", "pytest_cov",
    "coverage", "pulumi", "pulumi_docker", "pyinfra.api", "sqlalchemy.dialects.postgresql", "alembic.command",
    "alembic.autogenerate", "psycopg", "asyncpg", "pydantic", "typer.testing", "rich.console", "rich.table", "jinja2",
    "yaml", "cryptography.x509", "redis", "tenacity",
)  # fmt: skip

PATIENCE = 10
"""Seconds on the clock for one of processor time."""


def main() -> None:
    """Until standard input ends."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        print(json.dumps(attempt(json.loads(line))), flush=True)


def attempt(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job in a child, with a limit; what it started ends with it.

    The limit is `timeout` seconds of processor time, so that a busy machine does not make an endless loop of a slow
    test. A child that waits for ever uses none: after `PATIENCE` times as long on the clock it ends too. So it does when
    standard input ends meanwhile: who asked is gone.
    """
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.setsid()
        seconds = int(job["timeout"]) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        os._exit(_run(job))
    watch = os.pidfd_open(child)
    try:
        ready = select.select([watch, sys.stdin], [], [], PATIENCE * job["timeout"])[0]
    finally:
        os.close(watch)
        os.kill(child, signal.SIGKILL)  # Before it is in a session of its own, there is no group to kill.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if sys.stdin in ready:
        sys.exit("interrupted: there is no result")
    code = os.waitstatus_to_exitcode(status)
    return {
        "ended": watch in ready and code != -signal.SIGXCPU, "code": code, "seconds": round(time.monotonic() - began, 2)
    }  # fmt: skip


def _run(job: dict[str, Any]) -> int:
    """In the child: pytest with our plugin, its output into a file."""
    with Path(job["log"]).open("w") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        from tools.mutants import plugin

        return plugin.run(job)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
