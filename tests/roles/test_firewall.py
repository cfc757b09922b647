"""The firewall: what the table says, and that a table which locks the controller out is taken back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from pyinfra.api import Config, Inventory, State
from pyinfra.context import ctx_host, ctx_state

from environment.derive import private_openssh, public_openssh
from environment.manifest import Manifest
from environment.settings import Network
from roles.firewall.role import PROGRAM, RULES, Firewall
from roles.kit import operations
from roles.kit.declare import File
from roles.kit.observe import HostState
from roles.kit.results import OperationFailed
from roles.order import ROLES
from tests.roles.hosts import commands
from tests.roles.targets import files, manifest_of, target
from tests.stand_ins import calls, run_script, stand_in
from tests.unit.sshd import Server, serving


def table(host: str, manifest: Manifest) -> list[str]:
    """The rules of a host, without what every chain begins and ends with."""
    role = ROLES["firewall"]
    assert isinstance(role, Firewall)
    lines = [line.strip() for line in role.table(target(role, host, manifest)).splitlines()]
    assert lines[:2] + lines[-2:] == ["table inet keel {", "chain input {", "}", "}"]
    return lines[2:-2]


def with_network(stack: str, **settings: object) -> Manifest:
    """A stack with other settings of its network."""
    manifest = manifest_of(stack)
    return manifest.model_copy(update={"network": Network.model_validate({**dict(manifest.network), **settings})})


def test_a_container_drops_whatever_is_not_listed() -> None:
    """PLAT-41, W3."""
    first, *rules = table("ops1", manifest_of("dev"))
    assert first == "type filter hook input priority filter; policy drop;"
    assert rules == [
        "ct state established,related accept",
        'iif "lo" accept',
        "meta l4proto 1 accept",
        "meta l4proto 58 accept",
        'ip saddr 10.88.0.1 tcp dport 22 accept comment "sshd: controller"',
        'ip saddr 10.88.0.11 tcp dport 8432 accept comment "pgBackRest: postgres"',
        'ip saddr 10.88.0.12 tcp dport 8432 accept comment "pgBackRest: postgres"',
    ]


def test_on_a_machine_only_keels_ports_are_closed() -> None:
    """PLAT-41: other ports, sshd's among them, are the machine's owner's; what another chain drops stays dropped."""
    first, *rules = table("ops1", manifest_of("production"))
    assert first == "type filter hook input priority filter; policy accept;"
    assert [rule for rule in rules if " drop " in rule] == ['tcp dport 8432 drop comment "pgBackRest: nobody else"']
    assert not [rule for rule in rules if "dport 22 " in rule]
    assert len([rule for rule in rules if "dport 8432 accept" in rule]) == 3


@pytest.mark.parametrize(
    ("controllers", "admits"),
    [
        ((), ['tcp dport 22 accept comment "sshd: controller"']),
        (("192.0.2.0/24",), ['ip saddr 192.0.2.0/24 tcp dport 22 accept comment "sshd: controller"']),
    ],
)
def test_a_machine_can_drop_everything_else_too(controllers: tuple[str, ...], admits: list[str]) -> None:
    """JEEX-33: then sshd is for the controllers' networks, or for all where none is named."""
    first, *rules = table("ops1", with_network("production", firewall="all", controllers=controllers))
    assert "policy drop" in first
    assert [rule for rule in rules if "dport 22 " in rule] == admits
    assert not [rule for rule in rules if " drop " in rule]


@pytest.mark.parametrize(("host", "there"), [("edge1", True), ("db1", False), ("ops1", False)])
def test_who_guesses_comes_in_slowly_where_passwords_are_asked(host: str, there: bool) -> None:
    """W8: before anything else lets a new connection in. What comes from the host itself is the operator's and the verification's."""
    role = ROLES["firewall"]
    assert isinstance(role, Firewall)
    text = role.table(target(role, host, manifest_of("dev")))
    limit = "\t\tlimit rate over 1/second burst 1 packets\n\t\ttimeout 20s\n\t}\n\n\tchain input {\n"
    assert (f"\tset slowed {{\n\t\ttypeof ip saddr . tcp dport\n{limit}" in text) is there
    rules = [line.strip() for line in text.partition("chain input")[2].splitlines()]
    slowing = [number for number, rule in enumerate(rules) if rule.startswith("ip saddr . tcp dport @slowed drop")]
    assert slowing == ([rules.index('iif "lo" accept') + 1] if there else [])


PATHS = {"/run/keel-firewall-trial": "trial", RULES: "firewall.nft"}


@pytest.fixture
def firewall(tmp_path: Path) -> Callable[..., int]:
    """The program with its paths in ``tmp_path``, where nft and systemd only write down what they are asked."""
    for name in ("nft", "systemctl", "systemd-run"):
        stand_in(tmp_path, name, "")
    text = files("firewall")[PROGRAM].content
    for path, name in PATHS.items():
        text = text.replace(path, str(tmp_path / name))
    return lambda *arguments: run_script(tmp_path, text, *arguments).returncode


def test_a_table_that_is_tried_is_taken_back_unless_it_is_kept(firewall: Callable[..., int], tmp_path: Path) -> None:
    """What takes it back is there before the table is."""
    (tmp_path / "firewall.nft").touch()
    assert firewall("try", "new") == 0
    did = calls(tmp_path).splitlines()
    (undo,) = (line for line in did if line.startswith("systemd-run"))
    assert undo.endswith("back") and "--on-active=20" in undo
    assert did.index("nft -c -f new") < did.index(undo) < did.index("nft -f new")
    assert firewall("back") == 0
    assert calls(tmp_path).splitlines()[-1] == f"nft -f {tmp_path}/firewall.nft"
    assert firewall("keep") == 1, "too late"


def test_the_first_table_is_taken_back_to_none(firewall: Callable[..., int], tmp_path: Path) -> None:
    assert (firewall("try", "new"), firewall("back")) == (0, 0)
    assert calls(tmp_path).splitlines()[-1] == "nft delete table inet keel"


def test_a_table_that_is_kept_stays(firewall: Callable[..., int], tmp_path: Path) -> None:
    assert (firewall("try", "new"), firewall("keep")) == (0, 0)
    assert calls(tmp_path).splitlines()[-1] == "systemctl stop keel-firewall-back.timer"
    before = calls(tmp_path)
    assert firewall("back") == 0
    assert calls(tmp_path) == before


def test_a_table_that_nft_refuses_is_not_tried(firewall: Callable[..., int], tmp_path: Path) -> None:
    stand_in(tmp_path, "nft", "exit 1")
    assert firewall("try", "new") != 0
    assert "systemd-run" not in calls(tmp_path)


KEY, HOST_KEY = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))


@contextmanager
def connected(server: Server, folder: Path) -> Iterator[None]:
    """A pyinfra host that is ``server``."""
    key, known = folder / "key", folder / "known"
    key.write_text(private_openssh(KEY))
    key.chmod(0o600)
    known.write_text(f"[127.0.0.1]:{server.port} {public_openssh(HOST_KEY)}\n")
    data = {
        "ssh_hostname": "127.0.0.1", "ssh_port": server.port, "ssh_user": "root", "ssh_key": str(key),
        "ssh_known_hosts_file": str(known), "ssh_config_file": "/dev/null", "ssh_strict_host_key_checking": "yes",
    }  # fmt: skip
    state = State(Inventory(([("db1", data)], {})), Config(CONNECT_TIMEOUT=2))
    with ctx_state.use(state), ctx_host.use(state.inventory.get_host("db1")):
        yield


def host_key() -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private_openssh(HOST_KEY)))


def test_the_proof_comes_over_a_connection_of_its_own(tmp_path: Path) -> None:
    with serving(Server(host_key(), public_openssh(KEY))) as server, connected(server, tmp_path):
        operations._over_a_new_connection("firewall keep", RULES)
        operations._over_a_new_connection("firewall keep", RULES)
    assert len(server.offered) == 2 and all("firewall keep" in ran for ran in server.ran)


def test_a_controller_that_cannot_come_in_again_says_so(tmp_path: Path) -> None:
    with (
        serving(Server(host_key(), "another's key")) as server,
        connected(server, tmp_path),
        pytest.raises(OperationFailed, match=rf"db1: the controller cannot come in again with the new {RULES}"),
    ):
        operations._over_a_new_connection("firewall keep", RULES)
    assert server.ran == []


def test_the_proof_comes_between_the_check_and_the_place() -> None:
    """A file whose proof fails is not put into place: what is in force after the next boot is what was proven."""
    file = File(RULES, "content\n", check="try {}", proof="keep")
    done = [str(command) for command in commands(operations.file, file, HostState())]
    at = {
        what: next(n for n, command in enumerate(done) if what in command) for what in ("try ", "remembering", "mv -f")
    }
    assert at["try "] < at["remembering"] < at["mv -f"]
