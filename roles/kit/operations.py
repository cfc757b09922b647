"""The few operations every role is made of. Each compares with the one look at the host (see observe.py) and yields
commands only for a difference. Where pyinfra has an operation, that one then does the work: what it asks the host
itself is paid only there. README.md says what is Keel's own, and why.
"""

from __future__ import annotations

import hashlib
import shlex
from base64 import b64encode
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from io import BytesIO

from paramiko import SSHException
from pyinfra import host
from pyinfra.api import FunctionCommand, StringCommand, operation
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.operations import apt, files, systemd

from environment import pki
from environment.derive import Roots
from roles.kit import results
from roles.kit.declare import Certificate, Directory, File, Unit
from roles.kit.observe import ASIDE, STAMPS, HostState, digest_of, stamp

STAGING = "/run/keel"
"""Where new files wait, on the host's memory: readable by root only, gone after a restart."""

Commands = Generator[str | StringCommand | FunctionCommand, None, None]


@operation()
def packages(wanted: tuple[str, ...], state: HostState) -> Commands:
    """Install the packages that are not there (on container hosts the image brings them)."""
    missing = sorted(package for package in wanted if package not in state.packages)
    if missing:
        yield from apt.packages._inner(missing, update=True, no_recommends=True)


@operation()
def directory(wanted: Directory, state: HostState) -> Commands:
    """A directory with its owner and mode. A link to a directory is the administrator's: it and its target stay."""
    found = state.paths.get(wanted.path)
    if found and found[:4] == ("directory", wanted.mode, wanted.owner, wanted.group):
        return
    yield from files.directory._inner(
        wanted.path, user=wanted.owner, group=wanted.group, mode=wanted.mode, _no_fail_on_link=True
    )


@operation()
def put_aside(strays: Iterable[str]) -> Commands:
    """Give files that no role declares a name that no service reads. They are kept."""
    for path in strays:
        yield f"mv -f {shlex.quote(path)} {shlex.quote(path + ASIDE)}"


@operation()
def file(wanted: File, state: HostState) -> Commands:
    """A managed file: written under another name, checked by the program that will read it, then moved into place."""
    digest = hashlib.sha256(wanted.content.encode()).hexdigest()
    found = state.paths.get(wanted.path)
    if found and found[1:] == (wanted.mode.lstrip("0"), wanted.owner, wanted.group, digest):
        return
    waiting = f"{STAGING}/{hashlib.sha256(wanted.path.encode()).hexdigest()}"
    place = f"mv -f {waiting} {shlex.quote(wanted.path)}"
    steps = [
        f"install -d -m 700 {STAGING}",
        f"base64 -d >{waiting}",
        f"chown {wanted.owner}:{wanted.group} {waiting}",
        f"chmod {wanted.mode} {waiting}",
        *([wanted.check.format(waiting)] if wanted.check else ()),
        *(() if wanted.proof else [place]),
    ]
    # One command: each is a way to the host and back, and a new host gets some hundred files.
    yield StringCommand(" && ".join(steps), _stdin=b64encode(wanted.content.encode()).decode())
    if wanted.proof:
        yield results.call(_over_a_new_connection, wanted.proof, wanted.path)
        yield place


def _over_a_new_connection(command: str, path: str) -> None:
    """Raises OperationFailed where the controller cannot come in once more and give ``command``."""
    again = SSHConnector(host.state, host)
    try:
        again.connect()
        succeeded, output = again.run_shell_command(StringCommand(command))
    except (ConnectError, OSError, SSHException, EOFError) as error:
        raise results.OperationFailed(
            f"{host.name}: the controller cannot come in again with the new {path}: {error}",
            "The host takes it back by itself within half a minute; the old one stays",
        ) from None
    finally:
        if again.client:
            again.client.close()
    if not succeeded:
        raise results.OperationFailed(f"{host.name}: {command}: {output.stderr}")


def modes(pair: Certificate) -> dict[str, str]:
    """The paths of a key pair, and who may read them."""
    return {pair.directory: "750", f"{pair.directory}/key.pem": "600", f"{pair.directory}/cert.pem": "644"}


def link(pair: Certificate) -> str:
    """The name by which HAProxy finds the key of a certificate."""
    return f"{pair.directory}/cert.pem.key"


@operation()
def certificate(wanted: Certificate, roots: Roots, state: HostState) -> Commands:
    """A key pair: the key is made on the host and never leaves it, the authority signs its request."""
    now = datetime.now(UTC)
    leaf, key = state.certificates.get(wanted.directory), state.keys.get(wanted.directory)
    if leaf and key and pki.leaf_fault(roots, leaf, wanted.leaf, now) is None and pki.public_key_pem(leaf) == key:
        for path, mode in modes(wanted).items():
            found = state.paths.get(path)
            if found and found[1:4] != (mode, wanted.owner, wanted.group):
                yield f"chown {wanted.owner}:{wanted.group} {shlex.quote(path)} && chmod {mode} {shlex.quote(path)}"
        if link(wanted) not in state.paths:
            yield f"ln -sfn key.pem {shlex.quote(link(wanted))}"
        return
    folder = shlex.quote(wanted.directory)
    owner = f"{wanted.owner}:{wanted.group}"
    make = f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {folder}/key.pem"
    steps = (
        f"install -d -m 750 -o {wanted.owner} -g {wanted.group} {folder}",
        f"{{ openssl pkey -in {folder}/key.pem -noout 2>/dev/null || (umask 077 && {make}); }}",
        f"chown {owner} {folder}/key.pem",
        f"chmod 600 {folder}/key.pem",
        f"ln -sfn key.pem {shlex.quote(link(wanted))}",
    )
    yield " && ".join(steps)
    yield results.call(_sign, wanted, roots, now)
    yield f"chown {owner} {folder}/cert.pem && chmod 644 {folder}/cert.pem"


def _sign(wanted: Certificate, roots: Roots, now: datetime) -> None:
    request = f"openssl req -new -key {wanted.directory}/key.pem -subj /CN={wanted.leaf.subject}"
    succeeded, output = host.run_shell_command(StringCommand(request))
    if not succeeded:
        raise results.OperationFailed(f"{host.name}: {request}: {output.stderr}")
    leaf = pki.sign_leaf(roots, output.stdout, wanted.leaf, now)
    host.put_file(BytesIO(leaf.encode()), f"{wanted.directory}/cert.pem")


def _systemctl(name: str, verb: str) -> Commands:
    """``systemctl verb`` through pyinfra; when that fails, what the unit itself said is printed.

    As a command, not as ``restarted=True``: that compares again, takes a unit in the middle of a reload for one that does
    not run, and starts what runs already instead of restarting it.
    """
    for command in systemd.service._inner(name, running=None, command=verb):
        yield StringCommand(command, "||", "{", f"{last_words(name)};", "exit", "1;", "}")


def last_words(unit: str) -> str:
    """Shell that prints, as an error, what a unit said last."""
    return f"journalctl -u {unit} -n 12 --no-pager -o cat >&2"


@operation()
def unit_enabled(name: str, state: HostState) -> Commands:
    """A unit that starts at boot."""
    found = state.units.get(name)
    if not found or found.enabled not in ("enabled", "static", "alias"):
        masked = found is not None and found.enabled.startswith("masked")
        yield from systemd.service._inner(name, running=None, command="unmask" if masked else None, enabled=True)


@operation()
def no_dropins(paths: Iterable[str]) -> Commands:
    """Take away what others have added to a unit."""
    if paths:
        yield f"rm -f {' '.join(shlex.quote(path) for path in paths)}"
        yield from systemd.daemon_reload._inner()


@operation()
def unit_running(wanted: Unit, state: HostState) -> Commands:
    """A unit that runs now."""
    found = state.units.get(wanted.name)
    if not found or found.active != "active":
        # Its count of failed starts too, or systemd would refuse one more; one that it does not know has none.
        yield f"systemctl reset-failed {wanted.name} 2>/dev/null || true"
        # One that is just starting has read the files that were there before.
        resting = not found or found.active in ("", "inactive", "failed")
        yield from _unstamped(wanted.triggers)
        yield from _systemctl(wanted.name, "start" if resting else "restart")
        yield from _stamped(wanted.triggers)


@operation()
def unit_reloaded(wanted: Unit) -> Commands:
    """Make a unit read its configuration again; called only when that changed."""
    yield from _unstamped(trigger for trigger in wanted.triggers if trigger[1] == "reload")
    yield from _systemctl(wanted.name, "reload-or-restart")
    yield from _stamped(trigger for trigger in wanted.triggers if trigger[1] == "reload")


@operation()
def unit_restarted(wanted: Unit) -> Commands:
    """Restart a unit; called only when something changed that it reads at its start."""
    yield from _unstamped(wanted.triggers)
    yield from _systemctl(wanted.name, "restart")
    yield from _stamped(wanted.triggers)


def _unstamped(triggers: Iterable[tuple[str, str, tuple[str, ...]]]) -> Commands:
    """Forget what a unit has read, before it reads them again: where that is interrupted it is not known what it has read, though the
    files may be put back to what they were."""
    if stamps := [stamp(unit, kind) for unit, kind, _ in triggers]:
        yield f"rm -f {' '.join(stamps)}"


def _stamped(triggers: Iterable[tuple[str, str, tuple[str, ...]]]) -> Commands:
    """Remember what a unit has read now."""
    for unit, kind, read in triggers:
        yield f"install -d {STAMPS} && {{ {digest_of(read)}; }} > {stamp(unit, kind)}"


@operation()
def daemon_reloaded() -> Commands:
    """Make systemd read changed unit files."""
    yield from systemd.daemon_reload._inner()


PATIENCE = 60
"""Seconds a unit may take to serve after it last was seen at work."""
AT_WORK = 3 * 24 * 3600
"""Seconds a unit may be at work: a restore of 12 TiB at 50 MiB/s. What is still at work then will not come to its end."""


@operation()
def unit_ready(wanted: Unit) -> Commands:
    """Wait until a unit serves; called only after a start. Fails with what the unit itself said."""
    if wanted.ready:
        yield serving(wanted.name, wanted.ready, PATIENCE, wanted.working)


def serving(unit: str, ready: str, seconds: int, working: str = "false") -> str:
    """Shell that waits until a unit is ``ready``: so many seconds after its begin, or after it last was at work. It ends with
    the connection on which it runs: who interrupts the step waits no more."""
    waited = f'echo "waited $(($(date +%s) - began)) s for {unit} to serve; it said last:" >&2'
    return (
        f"began=$(date +%s); end=$((began + {seconds})); until {ready}; do [ -d /proc/$PPID ] || exit 1; "
        f"if [ $(date +%s) -lt $((began + {AT_WORK})) ] && {working}; then end=$(($(date +%s) + {seconds})); fi; "
        f"[ $(date +%s) -lt $end ] || {{ {waited}; {last_words(unit)}; exit 1; }}; sleep 0.2; done"
    )
