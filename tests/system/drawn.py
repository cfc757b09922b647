"""Changes that somebody could make by hand, drawn from what is there: files that Docker saw come, units that start by themselves,
the server's own lists of settings, roles, tables and rights, Patroni's own schema. Nothing is taken from Keel's model or its checks."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from random import Random

import yaml

from environment.types import Group
from ops.hosts.commands import CommandFailed
from ops.hosts.docker import docker
from ops.hosts.session import Session
from tests.system.environments import Ephemeral

KINDS = yaml.safe_load(Path(__file__).with_name("drawn_changes.yaml").read_text())
FOLDERS = ("/etc/", "/usr/local/", "/root/")
MACHINE = (
    *("/etc/mtab", "/etc/ld.so.cache", "/etc/.updated", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"),
    # Without these no check reaches the host: it is told as unreachable (tests/system/test_15_cli.py).
    *("/root/.ssh/", "/etc/ssh/ssh_host"),
)
"""What the system writes for itself, and the way in."""
FILE, FOLDER, LINK = "regular file", "directory", "symbolic link"
DROPIN = "d=/etc/systemd/system/{unit}.d; mkdir -p $d && printf '[Unit]\\nDescription=by hand\\n' > $d/drawn.conf && systemctl daemon-reload"
HOST_KINDS = {
    # Behind the last line of a key any text may stand.
    "content of a file": (FILE, r"(?<![.]pem)$", "echo '# by hand' >> {path}"),
    "content of a key pair": (FILE, r"[.]pem$", "truncate -s 40 {path}"),
    "mode of a file": (FILE, "", "chmod g+w {path}"),
    "owner of a file": (FILE, "", "chown nobody {path}"),
    "a file that is gone": (FILE, "", "rm {path}"),
    "mode of a folder": (FOLDER, "(?<![.]wants)$", "chmod o+w {path}"),
    "a link that is gone": (LINK, "^/etc/keel/", "rm {path}"),
    "a unit that does not start": (LINK, "[.]wants/", "systemctl disable --quiet {unit}"),
    "a masked unit": (LINK, "[.]wants/", "systemctl mask --quiet {unit}"),
    "one more drop-in": (LINK, "[.]wants/", DROPIN),
    # What the death of the others does is in test_36_failover.py.
    "a stopped unit": (LINK, "[.]wants/(?!patroni|etcd)", "systemctl stop {unit}"),
    "one more file that a service reads": (
        FILE,
        "/(sshd_config|journald.conf|conf)[.]d/",
        "cp {path} $(dirname {path})/drawn.conf",
    ),
    "a rule of the firewall": (FILE, "/firewall[.]nft$", "nft insert rule inet keel input accept"),
}
"""Kind → the kind of file, a pattern of its path, and the command."""
STRANGERS = {
    "a cron job": ("/etc/cron.d/drawn", "echo '* * * * * root true' > /etc/cron.d/drawn"),
    "an account's crontab": ("/var/spool/cron/crontabs/root", "echo '* * * * * true' | crontab -"),
    "a program before the packages'": ("/usr/local/bin/drawn", "ln -s /bin/true /usr/local/bin/drawn"),
}
"""Kind → the file that comes, and the command."""
DATABASES = "select datname from pg_database where not datistemplate and datname <> 'postgres'"
SETTINGS = """
    select name, context, case vartype
        when 'bool' then case setting when 'on' then 'off' else 'on' end
        when 'enum' then (select v from unnest(enumvals) v where v <> setting limit 1)
        when 'integer' then (setting::bigint + case when setting::bigint < max_val::bigint then 1 else -1 end)::text end as value
    from pg_settings where vartype in ('bool', 'enum', 'integer') and context <> 'internal'
      and name not in ('ssl', 'transaction_timeout')  -- without the one, or with a millisecond of the other, nothing comes to the server
"""
PATRONI = """
import json
from patroni.validator import schema
def named(part, key): return next(value for name, value in part.items() if getattr(name, "name", name) == key)
for key, kind in named(schema.validator, "bootstrap")["dcs"].items():
    name = getattr(key, "name", key)
    print(name, "bool" if kind is bool else "number" if hasattr(kind, "min") else "other", getattr(kind, "min", 0))
"""

Possible = Callable[[], Iterable[tuple[str, ...]]]


@dataclass(frozen=True)
class Change:
    """One change. ``where`` and ``what`` must both be in one line of the report."""

    kind: str
    where: str
    what: str
    host: str
    command: str
    given: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}: {' '.join(self.given.split()) or self.command}"


def draw(environment: Ephemeral, session: Session, number: int, seed: int) -> list[Change]:
    """Make ``number`` changes, of as many kinds as there are, each on another object; those that were made."""
    random = Random(seed)
    kinds = _kinds(environment, session, random)
    made: list[Change] = []
    touched: set[tuple[str, str]] = set()
    waiting: list[str] = []
    for _ in range(10 * number):  # what the server refuses is no change
        if len(made) == number:
            return made
        waiting = waiting or random.sample(sorted(kinds), len(kinds))
        kind = waiting.pop()
        free = [(where, what, *how) for where, what, *how in kinds[kind]() if _free(touched, where, what)]
        if not free:
            continue
        change = Change(kind, *random.choice(free))
        with suppress(CommandFailed):
            if change.host:
                session.run(change.host, change.command, given=change.given)
            else:
                docker(*change.command.split()[1:])
            made.append(change)
            touched.add((change.where, change.what))
    raise AssertionError(f"only {len(made)} changes were possible")


def _free(touched: Iterable[tuple[str, str]], where: str, what: str) -> bool:
    """Whether a line of the report about it cannot be one about something else that was changed."""
    return not any(where == place and (what in name or name in what) for place, name in touched)


def _kinds(environment: Ephemeral, session: Session, random: Random) -> dict[str, Possible]:
    """Kind → what lists its possible changes: where, what, on which host, the command, what it reads."""
    leader = session.leader().name
    hosts = [host.name for host in session.manifest.hosts]
    members, edges = (
        [host.name for host in session.manifest.carrying(group)] for group in (Group.POSTGRES, Group.EDGE)
    )
    of_hosts = {kind: partial(_of_host, environment, session, kind) for kind in HOST_KINDS}
    databases = [name for (name,) in _rows(session, leader, "postgres", DATABASES)]
    return {
        **{kind: lambda look=look: look(random.choice(hosts)) for kind, look in of_hosts.items()},  # type: ignore[misc]
        **{
            kind: lambda path=path, command=command: [(host, path, host, command) for host in hosts]  # type: ignore[misc]
            for kind, (path, command) in STRANGERS.items()
        },
        "Docker": lambda: list(_of_docker(environment)),
        "ALTER SYSTEM": lambda: list(_alter_system(session, random.choice(members))),
        "a line in initdb's file": lambda: list(_lines(session, random.choice(members))),
        "SET on PgBouncer's console": lambda: list(_set(session, random.choice(edges))),
        "an order on PgBouncer's console": lambda: list(_orders(session, random.choice(edges))),
        "Patroni's configuration": lambda: list(_of_patroni(session, leader)),
        "a parameter in Patroni": lambda: list(_parameters(session, leader)),
        **{kind: partial(_statements, session, leader, "postgres", query) for kind, query in KINDS["cluster"].items()},
        **{
            kind: lambda query=query: _statements(session, leader, random.choice(databases), query)  # type: ignore[misc]
            for kind, query in KINDS["database"].items()
        },
    }


def _of_host(environment: Ephemeral, session: Session, kind: str, host: str) -> list[tuple[str, ...]]:
    """Changes of one kind to what Docker saw come since the image."""
    wanted, pattern, command = HOST_KINDS[kind]
    came = [line.split(" ", 1) for line in docker("diff", environment.container(host)).splitlines()]
    paths = [path for how, path in came if path.startswith(FOLDERS) and not path.startswith(MACHINE)]
    made = {path for how, path in came if how == "A"}
    listed = session.run(host, "xargs -d '\\n' stat -c '%F|%n' 2>/dev/null || true", given="\n".join(paths))
    found = [line.split("|") for line in listed.splitlines()]
    return [
        (host, what, host, command.format(path=shlex.quote(path), unit=PurePath(path).name))
        for file, path in found
        if file == wanted and re.search(pattern, path) and (file != "directory" or path in made)
        for what in (_told_as(command, path),)
    ]


def _of_docker(environment: Ephemeral) -> Iterator[tuple[str, ...]]:
    """What somebody does to the containers from outside, and what is left behind beside them."""
    label = f"keel.environment={environment.name}"
    for container in docker("ps", "--filter", f"label={label}", "--format", "{{.Names}}").split():
        memory = int(docker("inspect", "-f", "{{.HostConfig.Memory}}", container)) + 2**20
        yield "", container, "", f"docker update --memory {memory} --memory-swap {memory} {container}"
        yield "", container, "", f"docker update --restart no {container}"
    yield "", f"{environment.name}-drawn", "", f"docker volume create --label {label} {environment.name}-drawn"
    yield (
        "",
        f"{environment.name}-drawn",
        "",
        f"docker network create --internal --label {label} {environment.name}-drawn",
    )


def _told_as(command: str, path: str) -> str:
    if command.startswith("nft "):
        return "firewall: the table"
    return str(PurePath(path).with_name("drawn.conf")) if command.startswith("cp ") else _named(path)


def _named(path: str) -> str:
    """What the report calls it: a unit, a key pair or a path."""
    if ".wants/" in path:
        return PurePath(path).name
    if path.endswith((".pem", ".pem.key")):
        return str(PurePath(path).parent)
    return path


def _alter_system(session: Session, host: str) -> Iterator[tuple[str, ...]]:
    for name, _, value in _rows(session, host, "postgres", SETTINGS):
        yield host, name, host, _psql("postgres"), f"alter system set {name} = '{value}';\nselect pg_reload_conf()"


def _lines(session: Session, host: str) -> Iterator[tuple[str, ...]]:
    """In the file that initdb wrote, of names that stand nowhere else: Patroni writes its own anew whenever a parameter changes."""
    ((file,),) = _rows(session, host, "postgres", "show config_file")
    query = f"{SETTINGS} and source <> 'command line' and sourcefile is distinct from '{file}'"
    for name, _, value in _rows(session, host, "postgres", query):
        line = shlex.quote(f"{name} = '{value}'")
        yield host, name, host, f"echo {line} >> {PurePath(file).parent}/postgresql.base.conf"


def _set(session: Session, edge: str) -> Iterator[tuple[str, ...]]:
    """Numbers that the operator's psql may change on the console."""
    console = _console(session)
    for row in session.run(edge, f"{console} -At", given="show config").splitlines():
        name, value, _default, changeable = row.split("|")
        if changeable == "yes" and value.isdecimal() and name != "peer_id":  # it tells itself from its peers by that
            other = 1 - int(value) if value in "01" else int(value) + 1  # to a switch every number but 0 is on
            yield edge, name, edge, console, f"set {name} = {other}"


def _orders(session: Session, edge: str) -> Iterator[tuple[str, ...]]:
    """What closes a database to clients, until the opposite order."""
    for row in session.run(edge, f"{_console(session)} -At", given="show databases").splitlines():
        name = row.partition("|")[0]
        if name != "pgbouncer":
            yield edge, f"{name} is paused", edge, _console(session), f"pause {name}"
            yield edge, f"{name} is disabled", edge, _console(session), f"disable {name}"


def _console(session: Session) -> str:
    port = session.manifest.ports.pgbouncer
    return f"runuser -u postgres -- psql -h /run/pgbouncer -p {port} -U postgres pgbouncer -Xq"


def _of_patroni(session: Session, leader: str) -> Iterator[tuple[str, ...]]:
    """Keys of its own schema with another value, and one that it does not know."""
    holds = json.loads(session.run(leader, f"{_patroni(session)} -s"))
    for key, kind, least in (line.split() for line in session.run(leader, "python3 -", given=PATRONI).splitlines()):
        if kind == "bool":
            yield _patch(session, leader, key, {key: not holds.get(key)})
        elif kind == "number":
            yield _patch(session, leader, key, {key: max(int(holds.get(key, 0)), int(least)) + 1})
    yield _patch(session, leader, "drawn", {"drawn": {"by": "hand"}})


def _parameters(session: Session, leader: str) -> Iterator[tuple[str, ...]]:
    for name, _, value in _rows(session, leader, "postgres", SETTINGS):
        yield _patch(session, leader, name, {"postgresql": {"parameters": {name: value}}})


def _patch(session: Session, leader: str, what: str, data: object) -> tuple[str, ...]:
    return "", what, leader, f"{_patroni(session)} -XPATCH -d @-", json.dumps(data)


def _patroni(session: Session) -> str:
    """The operator's curl, on the leader."""
    leader, pair = session.leader(), "/etc/keel/tls/patroni-to-patroni"
    return (
        f"curl -sf --netrc-file /etc/patroni/api.netrc --cacert /etc/keel/ca.crt --cert {pair}/cert.pem --key {pair}/key.pem "
        f"https://{leader.address}:{session.manifest.ports.patroni}/config"
    )


def _statements(session: Session, leader: str, database: str, query: str) -> list[tuple[str, ...]]:
    """What the query lists, as statements for the database; of the cluster the report names no database."""
    where = "" if database == "postgres" else database
    rows = _rows(session, leader, database, query.replace("{settings}", SETTINGS))
    return [(where, what, leader, _psql(database), statement) for what, statement in rows]


def _psql(database: str) -> str:
    return f"psql -U postgres -d {database} -Xq -v ON_ERROR_STOP=1"


def _rows(session: Session, host: str, database: str, query: str) -> list[list[str]]:
    """The answer to a query in one order, separated by what no name has."""
    said = session.run(host, f"psql -U postgres -d {database} -XAt -F '\x1f' -R '\x1e'", given=query)
    return sorted(row.split("\x1f") for row in said.strip("\n").split("\x1e") if row.strip())


def execute(session: Session, database: str, statement: str) -> None:
    """What the report says that undoes it, as an operator gives it."""
    session.run(session.leader().name, _psql(database), given=statement)
