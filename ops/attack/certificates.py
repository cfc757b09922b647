"""W1, W5, W12: a key pair opens the door that it was made for, and an order to Patroni is written down."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from environment.manifest import HostEntry
from environment.types import Group
from keel_host.accounts import POSTGRES, RECEIVER
from ops.attack.attacker import Attacker
from ops.attack.attempts import Tried, attempt, must_work
from ops.attack.knocking import NO_ONE, doors, knocks, opened, own_door, pairs, unsigned
from roles import paths
from roles.postgres.patroni import CURL, NETRC, url

READABLE = f"for folder in {paths.TLS}/*; do ! [ -r $folder/key.pem ] || echo $folder; done"


def _accounts(attacker: Attacker, host: HostEntry) -> list[str]:
    """Those that own a key on the host, and one that owns nothing."""
    owners = {pair.owner for pair in pairs(attacker.manifest, host, attacker.session.roots).values()}
    return sorted({*owners, NO_ONE})


def _keys(attacker: Attacker, host: HostEntry, account: str) -> list[str]:
    """The folders of key pairs that an account can use."""
    return attacker.shell(host.name, READABLE, account).text.split()


@attempt("W1")
def keys_at_doors(attacker: Attacker) -> Iterator[Tried]:
    """Of the key pairs that an account reads, each opens its own door: none of another service commands Patroni, etcd or pgBackRest."""
    tried = doors(attacker.manifest)
    for host in attacker.manifest.hosts:
        declared = pairs(attacker.manifest, host, attacker.session.roots)
        as_who = [
            (account, folder, own_door(list(tried), pair) if pair and pair.owner == account else -1)
            for account in _accounts(attacker, host)
            for folder in _keys(attacker, host, account)
            for pair in (declared.get(folder),)
        ]
        answer = attacker.shell(host.name, knocks(list(tried.values()), as_who))
        for (account, folder, own), found in zip(as_who, opened(answer.text), strict=True):
            for number, (door, heard) in enumerate(zip(tried, found, strict=True)):
                subject = f"{account} of {host.name} with {folder} at {door}"
                if number == own:
                    yield from must_work(subject, heard.opens, heard.said)
                else:
                    yield Tried(subject, heard.opens, heard.said)


@attempt("W12")
def no_key_at_doors(attacker: Attacker) -> Iterator[Tried]:
    """Who has no certificate of the door is not heard there, not even to read."""
    tried = unsigned(attacker.manifest)
    for host in attacker.manifest.hosts:
        (found,) = opened(attacker.shell(host.name, knocks(list(tried.values()), [(NO_ONE, "", -1)])).text)
        for door, heard in zip(tried, found, strict=True):
            yield Tried(f"{NO_ONE} of {host.name} at {door}", heard.opens, heard.said)


@attempt("W12")
def orders_to_patroni(attacker: Attacker) -> Iterator[Tried]:
    """A certificate alone gives Patroni no order, and an order leaves a line with its address and certificate."""
    manifest = attacker.manifest
    same = f"-X PATCH -d '{{\"ttl\": {manifest.patroni.ttl}}}' -o /dev/null -w '%{{http_code}}'"
    for host in attacker.carrying(Group.POSTGRES):
        order = f"{same} {url(manifest, host.name, '/config')}"
        answer = attacker.shell(host.name, f"{CURL.replace(NETRC, '/dev/null')} {order}")
        yield Tried(f"an order to {host.name} with a certificate alone", answer.last == "200", answer.last)
        answer = attacker.shell(host.name, f"{CURL} {order}")
        yield from must_work(f"an order to {host.name} with certificate and password", answer.last == "200")
        line = shlex.quote(f"order from {host.address} ({host.name}.patroni): .*PATCH /config .* 200")
        seen = f"for i in $(seq 150); do journalctl -u patroni.service --since -60s -o cat | grep -q {line} && exit; sleep 0.1; done; exit 1"
        yield Tried(f"an order to {host.name} leaves no line", attacker.shell(host.name, seen).status != 0)


@attempt("W5")
def reads_backups(attacker: Attacker) -> Iterator[Tried]:
    """No account but pgBackRest's own reads a backup: not with its key over the network, and not the files."""
    manifest = attacker.manifest
    repository = manifest.repository_host
    for host in manifest.hosts:
        for account in _accounts(attacker, host):
            if account in (POSTGRES, RECEIVER):
                continue
            if host == repository:
                answer = attacker.shell(host.name, f"find {paths.REPOSITORY} -name 'backup.info*' -readable", account)
                yield Tried(f"{account} of {host.name} reads its files", "backup.info" in answer.text, answer.last)
            elif host.carries(Group.POSTGRES):
                for folder in _keys(attacker, host, account):
                    answer = attacker.shell(host.name, _lists(attacker, folder), account)
                    yield Tried(f"{account} of {host.name} with {folder}", "backup.info" in answer.text, answer.last)


def _lists(attacker: Attacker, folder: str) -> str:
    """Shell that asks the backup host for a list of backups with a key pair."""
    manifest = attacker.manifest
    return (
        f"pgbackrest --config=/dev/null --log-level-file=off --lock-path=/tmp/keel-attack-$(id -u) --stanza={manifest.stanza} "
        f"--repo1-host={manifest.repository_host.name} --repo1-host-type=tls --repo1-host-port={manifest.ports.pgbackrest} "
        f"--repo1-host-ca-file={paths.CA} --repo1-host-cert-file={folder}/cert.pem --repo1-host-key-file={folder}/key.pem "
        f"repo-ls backup/{manifest.stanza}"
    )
