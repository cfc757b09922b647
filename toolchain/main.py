"""`tools/setup`: look, refuse early or do what is missing, and say which way was taken."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from . import base_image, docker_plugin, engine, preflight, pulumi_cli, shellenv, steps, venv
from .cache import Cache
from .errors import SetupError
from .progress import say
from .steps import Step
from .system import System

CHECKOUT = Path(__file__).resolve().parents[1]
REQUIREMENTS = CHECKOUT / "requirements.txt"
REFUSED = 2  # nothing was changed
FAILED = 1


def plan(system: System, cache: Cache, docker: bool, suites: Sequence[str]) -> list[Step]:
    """The steps in order: each may use what those before it provide."""
    python = venv.step(system, cache, REQUIREMENTS)
    if not docker:
        return [python]
    docker_engine = engine.step(system, cache)
    pulumi = pulumi_cli.step(system, cache)
    plugin = docker_plugin.step(system, cache, REQUIREMENTS, after=pulumi)
    images = [base_image.step(system, cache, suite, after=docker_engine) for suite in suites]
    return [python, docker_engine, pulumi, plugin, *images]


def provide(
    system: System, cache: Cache, wanted: Sequence[Step], docker: bool, quiet: bool, check: bool = False
) -> int:
    """Do what is missing of `wanted`, or with `check` only look whether it can be done; the exit status."""
    pending = [step for step in wanted if not step.done()]
    findings = preflight.machine(system) if docker else []
    findings += preflight.steps(system, pending)
    if findings:
        for finding in findings:
            say(f"Keel cannot be set up: {finding}")
        say("Nothing was changed.")
        return REFUSED
    if check:
        return 0
    if pending:
        with cache.alone():
            for step in pending:
                if not step.done():  # another set-up may have done it while this one waited
                    steps.take(step)
    if not quiet:
        for step in wanted:
            if step not in pending:
                say(f"{step.title}: there")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Entry point after the version gate; the exit status."""
    parser = argparse.ArgumentParser(prog="tools/setup", description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="say nothing when everything is there")
    parser.add_argument("--check", action="store_true", help="only list what prevents a set-up; change nothing")
    parser.add_argument("--no-docker", action="store_true", help="the Python environment only")
    parser.add_argument(
        "--suite",
        action="append",
        choices=base_image.SUITES,
        help="Debian release of a base image to provide; repeatable (default: forky)",
    )
    parser.add_argument("--print-env", action="store_true", help="print the environment for a shell to read")
    options = parser.parse_args(arguments)

    signal.signal(signal.SIGTERM, _interrupted)
    cache = Cache.of(os.environ)
    system = System({**os.environ, "PATH": cache.without_own(os.environ.get("PATH", os.defpath))})
    try:
        wanted = plan(system, cache, not options.no_docker, options.suite or ["forky"])
        status = provide(system, cache, wanted, not options.no_docker, options.quiet, options.check)
    except SetupError as error:
        say(f"Set-up stopped: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("Interrupted: what was complete is kept, nothing half-done will be used. Run this again.")
        return 130
    if status == 0 and options.print_env:
        shellenv.make_state_folder(system.environ)
        print(shellenv.lines(shellenv.variables(cache, system, REQUIREMENTS)))
    return status


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    """A signal becomes an exception, so that children end and temporary folders go."""
    raise KeyboardInterrupt
