"""What a database host that is taken over can do to the backups of its own cluster: add to them (W5)."""

from __future__ import annotations

import shlex
from pathlib import PurePath

import pytest

from environment.manifest import Manifest
from keel_host.accounts import RECEIVER
from ops.hosts.session import Session
from roles import paths
from roles.pgbackrest.options import TLS

SUMS = "find {folder} -type f ! -name '*.pgbackrest.tmp' -print0 | xargs -0 sha256sum"
AS_RECEIVER = f"setpriv --reuid={RECEIVER} --regid=postgres --clear-groups sh -c"


def repository(manifest: Manifest) -> str:
    """Its folder on the backup host."""
    return f"{paths.REPOSITORY}/generation-{manifest.repository.generation}"


def sums(session: Session) -> dict[str, str]:
    """File → digest, of everything in the repository that is not still on its way."""
    session.run("ops1", paths.SEAL_ARCHIVE)
    said = session.run("ops1", SUMS.format(folder=repository(session.manifest)))
    return {path: digest for digest, path in (line.split(None, 1) for line in said.splitlines())}


@pytest.fixture
def segment(environment: Session) -> str:
    """A segment that is in the archive, by its path below the repository."""
    folder = repository(environment.manifest)
    found = (path for path in sorted(sums(environment)) if path.startswith(f"{folder}/archive/") and "/0000" in path)
    return next(found).removeprefix(f"{folder}/")


def test_a_database_host_destroys_nothing(environment: Session, segment: str) -> None:
    """W5: by pgBackRest's own commands, with its own key pair. It reads its stanza, and what it pushes arrives."""
    stanza = environment.manifest.stanza
    before = sums(environment)
    attempts = (
        f"repo-rm {segment}",
        f"repo-rm archive/{stanza}/archive.info",
        f"repo-rm --recurse archive/{stanza}",
        f"repo-rm --recurse backup/{stanza}",
        f"repo-rm backup/{stanza}/backup.info",
        "--repo1-retention-full=1 expire",
        "stop && pgbackrest --stanza={stanza} --force stanza-delete",
    )
    command = f"runuser -u postgres -- pgbackrest --stanza={stanza}"
    try:
        for attempt in attempts:
            tried = f"{command} {attempt}".replace("&& ", "&& runuser -u postgres -- ").format(stanza=stanza)
            said = environment.run("db1", f"({tried}) 2>&1 || true", 60)
            assert "ERROR" in said, (attempt, said)
    finally:
        environment.run("db1", f"{command} start")
    after = sums(environment)
    assert {path: after.get(path) for path in before} == before
    assert environment.run("db1", f"{command} repo-get {shlex.quote(segment)} | wc -c").strip() != "0"
    with environment.superuser() as superuser, superuser.connect("postgres") as connection:
        connection.execute("select pg_create_restore_point('w5')")
    environment.run("ops1", f"{command} check", 90)


def test_who_receives_wal_cannot_take_it_back(environment: Session, segment: str) -> None:
    """W5: whatever the server's process would do, were it taken over: the kernel refuses. It adds a file, and owns it for seconds."""
    at = f"{repository(environment.manifest)}/{segment}"
    folder = at.rpartition("/")[0]
    tries = (
        f"rm -f {at}",
        f"mv {at} {at}.away",
        f"echo junk > {at}",
        f"chmod 666 {at}",
        f"echo junk > {folder}/junk && mv -f {folder}/junk {at}",
        f"mv {folder} {folder}.away",
        f"rm -f {repository(environment.manifest)}/archive/{environment.manifest.stanza}/archive.info",
    )
    before = sums(environment)
    for each in tries:
        said = environment.run("ops1", f"{AS_RECEIVER} {shlex.quote(each)} 2>&1 && echo done || true")
        assert "denied" in said or "not permitted" in said, (each, said)
    after = sums(environment)
    assert {path: after.get(path) for path in before} == before
    assert environment.run("ops1", f"stat -c %U {folder}/junk && rm {folder}/junk").strip() == "postgres"


KEYS = ("/etc/pgbackrest/pgbackrest.conf", paths.SCRATCH_CONFIG, f"{TLS}/key.pem")
"""On the backup host: files with keys of the repositories, and the key with which it enters database hosts."""


def test_a_database_host_reads_no_key_of_the_backup_host(environment: Session) -> None:
    """W5: pgBackRest reads any folder that a client names as the repository; what is in its server's own configuration comes with every
    command, and is the first repository's key alone."""
    ask = f"runuser -u postgres -- pgbackrest --stanza={environment.manifest.stanza}"
    for path in map(PurePath, KEYS):
        assert environment.run("ops1", f"test -s {path} && echo there").strip() == "there", (
            f"{path}: nothing to be read"
        )
        said = environment.run("db1", f"{ask} --repo1-path={path.parent} repo-get --raw {path.name} 2>&1 || true")
        assert "ERROR" in said, (path, said)
    for config in ("/etc/pgbackrest/pgbackrest.conf", paths.SCRATCH_CONFIG):
        said = environment.run("db1", f"{ask} --repo1-host-config={config} {paths.INFO}")
        assert "unable to open" in said, (config, said)
    other = PurePath("/etc/pgbackrest/server.conf")
    said = environment.run("db1", f"{ask} --repo1-path={other.parent} repo-get --raw {other.name}")
    assert said.count("cipher-pass=") == 1 and "s3-" not in said, "what its own configuration says"
