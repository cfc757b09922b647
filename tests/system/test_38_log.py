"""The server's log: who may read it, and what is not in it."""

from __future__ import annotations

import secrets
from subprocess import CalledProcessError

import psycopg
import pytest

from environment.types import Group
from environment.urls import product_urls
from ops.hosts.session import Session

LOGS = "/var/log/postgresql"


def lines(session: Session, host: str, text: str) -> int:
    """How many lines of the logs of a host have a text."""
    return int(session.run(host, f"cat {LOGS}/* | grep -acF '{text}' || true"))


def test_no_verifier_is_in_it(environment: Session) -> None:
    """PLAT-11, W7: not after an up, which gave every role its password, and not in what was rotated away."""
    for host in environment.manifest.carrying(Group.POSTGRES):
        assert lines(environment, host.name, "LOG:") > 0
        assert lines(environment, host.name, "SCRAM-SHA-256$") == 0, host.name


def test_no_bound_value_is_in_it(environment: Session) -> None:
    """X-42, W7: not of a slow statement, not of one that changes something, not of one that fails over a row."""
    manifest, leader = environment.manifest, environment.leader().name
    product = manifest.products["jeex_idea"].product
    url = product_urls(manifest, environment.roots, product)["migration"]
    planted, mark = f"{secrets.token_hex(6)}@planted.example", f"planted_{secrets.token_hex(4)}"
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(f"set role {product.owner_role}")
        connection.execute(f"create table {mark} (email text primary key)")
        connection.execute(f"insert into {mark} values (%s)", [planted])
        connection.execute(f"select pg_sleep(1.1), %s::text as {mark}", [planted])
        with pytest.raises(psycopg.errors.UniqueViolation, match=planted):
            connection.execute(f"insert into {mark} values (%s)", [planted])
    assert lines(environment, leader, mark) >= 4, "the statements are not logged"
    assert lines(environment, leader, planted) == 0


def test_others_do_not_enter_its_directory(environment: Session) -> None:
    """W7: another service's account does not, whatever the mode of the files."""
    leader = environment.leader().name
    environment.run(leader, f"runuser -u postgres -- sh -c 'cat {LOGS}/*' > /dev/null")
    with pytest.raises(CalledProcessError) as refused:
        environment.run(leader, f"runuser -u etcd -- ls {LOGS}")
    assert "Permission denied" in str(refused.value.stderr)


def test_old_files_go_and_young_ones_stay(environment: Session) -> None:
    """PLAT-43: by what systemd does every day; also what an earlier logrotate left."""
    leader, days = environment.leader().name, environment.manifest.postgres.log_retention_days
    old, young = f"{LOGS}/postgresql-2026-01-01_000000.log", f"{LOGS}/postgresql-2026-01-02_000000.log.1.gz"
    environment.run(leader, f"touch -d '{days + 1} days ago' {old} {old}.1.gz; touch -d '{days - 1} days ago' {young}")
    environment.run(leader, "systemctl start systemd-tmpfiles-clean.service")
    left = environment.run(leader, f"ls {LOGS}/*; rm -f {young}").split()
    assert young in left and not {old, f"{old}.1.gz"} & set(left)
