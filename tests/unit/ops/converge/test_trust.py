"""How an environment comes to doors with authorities of their own (W1, W5)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from environment.names import REPLICATION, REWIND
from environment.pki import Authority, ca_certificate
from ops.converge import run, trust
from ops.hosts.session import Unreachable
from ops.steps.close_doors import finish
from roles.kit.declare import Role, Target, Trust
from roles.order import ROLES
from tests.roles.targets import manifest_of, target
from tests.unit.hosts import ANY, hosts, nothing


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, Trust.OWN),
        ({"db1": "former\n"}, Trust.FORMER),
        ({"db1": "own\n", "db2": "both\n"}, Trust.BOTH),
        ({"db1": "both\n", "db2": "former\n", "edge1": "own\n"}, Trust.FORMER),
        ({"db1": "own\n", "db2": "own\n"}, Trust.OWN),
    ],
)
def test_an_environment_is_as_far_as_its_last_host(tmp_path: Path, said: dict[str, str], wanted: Trust) -> None:
    """A host that is new says nothing, one that is away cannot."""
    session = hosts(tmp_path)
    session.says.update({(host, trust.LOOK): text for host, text in said.items()})
    session.says.update({("ops1", trust.LOOK): Unreachable("ops1"), (ANY, trust.LOOK): ""})
    assert trust.found(session) is wanted


@pytest.mark.parametrize(("files", "said"), [((), ""), (("ca.crt",), "former"), (("ca.crt", "trust"), "both")])
def test_a_host_says_how_far_it_is(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    """With the shell that hosts run: one from before has the authority and does not say."""
    for name in files:
        (tmp_path / name).write_text("both\n")
    look = trust.LOOK.replace("/etc/keel", str(tmp_path))
    assert subprocess.run(["sh", "-ec", look], capture_output=True, text=True, check=True).stdout.strip() == said


@pytest.mark.parametrize(("state", "passes"), [("former", 2), ("both", 2), ("own", 0)])
def test_what_is_on_its_way_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, passes: int
) -> None:
    """Every key pair first, on every host; then every door."""
    session, made = hosts(tmp_path), list[Trust]()
    session.says[ANY, trust.LOOK] = f"{state}\n"
    monkeypatch.setattr(run, "converge", lambda _, stages, __, trust: made.extend(trust))
    finish(session, nothing)
    assert made == [Trust.BOTH, Trust.OWN][:passes]
    assert trust.way(session) == tuple(Trust)[{"former": 0, "both": 1, "own": 2}[state] :]


def at(role: Role, host: str, state: Trust) -> Target:
    """A host on the way."""
    made = target(role, host, manifest_of("dev"))
    return Target(made.manifest, made.host, made.roots, state)


@pytest.mark.parametrize("door", [door for door in Authority if door is not Authority.COMMON])
def test_doors_admit_the_common_authority_until_the_last_pass(door: Authority) -> None:
    """What enters meanwhile is from before, or from the common authority. Afterwards it does not."""
    admitted = {}
    for state in Trust:
        text = at(ROLES["pki"], "db1", state).admitted(door).content
        admitted[state] = [each.subject for each in x509.load_pem_x509_certificates(text.encode())]
    roots = at(ROLES["pki"], "db1", Trust.OWN).roots
    own, common = (
        x509.load_pem_x509_certificate(ca_certificate(roots, authority=authority).encode()).subject
        for authority in (door, Authority.COMMON)
    )
    assert admitted == {Trust.FORMER: [own, common], Trust.BOTH: [own, common], Trust.OWN: [own]}


def test_key_pairs_are_as_before_in_the_first_pass() -> None:
    """An old door, which knows the common authority and the host's name, lets them in."""
    for name, host in (("etcd", "db1"), ("postgres", "db1"), ("pgbackrest", "db1"), ("haproxy", "edge1")):
        for pair in ROLES[name].certificates(at(ROLES[name], host, Trust.FORMER)):
            leaf = pair.leaf
            if leaf.subject in (REPLICATION, REWIND):  # PostgreSQL asks for the login's name, at no door
                continue
            assert (leaf.subject, leaf.authority, leaf.serves, leaf.enters) == (host, Authority.COMMON, True, True)
            assert host in leaf.names


def test_patroni_demands_certificates_once_every_proxy_has_one() -> None:
    """W1, W12: of reads too. In the first two passes a proxy may be from before, and its checks have none."""
    demanded = {}
    for state in Trust:
        files = {file.path: file.content for file in ROLES["postgres"].files(at(ROLES["postgres"], "db1", state))}
        (line,) = (line for line in files["/etc/patroni/config.yml"].splitlines() if "verify_client" in line)
        demanded[state] = line.split()[-1]
    assert demanded == {Trust.FORMER: "optional", Trust.BOTH: "optional", Trust.OWN: "required"}


def test_a_pooler_from_before_looks_passwords_up_in_the_first_pass() -> None:
    """W3: it has no certificate for that until its edge is converged, after the servers: nobody new could log in meanwhile."""
    asked = {}
    for state in Trust:
        files = {file.path: file.content for file in ROLES["postgres"].files(at(ROLES["postgres"], "db1", state))}
        (line,) = (line for line in files["/etc/patroni/config.yml"].splitlines() if "keel_pgbouncer" in line)
        asked[state] = "clientcert=verify-full" in line
    assert asked == {Trust.FORMER: False, Trust.BOTH: True, Trust.OWN: True}


def test_pgbackrest_knows_both_names_of_the_other_side_on_the_way() -> None:
    for state, names in ((Trust.FORMER, ["ops1.pgbackrest", "ops1"]), (Trust.OWN, ["ops1.pgbackrest"])):
        files = {file.path: file.content for file in ROLES["pgbackrest"].files(at(ROLES["pgbackrest"], "db1", state))}
        lines = files["/etc/pgbackrest/pgbackrest.conf"].splitlines()
        found = [line.split("=")[1] for line in lines if line.startswith("tls-server-auth")]
        assert found == names
