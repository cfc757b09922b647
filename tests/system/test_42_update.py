"""Newer packages come to every host while a client writes: one host at a time, and no client meets an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import product

from environment.types import Group
from environment.waiting import until
from keel_host.programs.hold_writes import LIMIT
from ops.cluster.patroni import members
from ops.hosts.session import Session
from roles.postgres.role import DROPIN
from tests.system.environments import COMMAND, Ephemeral
from tests.system.majority import Majority
from tests.system.services import happened, moments
from tests.system.test_36_failover import await_whole
from tests.system.writer import Writer, forget_writes, written

WRITERS = tuple(product((False, True), repeat=2))
"""Those that keep their connection and those that make one anew, with TLS and plain."""
SUFFIX = "+keel1"
SOURCE = "/etc/apt/sources.list.d/keel-test.list"
REPOSITORY = "/var/cache/keel-test"
MAKE = f"""\
set -e
rm -rf {REPOSITORY}; mkdir -p {REPOSITORY}
for package in $PACKAGES; do
  tree=$(mktemp -d)
  dpkg -L $package | while read -r path; do
    if [ -d "$path" ] && [ ! -L "$path" ]; then continue; fi
    mkdir -p "$tree${{path%/*}}"; cp -a "$path" "$tree$path"
  done
  mkdir -p $tree/DEBIAN; chmod 755 $tree $tree/DEBIAN
  for kind in preinst postinst prerm postrm conffiles triggers; do
    [ ! -e /var/lib/dpkg/info/$package.$kind ] || cp -p /var/lib/dpkg/info/$package.$kind $tree/DEBIAN/$kind
  done
  fields='Package: ${{Package}}\\nVersion: ${{Version}}{SUFFIX}\\nArchitecture: ${{Architecture}}\\nDepends: ${{Depends}}\\n'
  dpkg-query -W -f "$fields" $package | grep -v ' $' > $tree/DEBIAN/control
  printf 'Maintainer: Keel <keel@test.example>\\nDescription: the installed version again\\n' >> $tree/DEBIAN/control
  dpkg-deb -Znone -b $tree {REPOSITORY}/$package.deb
  rm -rf $tree
done
cd {REPOSITORY}
for file in *.deb; do
  dpkg-deb -f $file
  printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' $file $(stat -c %s $file) $(sha256sum $file | cut -d' ' -f1)
done > Packages
echo 'deb [trusted=yes] file:{REPOSITORY} ./' > {SOURCE}
mkdir -p /etc/apt/keel-test; mv /etc/apt/sources.list.d/*.sources /etc/apt/keel-test/ 2>/dev/null || true
"""
"""Shell that makes a repository on the host, of the only source that it then has: what is installed, as a newer version."""
UNMAKE = f"rm -rf {REPOSITORY} {SOURCE}; mv /etc/apt/keel-test/* /etc/apt/sources.list.d/; rmdir /etc/apt/keel-test"
NEWER = {
    Group.POSTGRES: ("postgresql-{postgres}", "patroni"),
    Group.ETCD: ("etcd-server",),
    Group.EDGE: ("haproxy", "pgbouncer"),
    Group.BACKUP: ("pgbackrest",),
}


@contextmanager
def newer_packages(session: Session) -> Iterator[None]:
    """Every host has newer versions of what it carries within reach, and no others."""
    hosts = session.manifest.hosts
    postgres = session.manifest.release.postgres

    def make(number: int) -> None:
        host = hosts[number]
        names = [name.format(postgres=postgres) for group in host.groups for name in NEWER.get(group, ())]
        session.run(host.name, f"PACKAGES='{' '.join(names)}'\n{MAKE}", timeout=COMMAND)

    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(make, range(len(hosts))))
    try:
        yield
    finally:
        for host in hosts:
            session.run(host.name, UNMAKE)


def poolers(session: Session) -> list[str]:
    """The PgBouncers that run on the edge."""
    return session.run("edge1", "pgrep -x pgbouncer || true").split()


def patient(session: Session, *, anew: bool, plain: bool = False) -> Writer:
    """One that is almost always within a transaction, and waits for a connection longer than a hold lasts, as a product has to."""
    return Writer(session.manifest, session.roots, 0.005, anew=anew, plain=plain, patience=int(LIMIT) + 5)


def test_no_client_notices_an_update(twin: Ephemeral) -> None:
    """JEEX-31, JEEX-32: replicas, the primary after a switchover, then the edge. Each service whose package is newer restarts, and
    no other; etcd keeps its majority; the pooler of before serves the clients that it has, and a switchover holds them too;
    afterwards there is no drift, and nothing is left to update."""
    with twin.session() as session:
        await_whole(session)
        with newer_packages(session):
            leader = session.leader().name
            shown = twin.keel("update", "--dry").stdout
            assert [line.split(":")[0] for line in shown.splitlines() if "primary moves" in line] == [leader]
            before = moments(session)
            writers = [patient(session, anew=anew, plain=plain) for anew, plain in WRITERS]
            with ExitStack() as stack:
                majority = stack.enter_context(Majority(session))
                for writer in writers:
                    stack.enter_context(writer).await_rows(20)
                twin.keel("update", "--yes")
                assert len(poolers(session)) == 2, "one serves, one leaves"
                pools = json.loads(twin.keel("status", "--json", check=False).stdout)["pools"]
                assert {pool["leaving"] for pool in pools} == {False, True}
                twin.keel("switchover", "--to", leader, "--yes")
                now = datetime.now(UTC)
                for writer in writers:
                    writer.await_rows(20, since=now)
            assert [error for writer in writers for error in writer.errors] == []
            assert max(writer.longest_pause() for writer in writers) < LIMIT
            assert majority.lost == []
            lost = {email for writer in writers for email in writer.acknowledged} - written(session)
            forget_writes(session)
            assert lost == set()
            assert session.leader().name == leader
            until(lambda: len(poolers(session)) == 1, 60, "the pooler of before to end with its last client")
            restarted = {who for who, does in happened(before, moments(session)).items() if does == "restarts"}
            databases, stores = session.manifest.carrying(Group.POSTGRES), session.manifest.carrying(Group.ETCD)
            assert restarted == {
                *((host.name, "PostgreSQL") for host in databases),
                # It is a program in Python, and Patroni's package brings modules.
                *((host.name, "who leaves a processor to others") for host in databases),
                *((host.name, "etcd") for host in stores),
                ("edge1", "HAProxy"),
                ("edge1", "PgBouncer"),
                ("ops1", "pgBackRest's server"),
            }
            await_whole(session)  # the primary of before begins as a replica
            assert "nothing is newer" in twin.keel("update", "--yes").stdout
        twin.keel("drift")
        twin.keel("verify")


def timeline(session: Session) -> int:
    """The primary's: each promotion begins a new one."""
    return next(member.timeline for member in members(session) if member.leads and member.timeline)


def test_what_restarts_every_member_moves_the_primary_once(twin: Ephemeral) -> None:
    """PLAT-37, JEEX-32: the unit of both members has to restart: the replica does first, whichever it is, and clients are held once."""
    with twin.session() as session:
        writers = [patient(session, anew=anew) for anew in (False, True)]
        with ExitStack() as stack:
            for writer in writers:
                stack.enter_context(writer).await_rows(20)
            for _ in range(2):
                await_whole(session)
                leader, before = session.leader().name, timeline(session)
                for host in session.manifest.carrying(Group.POSTGRES):
                    session.run(host.name, f"echo '# by hand' >> {DROPIN}")
                twin.keel("converge")
                assert (session.leader().name != leader, timeline(session)) == (True, before + 1)
            now = datetime.now(UTC)
            for writer in writers:
                writer.await_rows(20, since=now)
        assert [error for writer in writers for error in writer.errors] == []
        assert max(writer.longest_pause() for writer in writers) < LIMIT
        lost = {email for writer in writers for email in writer.acknowledged} - written(session)
        forget_writes(session)
        assert lost == set()
