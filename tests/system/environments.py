"""Ephemeral environments: the real program, another name, network, ports and state; removed at the end."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from environment.load import ROOT, read_stack_file, stack_file
from environment.program import Environment, load
from ops.hosts.docker import docker
from ops.hosts.session import Session, open_session
from ops.state.copies import moved
from ops.state.slots import reserve
from tests.gate.minutes import measured

PASSPHRASE = "keel-published"
COMMAND = 1200
"""Seconds after which a command counts as hanging. On two cores, next to five other environments, an `up` that replaces every host
took more than ten minutes."""


@dataclass
class Ephemeral:
    """One environment of the tests."""

    name: str
    project: Path
    config: dict[str, Any] = field(repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Its own Pulumi secrets; the stack file has them encrypted."""
    backend: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables that name another place for Pulumi's state than a folder of the project."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables under which Keel's programs see this environment."""
        return {
            **os.environ,
            "ENV": self.name,
            "KEEL_PROJECT": str(self.project),
            "PULUMI_BACKEND_URL": f"file://{self.project}/state",
            **self.backend,
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PYTHONPATH": str(ROOT),
        }

    def save(self) -> None:
        """Write the stack file (keeping what Pulumi added to it)."""
        path = self.project / "stacks" / f"Pulumi.{self.name}.yaml"
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        encrypted = {name: kept["config"][name] for name in self.secrets if name in kept["config"]}
        path.write_text(yaml.safe_dump({**kept, "config": self.config | encrypted}, sort_keys=False))

    def set_secret(self, name: str, value: str) -> None:
        """Write a Pulumi secret, encrypted, into the stack file."""
        self.pulumi("config", "set", "--secret", name, value)
        self.secrets[name] = value

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run pulumi in the project; with ``check`` a failure raises AssertionError with why, and the end of the output. What a refresh
        finds is printed, so that a failure says what differs."""
        shown = ["--diff"] if {"preview", "--refresh"} <= {*arguments} and "--diff" not in arguments else []
        return self._run(
            ["pulumi", *arguments, *shown, "-s", self.name, "--non-interactive", "--color", "never"], check
        )

    def up(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`pulumi up` without a question."""
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, check=check)

    def recover(self, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What `make up` does before `pulumi up`."""
        return self._run([sys.executable, "-m", "ops.state.clear_killed", self.name], check)

    def keel(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The operator command."""
        return self._run([sys.executable, "-m", "ops.cli", "--env", self.name, *arguments], check)

    def backups(self) -> dict[str, Any]:
        """`./keel backup list --json`."""
        found: dict[str, Any] = json.loads(self.keel("backup", "list", "--json").stdout)
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`pulumi up` in the background, its output in one pipe."""
        return subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "-s", self.name, "--non-interactive", *arguments],
            cwd=self.project, env=self.variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _run(self, command: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        cwd = self.project if command[0] == "pulumi" else ROOT
        with measured("command", _named(command)):
            done = subprocess.run(
                command,
                cwd=cwd,
                env=self.variables,
                capture_output=True,
                text=True,
                timeout=COMMAND,
                stdin=subprocess.DEVNULL,
            )
        assert not check or done.returncode == 0, "\n".join(
            (" ".join(command), *reasons(done.stdout), done.stdout[-6000:], done.stderr[-4000:])
        )
        return done

    @property
    def environment(self) -> Environment:
        """The model of the stack file as it is now."""
        return load(self.name, self.config | self.secrets)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session with the running environment."""
        environment = self.environment
        with open_session(environment.manifest, environment.roots) as session:
            yield session

    def container(self, host: str) -> str:
        """Name of the container that is ``host``."""
        return f"keel-{self.name}-{host}"

    def destroy(self, *, hard: bool = True) -> subprocess.CompletedProcess[str]:
        """What `make down` does to dev and ci, or a plain `pulumi destroy` where not ``hard``; then the state and the files go."""
        options = ("--discard",) if hard else ()
        self._run([sys.executable, "-m", "ops.state.clear_killed", self.name, *options])
        done = self.pulumi("destroy", "--yes", "--skip-preview")
        shutil.rmtree(self.project)
        return done


def reasons(said: str) -> list[str]:
    """What Pulumi says of a failure at the end of its output, above the outputs of the stack."""
    diagnosed = said.partition("\nDiagnostics:\n")[2].partition("\nOutputs:\n")[0]
    return [line for line in diagnosed.splitlines() if line.strip() and not line.lstrip().startswith("info: ")]


def _named(command: list[str]) -> str:
    """What a person would call it: `pulumi up --refresh`, `keel restore`; without the arguments that only a test has."""
    if command[0] == "pulumi":
        known = ("--refresh", "--expect-no-changes")
        return " ".join([*command[:2], *(option for option in command if option in known)])
    module, arguments = command[2], command[5 if command[2] == "ops.cli" else 4 :]
    return f"{'keel' if module == 'ops.cli' else module} {' '.join(arguments[:2])}".strip()


def discard(ephemeral: Ephemeral) -> None:
    """Remove whatever is left of an environment, its files included, without asking Pulumi."""
    remove_leftovers(ephemeral.name)
    shutil.rmtree(ephemeral.project, ignore_errors=True)


def prepare(like: str, called: str = "") -> Ephemeral:
    """An environment with the topology of the stack ``like``, not up yet; ``called`` is in its name (default: ``like``)."""
    name = f"test-{called or like}-{secrets.token_hex(2)}"
    project = Path(tempfile.mkdtemp(prefix=f"keel-{name}-"))
    (project / "stacks").mkdir()
    (project / "state").mkdir()
    description = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    description |= {"main": str(ROOT), "backend": {"url": f"file://{project}/state"}}
    (project / "Pulumi.yaml").write_text(yaml.safe_dump(description))
    ephemeral = Ephemeral(name, project, moved(read_stack_file(stack_file(like)), reserve()))
    ephemeral.save()
    ephemeral.recover()
    return ephemeral


def remove_leftovers(name: str) -> None:
    """Whatever a failed run left of the environment ``name``; for finalisers."""
    label = ("--filter", f"label=keel.environment={name}")
    for kind, listing in (
        ("container", ("ps", "-aq")),
        ("volume", ("volume", "ls", "-q")),
        ("network", ("network", "ls", "-q")),
    ):
        for item in docker(*listing, *label).split():
            docker(kind, "rm", *(["-f"] if kind != "network" else []), item)
