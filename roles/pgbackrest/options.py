"""pgBackRest's options for each repository, on the host that holds them and on those that reach them through it."""

from __future__ import annotations

from environment.pki import Authority
from environment.repositories import Place, Repository, repositories
from environment.types import Group
from keel_host.pgbackrest import FIRST
from roles import paths
from roles.kit.declare import Target

TLS = f"{paths.TLS}/pgbackrest-to-{Authority.PGBACKREST}"
"""With which a host enters the other's."""
AUTHORITY = "/etc/pgbackrest/second-ca.crt"
"""Who signed the certificate of the second repository's store, where the system does not know it."""
READING = ("restore", "archive-get", "info", "verify", "repo-ls", "repo-get")
WRITING = ("backup", "expire", "stanza-create", "stanza-upgrade", "stanza-delete")
KEEPING = {
    "bundle": ("backup",), "block": ("backup",), "retention-full": ("backup", "expire"), "retention-full-type": ("backup", "expire"),
}  # fmt: skip
"""Which commands take which of the options by which backups are kept; the others would warn of them."""
Options = dict[str, object]


def keeps(target: Target) -> bool:
    """True on the host that holds the repositories."""
    return target.host.carries(Group.BACKUP)


def sections(target: Target) -> dict[str, Options]:
    """Section of pgBackRest's configuration → option → value, for every repository.

    The first is in `global`: database hosts archive to it alone. Others are in the sections of single commands: of those that
    read, and on the backup host of those that write what is still written.
    """
    sections: dict[str, Options] = {"global": {}}
    for repository in repositories(target.manifest.repository):
        there, how = reached(target, repository), kept(target, repository)
        if repository.number == FIRST:
            sections["global"] |= there | how
            continue
        for command in (*READING, *(WRITING if how else ())):
            more = {name: value for name, value in how.items() if command in KEEPING.get(name.partition("-")[2], ())}
            sections.setdefault(f"global:{command}", {}).update(there | more)
    return sections


def reached(target: Target, repository: Repository, number: int | None = None) -> Options:
    """The options by which a host reaches a repository (under another ``number``): its store and key on the backup host,
    that host elsewhere. Keys are on the backup host alone; database hosts receive them for as long as a command runs, those
    of a store elsewhere only while the cluster is made or restored."""
    manifest = target.manifest
    if not keeps(target):
        options: Options = {
            "host": manifest.repository_host.name, "host-type": "tls", "host-port": manifest.ports.pgbackrest,
            "host-ca-file": paths.CA, "host-cert-file": f"{TLS}/cert.pem", "host-key-file": f"{TLS}/key.pem",
            **({"host-config": paths.SERVED_CONFIG} if repository.place is Place.S3 else {}),
        }  # fmt: skip
    elif repository.place is Place.VOLUME:
        options = {"path": folder(repository), **_cipher(target.roots.cipher(repository.generation))}
    else:
        options = _store(target, repository)
    return {f"repo{number or repository.number}-{name}": value for name, value in options.items()}


def _store(target: Target, repository: Repository) -> Options:
    """A repository in S3."""
    second = target.manifest.repository.second
    assert second  # noqa: S101 - there is no such repository without it
    authority = {"storage-ca-file": AUTHORITY} if second.ca else {}
    return {
        "type": "s3", "s3-endpoint": second.endpoint, "storage-port": second.port, **authority,
        "s3-bucket": second.bucket, "s3-region": second.region, "s3-uri-style": second.uri_style,
        "s3-key": target.roots.s3_key, "s3-key-secret": target.roots.s3_secret,
        "path": f"{second.path.rstrip('/')}/generation-{repository.generation}",
        **_cipher(target.roots.cipher(repository.generation, "second-repository")),
    }  # fmt: skip


def kept(target: Target, repository: Repository) -> Options:
    """The options by which backups are kept in a repository, on the host that makes them."""
    if not (keeps(target) and repository.written):
        return {}
    settings, second = target.manifest.repository, target.manifest.repository.second
    days = second.retention_days if second and repository.place is Place.S3 else settings.retention_days
    options = {"bundle": "y", "block": "y", "retention-full-type": "time", "retention-full": days}
    return {f"repo{repository.number}-{name}": value for name, value in options.items()}


def _cipher(passphrase: str) -> Options:
    return {"cipher-type": "aes-256-cbc", "cipher-pass": passphrase}


def folder(repository: Repository) -> str:
    return f"{paths.REPOSITORY}/generation-{repository.generation}"
