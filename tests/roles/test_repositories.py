"""Several repositories in pgBackRest's files: which are written, who knows their keys, what asks which."""

from __future__ import annotations

from configparser import ConfigParser
from typing import Any

import pytest

from environment.derive import Roots
from environment.pki import ca_certificate
from environment.repositories import repositories, written
from environment.settings import Repository, SecondRepository
from environment.types import Group
from keel_host import pgbackrest
from roles.jobs.role import _is_away
from tests.roles.targets import files, manifest_of

SECOND = SecondRepository(endpoint="s3.example.com", bucket="backups", path="/keel", retention_days=90)
BOTH = Repository(second=SECOND)
CONFIG = "/etc/pgbackrest/pgbackrest.conf"
KEYS = {"repo2-s3-key": "the access key of the tests", "repo2-s3-key-secret": "the secret key of the tests"}


def configured(path: str = CONFIG, host: str | None = None, hosts: Any = None, **settings: Any) -> ConfigParser:
    """A file of pgBackRest as it reads it, on the backup host or on ``host``, of dev's hosts or of ``hosts``."""
    given: dict[str, Any] = {"repository": Repository(**settings)} if settings else {}
    given |= {"hosts": hosts} if hosts else {}
    parser = ConfigParser(delimiters="=", interpolation=None, strict=False)
    parser.read_string(files("pgbackrest", "dev", host or "ops1", **given)[path].content)
    return parser


def options(parser: ConfigParser, section: str, number: int) -> dict[str, str]:
    """What a section says of one repository."""
    there = parser[section] if parser.has_section(section) else {}
    return {name: value for name, value in there.items() if name.startswith(f"repo{number}-")}


def test_the_order_is_nearest_first_then_the_key_before() -> None:
    """The numbers are the same on every host and for every command."""
    found = [
        (each.number, each.place.value, each.generation)
        for each in repositories(Repository(generation=3, second=SECOND))
    ]
    assert found == [(1, "backup volume", 3), (2, "S3", 3), (3, "backup volume", 2), (4, "S3", 2)]
    assert [each.number for each in written(BOTH)] == [1, 2]
    assert [each.title for each in repositories(Repository(generation=2))] == [
        "1 (backup volume)",
        "2 (backup volume, key 1)",
    ]


def test_the_second_repository_is_written_by_backups_and_not_by_the_archiver() -> None:
    """PLAT-31: a database host archives to the first alone, so that the second can hold nothing up."""
    for host in ("db1", "ops1"):
        parser = configured(host=host, second=SECOND)
        assert options(parser, "global", 1) and not options(parser, "global", 2)
        assert not parser.has_section("global:archive-push")
        assert options(parser, "global:restore", 2) and options(parser, "global:archive-get", 2)
    backup = options(configured(second=SECOND), "global:backup", 2)
    assert backup["repo2-type"] == "s3" and backup["repo2-path"] == "/keel/generation-1"
    assert backup["repo2-retention-full"] == "90" and backup["repo2-bundle"] == "y"
    assert KEYS.items() <= backup.items()


def test_its_keys_are_on_the_backup_host_alone() -> None:
    """JEEX-30, W5: and in files that the server's user alone reads."""
    for host in ("db1", "db2", "ops1"):
        for path, file in files("pgbackrest", "dev", host, repository=BOTH).items():
            if any(key in file.content for key in KEYS.values()):
                assert (host, file.owner, file.mode) == ("ops1", "postgres", "600"), path


def test_the_server_that_database_hosts_come_to_knows_the_volume_alone() -> None:
    """W5: the keys of a store elsewhere are in no file that its account reads; a host that asks for that store names a file which is
    there only while a cluster is made or restored."""
    parser = configured("/etc/pgbackrest/server.conf", generation=2, second=SECOND)
    assert [bool(options(parser, "global", number)) for number in (1, 2, 3, 4)] == [True, False, True, False]
    assert parser.sections() == ["global", "dev"] and not parser["dev"]
    unit = files("pgbackrest", host="ops1")["/etc/systemd/system/keel-pgbackrest.service"].content
    assert "Environment=PGBACKREST_CONFIG=/etc/pgbackrest/server.conf" in unit
    asked = configured(host="db1", generation=2, second=SECOND)["global:restore"]
    named = {name: value for name, value in asked.items() if name.endswith("host-config")}
    assert named == dict.fromkeys(("repo2-host-config", "repo4-host-config"), "/run/keel-served.conf")
    assert not [host for host in ("db1", "db2") if "/etc/pgbackrest/server.conf" in files("pgbackrest", host=host)]


def test_each_repository_has_a_key_of_its_own() -> None:
    """A different context than the first one's, and another for each generation."""
    parser = configured(generation=2, second=SECOND)
    ciphers = [
        parser["global"]["repo1-cipher-pass"],
        *(parser["global:restore"][f"repo{n}-cipher-pass"] for n in (2, 3, 4)),
    ]
    assert len(set(ciphers)) == 4


@pytest.mark.parametrize(("keeper", "other"), [("db1", "db2"), ("db2", "db1")])
def test_a_backup_host_with_a_server_of_its_own_names_it_first(keeper: str, other: str) -> None:
    """pgBackRest takes the first one for the local one."""
    hosts = []
    for host in manifest_of("dev").hosts:
        groups = [group for group in host.groups if group is not Group.BACKUP]
        hosts.append(host.model_copy(update={"groups": (*groups, *([Group.BACKUP] if host.name == keeper else ()))}))
    servers = configured(host=keeper, hosts=tuple(hosts))["dev"]
    assert "pg1-host" not in servers and servers["pg2-host"] == other and "pg3-path" not in servers


@pytest.mark.parametrize("command", ["backup", "expire", "stanza-create"])
def test_the_key_before_is_never_written(command: str) -> None:
    parser = configured(generation=2, second=SECOND)
    assert options(parser, f"global:{command}", 2)
    assert not options(parser, f"global:{command}", 3) and not options(parser, f"global:{command}", 4)
    assert options(parser, "global:restore", 3)["repo3-path"] == "/var/lib/pgbackrest/generation-1"


def test_a_server_beside_the_cluster_reads_them_all() -> None:
    parser = configured("/etc/pgbackrest/scratch.conf", generation=2, second=SECOND)
    assert [bool(options(parser, "global", number)) for number in (1, 2, 3, 4, 5)] == [True, True, True, True, False]


def test_what_copies_the_archive_knows_the_second_alone() -> None:
    parser = configured("/etc/pgbackrest/second.conf", second=SECOND)
    assert parser["global"]["repo1-type"] == "s3" and not options(parser, "global", 2)
    assert parser["global"]["repo1-cipher-pass"] == configured(second=SECOND)["global:backup"]["repo2-cipher-pass"]


def test_a_private_authority_is_a_file() -> None:
    text = ca_certificate(Roots("elsewhere", *("a root of the tests, long enough",) * 3))
    settings = Repository(second=SECOND.model_copy(update={"ca": text}))
    found = files("pgbackrest", "dev", "ops1", repository=settings)
    assert found["/etc/pgbackrest/second-ca.crt"].content == text
    assert "repo2-storage-ca-file=/etc/pgbackrest/second-ca.crt" in found[CONFIG].content
    assert "storage-ca-file" not in configured(second=SECOND)["global:backup"]


def test_without_a_second_repository_nothing_copies() -> None:
    assert not [path for path in files("pgbackrest", "dev", "ops1") if "copy-archive" in path or "second" in path]


def test_every_backup_is_made_in_both_in_sequence() -> None:
    """PLAT-31, PLAT-45, ADA-23: whatever becomes of the first one, the second follows, and nothing waits for it."""
    crontab = files("jobs", repository=BOTH)["/etc/cron.d/keel"].content
    job = "/usr/local/lib/keel/job"
    assert f"0 2 * * * root {job} full; {job} dumps; {job} known; {job} full-second\n" in crontab
    assert f"root {job} incremental; {job} incremental-second\n" in crontab
    assert "second" not in files("jobs")["/etc/cron.d/keel"].content


def test_a_second_repository_that_is_away_keeps_no_update_from_its_end() -> None:
    """PLAT-31: the first is asked to answer, by an error where it does not."""
    first, second = written(BOTH)
    away, empty = (
        pgbackrest.stanza({"name": "dev", "status": status, "repo": [{"key": 2, "status": status}]})
        for status in ({"code": 99, "message": "connection refused"}, {"code": 1, "message": "missing stanza path"})
    )
    assert _is_away(second, away) and not _is_away(first, away)
    assert not _is_away(second, None) and not _is_away(second, empty)


def test_a_replica_asks_the_nearest_repository_only() -> None:
    """A store that hangs must not hold a promotion up."""
    assert (
        "restore_command: /usr/local/lib/keel/fetch-wal near %f" in files("postgres")["/etc/patroni/config.yml"].content
    )
