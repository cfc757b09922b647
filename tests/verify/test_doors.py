"""Doors: each key pair opens the door that it was made for, for the account that it belongs to, and no other (W1, W5, W12)."""

from __future__ import annotations

import json
import shlex

from environment.manifest import HostEntry, Manifest
from keel_host.pgbackrest import FIRST
from ops.attack.knocking import NO_ONE, Answer, Door, Who, doors, knocks, opened, own_door, pairs, unsigned
from roles import paths
from roles.postgres.patroni import CURL, url
from tests.verify import expect
from tests.verify.look import Look

PRIVATE = "for key in {keys}; do runuser -u {account} -- test -r $key/key.pem && echo {account} reads $key; done; true"


def heard(look: Look, host: HostEntry, tried: list[Door], as_who: list[Who]) -> list[list[Answer]]:
    """What these doors answer on ``host`` to each account and its key pair."""
    found = opened(look.shell(host, knocks(tried, as_who)))
    assert len(found) == len(as_who), f"{host.name}: {len(found)} of {len(as_who)} knocked"
    return found


def test_a_key_pair_opens_its_own_door(host: HostEntry, look: Look, manifest: Manifest) -> None:
    """W1, W5, X-23: as the account that owns it, each key pair of the host is tried at every door that asks only who signed."""
    tried, problems = doors(manifest), []
    declared = pairs(manifest, host, look.session.roots).values()
    own = [own_door(list(tried), pair) for pair in declared]
    as_who = [(pair.owner, pair.directory, door) for pair, door in zip(declared, own, strict=True)]
    for (owner, folder, its_own), found in zip(as_who, heard(look, host, list(tried.values()), as_who), strict=True):
        for number, (door, answer) in enumerate(zip(tried, found, strict=True)):
            if answer.opens is not (number == its_own):
                does = "enters" if answer.opens else "is refused at"
                problems.append(f"{host.name}: {owner} {does} {door} with {folder}: {answer.said}")
    expect.nothing(problems)


def test_without_a_certificate_no_door_opens(host: HostEntry, look: Look, manifest: Manifest) -> None:
    """W12, X-23: not even for reading. pgBackRest's server greets everybody and hears no one without a name that it knows."""
    tried = unsigned(manifest)
    (found,) = heard(look, host, list(tried.values()), [(NO_ONE, "", -1)])
    expect.nothing(
        f"{host.name}: {door} is open: {answer.said}" for door, answer in zip(tried, found, strict=True) if answer.opens
    )


def test_a_key_is_its_accounts_own(host: HostEntry, look: Look, manifest: Manifest) -> None:
    """W1, PLAT-49: no account of the host reads the key of another."""
    declared = list(pairs(manifest, host, look.session.roots).values())
    keys = " ".join(pair.directory for pair in declared)
    accounts = sorted({pair.owner for pair in declared} | {NO_ONE})
    said = look.shell(host, "; ".join(PRIVATE.format(keys=keys, account=account) for account in accounts))
    expect.exactly(said.splitlines(), [f"{p.owner} reads {p.directory}" for p in declared], f"{host.name}: key")


def test_a_certificate_gives_patroni_no_order(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """W1: a proxy's certificate opens the same door to read. An order needs the password too, which only root and Patroni have."""
    order = f"-X PATCH -d '{{\"ttl\": {manifest.patroni.ttl}}}' -o /dev/null -w '%{{http_code}}' {url(manifest, server.name, '/config')}"
    curl = CURL.replace("/etc/patroni/api.netrc", "/dev/null")
    found = {"without": look.shell(server, f"{curl} {order}"), "with": look.shell(server, f"{CURL} {order}")}
    expect.same(found, {"without": "401", "with": "200"}, f"{server.name}: order with a certificate, password")


def test_orders_to_patroni_are_in_its_log(server: HostEntry, look: Look, manifest: Manifest) -> None:
    """W12: with the address and the certificate that they came from; this one changes nothing."""
    order = f"-X PATCH -d '{{\"ttl\": {manifest.patroni.ttl}}}' {url(manifest, server.name, '/config')}"
    look.shell(server, f"{CURL} -f {order} >/dev/null")
    said = f"order from {server.address} ({server.name}.patroni): .*PATCH /config .* 200"
    wait = f"for i in $(seq 200); do journalctl -u patroni.service --since -60s -o cat | grep -q {shlex.quote(said)} && exit 0; sleep 0.1; done; exit 1"
    look.shell(server, wait)


def test_pgbackrest_serves_its_own_stanza(archiving: HostEntry, look: Look, manifest: Manifest) -> None:
    """W5, JEEX-30: a database host reaches its own cluster's backups on the backup host, and no other cluster's."""
    own = json.loads(look.shell(archiving, paths.pgbackrest(manifest, f"--repo={FIRST} {paths.INFO}")))
    assert own[0]["status"]["code"] == 0, f"{archiving.name}: {own[0]['status']}"
    other = f"runuser -u postgres -- pgbackrest --stanza={manifest.stanza}-other --io-timeout=10 repo-ls backup 2>&1 || true"
    said = look.shell(archiving, other)
    assert "access denied" in said, f"{archiving.name} asks for another cluster's backups: {said}"
