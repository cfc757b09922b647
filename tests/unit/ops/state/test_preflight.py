"""What `make up` refuses before it changes anything: ports that are taken, stacks that are wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from environment.load import ROOT, read_stack_file, stack_file
from ops.state.preflight import Taken, main
from ops.state.slots import reserve


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that this process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stacks are in a folder of the test's own."""
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr("environment.load.STACKS", tmp_path / "stacks")
    return tmp_path


def write(project: Path, published: dict[str, int]) -> None:
    config = read_stack_file(ROOT / "stacks" / "Pulumi.ci.yaml")
    config["keel:network"]["published"] = published
    (project / "stacks" / "Pulumi.elsewhere.yaml").write_text(yaml.safe_dump({"config": config}))


def test_a_taken_port_is_told_with_its_setting_and_holder(project: Path, taken: int) -> None:
    """X-20: port, setting path and who holds it, before anything is changed."""
    write(project, {"primary": taken, "pgbouncer": 1, "redis": 2, "ssh": 3})
    with pytest.raises(Taken) as refused:
        main("elsewhere")
    told = str(refused.value)
    assert f"port {taken} on 127.0.0.1 (keel:network.published.primary) is taken by" in told
    assert "Nothing was changed" in told


def test_a_network_that_the_machine_has_already_is_told(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-20 (B18): Podman's bridge or a VPN has addresses of the environment's; the setting, and whose they are."""
    free = reserve()
    write(project, {"primary": free.port, "pgbouncer": free.port + 1, "redis": free.port + 2, "ssh": free.port + 3})
    cidr = read_stack_file(ROOT / "stacks" / "Pulumi.ci.yaml")["keel:network"]["cidr"]
    network = IPv4Network(cidr).supernet(new_prefix=16)
    monkeypatch.setattr("ops.state.networks.ROUTES", tmp_path / "route")
    (tmp_path / "route").write_text(table(("eth0", IPv4Network("0.0.0.0/0")), ("cni-podman0", network)))
    with pytest.raises(Taken) as refused:
        main("elsewhere")
    assert f"the network {cidr} (keel:network.cidr) overlaps {network} (interface cni-podman0)" in str(refused.value)
    (tmp_path / "route").write_text(table(("tun0", IPv4Network("192.0.2.0/24")), ("br-1", IPv4Network(cidr))))
    monkeypatch.setattr("ops.state.networks.docker", lambda *_: "1 keel-elsewhere")
    main("elsewhere")
    monkeypatch.setattr("ops.state.networks.docker", lambda *_: "1 of_another")
    with pytest.raises(Taken, match=r"overlaps .* \(Docker's network of_another\)"):
        main("elsewhere")


def table(*routes: tuple[str, IPv4Network]) -> str:
    """As the kernel writes it."""
    rows = [
        f"{interface}\t{socket.ntohl(int(network.network_address)):08X}\t00000000\t0001\t0\t0\t0\t"
        f"{socket.ntohl(int(network.netmask)):08X}\t0\t0\t0"
        for interface, network in routes
    ]
    return "\n".join(["Iface\tDestination\tGateway \tFlags", *rows])


def test_free_ports_pass(project: Path) -> None:
    """The same stack with free ports is not refused."""
    free = reserve().port
    write(project, {"primary": free, "pgbouncer": free + 1, "redis": free + 2, "ssh": free + 3})
    main("elsewhere")


def test_the_command_ends_with_one_sentence_and_no_traceback() -> None:
    """An unknown environment is told with those there are."""
    done = subprocess.run(
        [sys.executable, "-m", "ops.state.preflight", "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert all(stack in done.stderr for stack in ("dev", "ci", "staging", "production"))
    assert stack_file("dev").exists()
