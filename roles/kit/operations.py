"""The few operations every role is made of. Each compares first and yields commands only for a difference."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from io import BytesIO, StringIO

from pyinfra import host
from pyinfra.api import FileUploadCommand, FunctionCommand, StringCommand, operation

from environment import pki
from environment.derive import Roots
from roles.kit import journal
from roles.kit.declare import Certificate, Directory, File, Unit
from roles.kit.observe import STAMPS, HostState, digest_of, stamp

STAGING = "/run/keel"
"""Where new files wait, on the host's memory: readable by root only, gone after a restart."""

Commands = Generator[str | StringCommand | FileUploadCommand | FunctionCommand, None, None]


@operation()
def packages(wanted: tuple[str, ...], state: HostState) -> Commands:
    """Install the packages that are not there (on container hosts the image brings them)."""
    missing = sorted(package for package in wanted if package not in state.packages)
    if missing:
        names = " ".join(shlex.quote(package) for package in missing)
        yield "apt-get update -q"
        yield f"DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {names}"


@operation()
def directory(wanted: Directory, state: HostState) -> Commands:
    """A directory with its owner and mode."""
    found = state.paths.get(wanted.path)
    if found and found[:4] == ("directory", wanted.mode, wanted.owner, wanted.group):
        return
    yield f"install -d -m {wanted.mode} -o {wanted.owner} -g {wanted.group} {shlex.quote(wanted.path)}"


@operation()
def file(wanted: File, state: HostState) -> Commands:
    """A managed file: uploaded beside, checked by the program that will read it, then moved into place."""
    digest = hashlib.sha256(wanted.content.encode()).hexdigest()
    found = state.paths.get(wanted.path)
    if found and found[1:] == (wanted.mode.lstrip("0"), wanted.owner, wanted.group, digest):
        return
    waiting = f"{STAGING}/{hashlib.sha256(wanted.path.encode()).hexdigest()}"
    yield f"install -d -m 700 {STAGING}"
    yield FileUploadCommand(StringIO(wanted.content), waiting)
    yield f"chown {wanted.owner}:{wanted.group} {waiting} && chmod {wanted.mode} {waiting}"
    if wanted.check:
        yield wanted.check.format(waiting)
    yield f"mv -f {waiting} {shlex.quote(wanted.path)}"


@operation()
def certificate(wanted: Certificate, roots: Roots, state: HostState) -> Commands:
    """A key pair: the key is made on the host and never leaves it, the authority signs its request."""
    now = datetime.now(UTC)
    leaf, key = state.certificates.get(wanted.directory), state.keys.get(wanted.directory)
    if leaf and key and pki.leaf_fault(roots, leaf, wanted.names, now) is None and pki.public_key_pem(leaf) == key:
        return
    folder = shlex.quote(wanted.directory)
    owner = f"{wanted.owner}:{wanted.group}"
    yield f"install -d -m 750 -o {wanted.owner} -g {wanted.group} {folder}"
    yield (
        f"test -s {folder}/key.pem || (umask 077 && openssl genpkey -algorithm EC "
        f"-pkeyopt ec_paramgen_curve:P-256 -out {folder}/key.pem)"
    )
    yield f"chown {owner} {folder}/key.pem && chmod 600 {folder}/key.pem"
    yield journal.call(_sign, wanted, roots, now)
    yield f"chown {owner} {folder}/cert.pem && chmod 644 {folder}/cert.pem"


def _sign(wanted: Certificate, roots: Roots, now: datetime) -> None:
    request = f"openssl req -new -key {wanted.directory}/key.pem -subj /CN={wanted.names[0]}"
    succeeded, output = host.run_shell_command(StringCommand(request))
    if not succeeded:
        raise RuntimeError(f"{host.name}: {request}: {output.stderr}")
    leaf = pki.sign_leaf(roots, output.stdout, wanted.names, now)
    host.put_file(BytesIO(leaf.encode()), f"{wanted.directory}/cert.pem")


def _telling(name: str, verb: str) -> str:
    """A systemctl command that, when it fails, prints what the unit itself said."""
    return f"systemctl {verb} {name} || {{ journalctl -u {name} -n 12 --no-pager -o cat >&2; exit 1; }}"


@operation()
def unit_enabled(name: str, state: HostState) -> Commands:
    """A unit that starts at boot."""
    found = state.units.get(name)
    if not found or found.enabled not in ("enabled", "static", "alias"):
        yield f"systemctl unmask --quiet {name}; systemctl enable --quiet {name}"


@operation()
def unit_running(wanted: Unit, state: HostState) -> Commands:
    """A unit that runs now."""
    found = state.units.get(wanted.name)
    if not found or found.active != "active":
        yield f"systemctl reset-failed {wanted.name} 2>/dev/null; {_telling(wanted.name, 'start')}"
        yield from _stamped(wanted.triggers)


@operation()
def unit_reloaded(wanted: Unit) -> Commands:
    """Make a unit read its configuration again; called only when that changed."""
    yield _telling(wanted.name, "reload-or-restart")
    yield from _stamped(trigger for trigger in wanted.triggers if trigger[1] == "reload")


@operation()
def unit_restarted(wanted: Unit) -> Commands:
    """Restart a unit; called only when something changed that it reads at its start."""
    yield _telling(wanted.name, "restart")
    yield from _stamped(wanted.triggers)


def _stamped(triggers: Iterable[tuple[str, str, tuple[str, ...]]]) -> Commands:
    """Remember what a unit has read now."""
    for unit, kind, read in triggers:
        yield f"install -d {STAMPS} && {{ {digest_of(read)}; }} > {stamp(unit, kind)}"


@operation()
def daemon_reloaded() -> Commands:
    """Make systemd read changed unit files."""
    yield "systemctl daemon-reload"


PATIENCE = 60
"""Seconds a unit may take to serve after it last was seen at work."""


@operation()
def unit_ready(wanted: Unit) -> Commands:
    """Wait until a unit serves; called only after a start. Fails with what the unit itself said."""
    last = f"journalctl -u {wanted.name} -n 12 --no-pager -o cat >&2"
    yield (
        f"end=$(($(date +%s) + {PATIENCE})); until {wanted.ready}; do "
        f"if {wanted.working}; then end=$(($(date +%s) + {PATIENCE})); fi; "
        f"[ $(date +%s) -lt $end ] || {{ {last}; exit 1; }}; sleep 0.2; done"
    )
