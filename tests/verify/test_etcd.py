"""etcd: the store that holds the leader's lease."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest

from environment.manifest import HostEntry, Manifest
from environment.pki import Authority
from environment.types import Group
from tests.verify import expect
from tests.verify.look import Look
from tests.verify.tunnels import Tunnels

TLS = "/etc/keel/tls/etcd"


def etcdctl(look: Look, host: HostEntry, manifest: Manifest, command: str) -> Any:
    """What etcdctl answers on ``host``, as JSON."""
    endpoint = f"https://{host.address}:{manifest.ports.etcd_client}"
    tls = f"--cacert=/etc/keel/doors/etcd.crt --cert={TLS}/cert.pem --key={TLS}/key.pem"
    return json.loads(look.shell(host, f"etcdctl --endpoints={endpoint} {tls} --command-timeout=20s -w json {command}"))


def test_members(store: HostEntry, look: Look, manifest: Manifest) -> None:
    """X-23: the store's members are the manifest's, over TLS, started and none a learner."""
    members = etcdctl(look, store, manifest, "member list")["members"]
    found = {member.get("name", "?"): (*member["peerURLs"], *member.get("clientURLs", ())) for member in members}
    ports = manifest.ports
    wanted = {
        host.name: (f"https://{host.address}:{ports.etcd_peer}", f"https://{host.address}:{ports.etcd_client}")
        for host in manifest.carrying(Group.ETCD)
    }
    expect.exactly(found, wanted, f"{store.name}: etcd member")
    expect.same(found, wanted, store.name)
    expect.nothing(f"{member['name']} is a learner" for member in members if member.get("isLearner"))


def test_quorum(look: Look, manifest: Manifest) -> None:
    """X-23: every member answers and all of them follow the same leader, without an alarm."""
    leaders = set()
    for host in manifest.carrying(Group.ETCD):
        status = etcdctl(look, host, manifest, "endpoint status")[0]["Status"]
        leaders.add(status["leader"])
        assert not status.get("errors"), f"{host.name}: {status['errors']}"
    assert len(leaders) == 1 and 0 not in leaders, f"the members follow different leaders: {sorted(leaders)}"


def test_effective_timing(store: HostEntry, look: Look, manifest: Manifest) -> None:
    """PLAT-03: the running member has the manifest's heartbeat and election timeout, and asks clients for certificates."""
    listed = look.shell(store, "tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value etcd.service)/environ")
    environment = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    wanted = {
        "ETCD_HEARTBEAT_INTERVAL": str(manifest.etcd.heartbeat_ms),
        "ETCD_ELECTION_TIMEOUT": str(manifest.etcd.election_ms),
        "ETCD_CLIENT_CERT_AUTH": "true",
        "ETCD_PEER_CLIENT_CERT_AUTH": "true",
    }
    expect.same(environment, wanted, store.name)


def test_refuses_clients_without_certificate(store: HostEntry, tunnels: Tunnels, manifest: Manifest) -> None:
    """X-23: without a certificate of this environment no one reaches the leader's lease."""
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_REQUIRED|BAD_CERTIFICATE"):
        tunnels.ask(store, manifest.ports.etcd_client, "GET /version", Authority.ETCD)
