"""After a disaster: only the repository's volume is left, with or without Pulumi's state."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator

import pytest

from environment.pki import ca_certificate
from ops.backup.restore import archive_all
from ops.cluster.patroni import members
from ops.hosts.docker import docker
from roles import paths
from tests.system.disaster import lose_everything
from tests.system.environments import Ephemeral
from tests.system.fingerprint import fingerprint

DATABASES = ("db1", "db2", "db3")
FIRST, SECOND = (f"disaster-{secrets.token_hex(4)}" for _ in range(2))


@pytest.fixture(scope="module")
def known(trio: Ephemeral) -> Iterator[dict[str, object]]:
    """What the databases held; then the disaster."""
    with trio.session() as session:
        archive_all(session)
        found = fingerprint(session)
    lose_everything(trio)
    yield found
    trio.config.pop("keel:recovery", None)
    trio.save()


def test_plain_up_refuses_an_empty_cluster(trio: Ephemeral, known: dict[str, object]) -> None:
    """PLAT-36: the state still tells of everything; what is gone is noticed, and how to recover is said."""
    refused = trio.up(check=False)
    told = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "the volumes of the databases" in told and "keel:recovery.token" in told and "Nothing was changed" in told
    assert docker("ps", "-q", "--filter", f"label=keel.environment={trio.name}") == ""


def test_everything_comes_back_from_the_repository_alone(trio: Ephemeral, known: dict[str, object]) -> None:
    """PLAT-36, ADA-26, RIQ-28: the state is lost too; the stack file and its passphrase are enough."""
    shutil.rmtree(trio.project / "state")
    (trio.project / "state").mkdir()
    trio.config["keel:recovery"] = {"token": FIRST}
    trio.save()
    trio.recover()
    trio.up()
    environment = trio.environment
    with trio.session() as session:
        assert fingerprint(session) == known
        assert {member.name: member.well for member in members(session)} == dict.fromkeys(DATABASES, True)
        authority = session.run("db1", "cat /etc/keel/ca.crt")
    assert authority == ca_certificate(environment.roots)
    trio.up("--expect-no-changes")


def test_the_token_acts_once(trio: Ephemeral, known: dict[str, object]) -> None:
    """PLAT-36: a second disaster needs a new word, which plain `up` says while the used one still stands in the stack file;
    a new word brings everything back with the state still there."""
    with trio.session() as session:
        archive_all(session)
    lose_everything(trio)
    label = ("--filter", f"label=keel.environment={trio.name}")
    left = docker("volume", "ls", "-q", *label)
    refused = trio.up(check=False)
    told = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "a token acts once" in told, told[-3000:]
    assert docker("ps", "-aq", *label) == "" and docker("volume", "ls", "-q", *label) == left
    trio.config["keel:recovery"] = {"token": SECOND}
    trio.save()
    trio.recover()
    trio.up()
    with trio.session() as session:
        assert fingerprint(session) == known


def test_patroni_itself_refuses(trio: Ephemeral, known: dict[str, object]) -> None:
    """PLAT-36: an empty store with an empty volume never becomes an empty cluster, whoever started it."""
    with trio.session() as session:
        data = paths.data_directory(session.manifest)
        for host in DATABASES:
            session.run(host, f"systemctl stop patroni.service; mv {data} /var/lib/postgresql/aside")
        tls = "--cacert=/etc/keel/doors/etcd.crt --cert=/etc/keel/tls/etcd/cert.pem --key=/etc/keel/tls/etcd/key.pem"
        address = session.manifest.host("db1").address
        store = f"etcdctl --endpoints=https://{address}:2379 {tls}"
        session.run("db1", f"{store} del --prefix /keel/{trio.name}/")
        session.run("db1", "systemctl start patroni.service")
        said = session.run(
            "db1",
            "timeout 60 sh -c 'until journalctl -u patroni -o cat | grep -m1 \"no recovery was ordered\"; do sleep 0.5; done'",
        )
        assert "an empty cluster is not made over it" in said
        assert session.run("db1", f"ls -d {data} 2>/dev/null || true") == ""
        for host in DATABASES:
            session.run(host, f"systemctl stop patroni.service; mv /var/lib/postgresql/aside {data}")
            session.run(host, "systemctl start patroni.service")
    assert trio.up("--refresh").returncode == 0
