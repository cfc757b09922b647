"""The environment in which Keel's commands run, as lines for a shell to read.

What the caller's shell and home directory say for other programs changes nothing here: libpq's variables and files, the modules of
another Python, a checkout that git is sent to, another Docker context.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from environment import kind
from environment.home import home
from environment.names import passphrase_variable

from . import engine, pulumi_cli, venv
from .cache import Cache
from .system import System

PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"
"""Pulumi's variable."""
PUBLISHED_PASSPHRASE = "keel-published"
"""Of environments for development and tests, which hold nothing worth a secret: anyone may clone and run them. All others bring
a passphrase of their own."""
FOREIGN = re.compile(r"PG[A-Z]+|PYTHON(PATH|HOME|STARTUP|OPTIMIZE)|GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY)")
"""What is meant for other programs. With libpq's, sessions of Keel's would go elsewhere or behave otherwise: each names all that it needs."""


def variables(cache: Cache, system: System, requirements: Path) -> dict[str, str | None]:
    """Names to set, or with None to unset; the system's `environ` is the caller's, cleaned of this cache's folders."""
    environ, environment = system.environ, venv.folder(cache, requirements)
    own = [str(environment / "bin"), str(pulumi_cli.folder(cache))]
    values: dict[str, str | None] = {
        **{name: None for name in environ if FOREIGN.fullmatch(name)},
        **engine.chosen(system),
        "PATH": os.pathsep.join([*own, environ["PATH"]]),
        "VIRTUAL_ENV": str(environment),
        "PULUMI_HOME": str(cache.pulumi_home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",  # the look-up fails, slowly, on machines without the internet
        "PYTHONPATH": str(requirements.parent),
        "PYTHONDONTWRITEBYTECODE": None,  # with it, each of the many short Python runs compiles anew
    }
    passphrase = _passphrase(environ)
    if passphrase or environ.get(PASSPHRASE) == PUBLISHED_PASSPHRASE:
        values[PASSPHRASE] = passphrase  # none where it was inherited from a shell for dev
    return values


def _passphrase(environ: Mapping[str, str]) -> str | None:
    """The passphrase that the environment's stack needs, as far as anything but the caller's own variable says it."""
    name = environ.get("ENV") or "dev"
    found = kind.of(name)
    return environ.get(passphrase_variable(name)) or (PUBLISHED_PASSPHRASE if found and not found.guarded else None)


def lines(values: Mapping[str, str | None]) -> str:
    """Shell commands that apply `values`."""
    return "\n".join(
        f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}" for name, value in values.items()
    )


def make_state_folder(environ: Mapping[str, str]) -> None:
    """The file backend of Pulumi.yaml: state holds (encrypted) secrets, so it is the user's alone."""
    if not environ.get("PULUMI_BACKEND_URL"):
        folder = home() / ".local/state/keel"
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o700)
