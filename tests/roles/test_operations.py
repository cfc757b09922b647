"""Each operation twice: nothing to do where the host is as declared, the right commands where it is not."""

from __future__ import annotations

import hashlib
import re
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyinfra.api import FunctionCommand, StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.context import ctx_host

from environment import pki
from environment.derive import Roots
from environment.pki import Authority, Leaf
from roles.kit import operations
from roles.kit.declare import Certificate, Directory, File, Unit
from roles.kit.observe import HostState, PathState, UnitState
from roles.kit.results import OperationFailed
from tests.roles.hosts import Host, Looked, commands

ROOTS = Roots("test", *(f"a root of the tests, long enough, {name}" for name in ("access", "pki", "backup")))
FILE = File("/etc/keel/a file", "content\n", "root", "postgres", "0640", check="program --check {}")
FOLDER = Directory("/var/lib/etcd", "etcd", "etcd", "700")
PAIR = Certificate(
    "/etc/keel/tls/etcd", Leaf("db1.etcd", ("db1", "127.0.0.1"), Authority.ETCD, enters=True), "etcd", "etcd"
)
DIGEST = hashlib.sha256(FILE.content.encode()).hexdigest()
AS_DECLARED = PathState("regular file", "640", "root", "postgres", DIGEST)


def shell(found: list[Any]) -> str:
    """The commands that are text."""
    return "\n".join(command for command in found if isinstance(command, str))


def test_installed_packages_need_nothing() -> None:
    state = HostState(packages={"etcd-server": "3.5", "jq": "1.7"})
    assert commands(operations.packages, ("jq", "etcd-server"), state) == []


def test_missing_packages_are_installed_alone() -> None:
    found = commands(operations.packages, ("jq", "patroni", "etcd-server"), HostState(packages={"jq": "1.7"}))
    assert found[0] == "apt-get update"
    assert found[1].startswith("DEBIAN_FRONTEND=noninteractive apt-get -y ")
    assert found[1].endswith(" install --no-install-recommends etcd-server patroni")


def test_a_directory_as_declared_needs_nothing() -> None:
    state = HostState(paths={FOLDER.path: PathState("directory", "700", "etcd", "etcd", "")})
    assert commands(operations.directory, FOLDER, state) == []


MODE, OWNERS = "chmod 700 /var/lib/etcd", "chown etcd:etcd /var/lib/etcd"


@pytest.mark.parametrize(
    ("found", "done"),
    [
        (None, ["mkdir -p /var/lib/etcd", MODE, OWNERS]),
        (PathState("directory", "755", "etcd", "etcd", ""), [MODE]),
        (PathState("directory", "700", "root", "etcd", ""), [OWNERS]),
        (PathState("directory", "700", "etcd", "root", ""), [OWNERS]),
        (PathState("symbolic link", "777", "root", "root", ""), []),
    ],
    ids=["missing", "mode", "owner", "group", "a link"],
)
def test_a_directory_that_drifted_is_put_right(found: PathState | None, done: list[str]) -> None:
    """A link to another volume is how it is on a machine that somebody else set up: it stays."""
    state = HostState(paths={FOLDER.path: found} if found else {})
    assert commands(operations.directory, FOLDER, state) == done


def test_a_file_in_a_directorys_place_is_refused() -> None:
    """It is not Keel's to remove."""
    state = HostState(paths={FOLDER.path: PathState("regular file", "700", "etcd", "etcd", "")})
    with pytest.raises(OperationError, match="/var/lib/etcd exists and is not a directory"):
        commands(operations.directory, FOLDER, state)


def test_a_file_as_declared_needs_nothing() -> None:
    assert commands(operations.file, FILE, HostState(paths={FILE.path: AS_DECLARED})) == []


DRIFT: dict[str, PathState | None] = {
    "missing": None,
    "content": AS_DECLARED._replace(sha256="0" * 64),
    "mode": AS_DECLARED._replace(mode="644"),
    "owner": AS_DECLARED._replace(owner="postgres"),
    "group": AS_DECLARED._replace(group="root"),
    "a link to the right content": AS_DECLARED._replace(kind="symbolic link", mode="777"),
}


@pytest.mark.parametrize("name", DRIFT)
def test_a_file_that_drifted_is_checked_before_it_replaces_the_old_one(name: str) -> None:
    found = DRIFT[name]
    (command,) = given(FILE, HostState(paths={FILE.path: found} if found else {}))
    waiting = re.search(r">(/run/keel/\w+) ", command.get_raw_value())[1]  # type: ignore[index]
    assert command.get_raw_value().split(" && ") == [
        "install -d -m 700 /run/keel",
        f"base64 -d >{waiting}",
        f"chown root:postgres {waiting}",
        f"chmod 0640 {waiting}",
        f"program --check {waiting}",
        f"mv -f {waiting} '/etc/keel/a file'",
    ]
    assert b64decode(str(command.connector_arguments["_stdin"])).decode() == FILE.content


def test_content_is_never_a_command() -> None:
    """PLAT-11: a password in a file must not be seen in a process list."""
    content = '"keel_pgbouncer" "hunter2"\n'
    said = " ".join(command.get_raw_value() for command in given(replace(FILE, content=content), HostState()))
    assert "hunter2" not in said and b64encode(content.encode()).decode()[:12] not in said


def given(file: File, state: HostState) -> list[StringCommand]:
    """The commands as pyinfra gets them, with what they read."""
    with ctx_host.use(Host()):
        return list(operations.file._inner(file, state))


def key_pair(wanted: Leaf = PAIR.leaf, days: int = 0, roots: Roots = ROOTS) -> tuple[str, str]:
    """A certificate signed ``days`` ago and its public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    leaf = pki.sign_leaf(roots, pem, wanted, datetime.now(UTC) - timedelta(days=days))
    return leaf, pki.public_key_pem(leaf)


def pair_state(leaf: str, key: str) -> HostState:
    """A host with this key pair."""
    link = PathState("symbolic link", "777", "root", "root", "")
    return HostState(
        certificates={PAIR.directory: leaf}, keys={PAIR.directory: key}, paths={operations.link(PAIR): link}
    )


def test_the_name_by_which_haproxy_finds_the_key_is_made_again() -> None:
    """PLAT-48: without it HAProxy refuses its next reload."""
    state = pair_state(*key_pair())
    del state.paths[operations.link(PAIR)]
    assert commands(operations.certificate, PAIR, ROOTS, state) == [f"ln -sfn key.pem {PAIR.directory}/cert.pem.key"]


def test_a_valid_key_pair_needs_nothing() -> None:
    assert commands(operations.certificate, PAIR, ROOTS, pair_state(*key_pair())) == []


PAIRS: dict[str, Callable[[], HostState]] = {
    "missing": HostState,
    "of another key": lambda: pair_state(key_pair()[0], key_pair()[1]),
    "for other names": lambda: pair_state(*key_pair(replace(PAIR.leaf, names=("db2", "127.0.0.1")))),
    "about to end": lambda: pair_state(*key_pair(days=350)),
    "of another authority": lambda: pair_state(
        *key_pair(roots=replace(ROOTS, pki="another root of the tests, long enough"))
    ),
    "damaged": lambda: pair_state("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", key_pair()[1]),
    "without its key": lambda: HostState(certificates={PAIR.directory: key_pair()[0]}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_key_pair_that_will_not_do_is_signed_anew(name: str) -> None:
    """The key is made on the host, where there is none yet, and stays there."""
    done = commands(operations.certificate, PAIR, ROOTS, PAIRS[name]())
    text = shell(done)
    assert sum(isinstance(command, FunctionCommand) for command in done) == 1
    assert (
        "{ openssl pkey -in /etc/keel/tls/etcd/key.pem -noout 2>/dev/null || (umask 077 && openssl genpkey -algorithm EC"
        in text
    )
    assert "chown etcd:etcd /etc/keel/tls/etcd/key.pem && chmod 600 /etc/keel/tls/etcd/key.pem" in text
    assert "chmod 644 /etc/keel/tls/etcd/cert.pem" in text


def test_a_unit_as_declared_needs_nothing() -> None:
    state = HostState(units={"etcd.service": UnitState("active", "enabled")})
    assert commands(operations.unit_enabled, "etcd.service", state) == []
    assert commands(operations.unit_running, Unit("etcd.service"), state) == []


@pytest.mark.parametrize("found", [None, UnitState("inactive", "disabled"), UnitState("failed", "")])
def test_a_unit_that_drifted_is_enabled_and_started(found: UnitState | None) -> None:
    """A start that fails prints what the unit itself said."""
    state = HostState(units={"etcd.service": found} if found else {})
    assert commands(operations.unit_enabled, "etcd.service", state) == ["systemctl enable etcd.service"]
    forgotten, start = commands(operations.unit_running, Unit("etcd.service"), state)
    assert forgotten == "systemctl reset-failed etcd.service 2>/dev/null || true"
    assert start == f"systemctl start etcd.service || {{ journalctl {WORDS} >&2; exit 1; }}".replace("patroni", "etcd")


def test_a_unit_that_was_masked_is_enabled() -> None:
    """systemd would refuse to enable it."""
    state = HostState(units={"etcd.service": UnitState("inactive", "masked")})
    done = commands(operations.unit_enabled, "etcd.service", state)
    assert done == ["systemctl unmask etcd.service", "systemctl enable etcd.service"]


@pytest.mark.parametrize(
    ("operation", "verb"), [(operations.unit_restarted, "restart"), (operations.unit_reloaded, "reload-or-restart")]
)
@pytest.mark.parametrize("runs", [True, False])
def test_a_unit_that_is_between_two_states_is_restarted_all_the_same(operation: Any, verb: str, runs: bool) -> None:
    """pyinfra's own `restarted=True` would only start one that it does not see running, such as one that is reloading."""
    with ctx_host.use(Looked(HostState(units={"etcd.service": UnitState("active" if runs else "reloading", "")}))):
        (command,) = [each.get_raw_value() for each in operation._inner(Unit("etcd.service"))]
    assert command.startswith(f"systemctl {verb} etcd.service || {{ journalctl -u etcd.service")


def test_what_a_unit_says_of_its_failure_is_told() -> None:
    """By the command itself, with stand-ins for systemd's: its words come, and the failure stays one."""
    (restart,) = commands(operations.unit_restarted, Unit("etcd.service"))
    world = 'systemctl() { echo "Job failed" >&2; return 5; }; journalctl() { echo "etcd: no space left"; }; '
    done = subprocess.run(["sh", "-c", world + restart], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "Job failed\netcd: no space left\n")


@pytest.mark.parametrize("enabled", ["enabled", "static", "alias"])
def test_a_unit_that_starts_at_boot_in_any_way_needs_nothing(enabled: str) -> None:
    state = HostState(units={"etcd.service": UnitState("active", enabled)})
    assert commands(operations.unit_enabled, "etcd.service", state) == []


def test_a_reload_leaves_what_needs_a_restart_to_be_made_up_for() -> None:
    """It was not read: its stamp stays as it is. A restart reads everything."""
    unit = Unit("etcd.service", restart=("/etc/default/etcd",), reload=("/etc/keel/ca.crt",))
    forgotten, reload, *stamped = commands(operations.unit_reloaded, unit)
    assert forgotten == "rm -f /var/lib/keel/units/etcd.service.reload"
    assert reload.startswith("systemctl reload-or-restart etcd.service || {")
    assert [command.rpartition("> ")[2] for command in stamped] == ["/var/lib/keel/units/etcd.service.reload"]
    forgotten, restart, *stamped = commands(operations.unit_restarted, unit)
    assert restart.startswith("systemctl restart etcd.service || {")
    stamps = ["/var/lib/keel/units/etcd.service.restart", "/var/lib/keel/units/etcd.service.reload"]
    assert forgotten == f"rm -f {' '.join(stamps)}", "what it read is not known until it has"
    assert [command.rpartition("> ")[2] for command in stamped] == stamps
    _, _, _, *stamped = commands(operations.unit_running, unit, HostState())
    assert [command.rpartition("> ")[2] for command in stamped] == stamps


@pytest.mark.parametrize(
    ("found", "verb"),
    [
        ("inactive", "start"),
        ("failed", "start"),
        ("activating", "restart"),
        ("deactivating", "restart"),
        ("reloading", "restart"),
    ],
)
def test_a_unit_that_is_just_starting_is_started_anew(found: str, verb: str) -> None:
    """It has read the files that were there when it began: a start would leave it so, and its stamp would say otherwise."""
    unit = Unit("etcd.service", restart=("/etc/default/etcd",))
    state = HostState(units={"etcd.service": UnitState(found, "enabled")})
    assert f"systemctl {verb} etcd.service" in commands(operations.unit_running, unit, state)[2]


def test_systemd_reads_its_files() -> None:
    assert commands(operations.daemon_reloaded) == ["systemctl daemon-reload"]


class Signing:
    """A host with a key, on which a request can be made."""

    name = "db1"

    def __init__(self, succeeds: bool = True) -> None:
        self.succeeds, self.asked, self.put = succeeds, "", dict[str, str]()

    def run_shell_command(self, command: Any) -> tuple[bool, Any]:
        """openssl's answer."""
        self.asked = str(command)
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        return self.succeeds, type("Output", (), {"stdout": pem, "stderr": "no such key"})

    def put_file(self, content: Any, path: str) -> None:
        """What was sent there."""
        self.put[path] = content.read().decode()


def test_the_authority_signs_a_request_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-39: for the declared names; the certificate is all that is sent."""
    host = Signing()
    monkeypatch.setattr(operations, "host", host)
    operations._sign(PAIR, ROOTS, datetime.now(UTC))
    assert host.asked == "openssl req -new -key /etc/keel/tls/etcd/key.pem -subj /CN=db1.etcd"
    ((path, leaf),) = host.put.items()
    assert path == "/etc/keel/tls/etcd/cert.pem"
    assert pki.leaf_fault(ROOTS, leaf, PAIR.leaf, datetime.now(UTC)) is None


def test_a_request_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Signing(succeeds=False)
    monkeypatch.setattr(operations, "host", host)
    with pytest.raises(OperationFailed, match=r"^db1: openssl req -new .*: no such key$"):
        operations._sign(PAIR, ROOTS, datetime.now(UTC))
    assert host.put == {}


def waited(unit: Unit, *, serves_after: int, works_until: int = 0) -> tuple[bool, int, str]:
    """Wait for a unit with a clock of its own: whether it served, after how many seconds, and what was said."""
    (wait,) = commands(operations.unit_ready, unit)
    world = f"""
        now=0
        date() {{ echo $now; }}
        sleep() {{ now=$((now + 1)); }}
        journalctl() {{ echo "$*"; }}
        serves() {{ [ $now -ge {serves_after} ]; }}
        works() {{ [ $now -le {works_until} ]; }}
        trap 'echo $now' EXIT
    """
    done = subprocess.run(["sh", "-c", world + wait], capture_output=True, text=True)
    return done.returncode == 0, int(done.stdout), done.stderr.strip()


AT_WORK = Unit("patroni.service", ready="serves", working="works")
WORDS = "-u patroni.service -n 12 --no-pager -o cat"
WAITED = "waited {} s for patroni.service to serve; it said last:\n" + WORDS


@pytest.mark.parametrize(
    ("serves_after", "works_until", "found"),
    [
        (0, 0, (True, 0, "")),
        (59, 0, (True, 59, "")),
        (61, 0, (False, 60, WAITED.format(60))),
        (100, 45, (True, 100, "")),
        (900, 45, (False, 105, WAITED.format(105))),
    ],
)
def test_a_unit_has_a_minute_after_it_last_was_at_work(
    serves_after: int, works_until: int, found: tuple[bool, int, str]
) -> None:
    """A restore may take longer than a start. One that neither serves nor works is given up, with its own words."""
    assert waited(AT_WORK, serves_after=serves_after, works_until=works_until) == found
