"""Count the log-ins that failed on this host since the last look, by port and the client's address (W8, ADA-31).

watch-logins

PgBouncer and Redis say themselves whose password was wrong. HAProxy carries log-ins to PostgreSQL and cannot see how they
end: of those it counts the sessions that were over at once. Its lines name the port from which PostgreSQL sees each of them.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from keel_host.config import LoginHost, read
from keel_host.processes import Failed, output

ANSWERS_WITHIN = 20
"""Seconds; the next look follows anyway."""
AT_ONCE = 5
"""Seconds: a wrong password is answered after one, a right one is used."""
FAILED, SHORT, REFUSED = "failed log-ins", f"sessions shorter than {AT_ONCE} s", "sessions beyond the limit"
WRONG = re.compile(r"@(?P<address>[0-9.]+):\d+ closing because: (\S+ authentication failed|no such user)")
"""PgBouncer's line about a client that did not get in."""
DIRECT = re.compile(r"^direct (?P<address>[0-9.]+):\d+ .* on (?P<port>\d+) for (?P<ms>\d+) ms (?P<end>\S\S)$")
"""HAProxy's line about a session that has ended: roles/haproxy."""

Count = Counter[tuple[str, int, str]]
"""(what, port, address) → how often."""


def main(_arguments: list[str]) -> int:
    """1 without settings. What does not answer is reported, the rest is counted, and the next look asks again. It takes no arguments."""
    try:
        host = read(LoginHost)
    except Failed as error:
        sys.exit(str(error))
    found = Count()
    for source in (journal, redis):
        try:
            found += source(host)
        except (Failed, OSError, ValueError) as error:
            print(f"{source.__name__}: {error}", file=sys.stderr)
    for (what, port, address), times in sorted(found.items()):
        print(f"{times} {what} on port {port} from {address}", flush=True)
    return 0


def journal(host: LoginHost) -> Count:
    """What the proxies wrote since the last look; the first one only remembers where the journal ends. Raises Failed."""
    if not host.units:
        return Count()
    first = not host.cursor.exists()
    units = [part for unit in host.units for part in ("-u", unit)]
    command = ("journalctl", "-q", "-o", "cat", f"--cursor-file={host.cursor}", *(("-n", "1") if first else ()), *units)
    lines = output(*command, timeout=ANSWERS_WITHIN).splitlines()
    return Count() if first else counted(lines, host.pgbouncer)


def counted(lines: Iterable[str], pgbouncer: int) -> Count:
    """The lines about clients that did not get in, or may not have."""
    found = Count()
    for line in lines:
        if match := WRONG.search(line):
            found[FAILED, pgbouncer, match["address"]] += 1
        elif (match := DIRECT.match(line)) and match["end"] == "PR":
            found[REFUSED, int(match["port"]), match["address"]] += 1
        elif match and int(match["ms"]) < AT_ONCE * 1000:
            found[SHORT, int(match["port"]), match["address"]] += 1
    return found


def redis(host: LoginHost) -> Count:
    """What Redis keeps of wrong passwords; then it forgets them. Raises Failed, OSError, ValueError."""
    if not host.redis:
        return Count()
    told = json.loads(asked(host, "ACL", "LOG"))
    if told:
        asked(host, "ACL", "LOG", "RESET")
    return guesses(told, host.redis)


def asked(host: LoginHost, *command: str) -> str:
    """Redis' answer, in JSON. The password goes by standard input, which no list of processes shows. Raises Failed, OSError."""
    login = f"AUTH {host.redis_login} {host.redis_password.read_text().strip()}\n{' '.join(command)}\n"
    connect = ("redis-cli", "--json", "-2", "--tls", "--cacert", host.authority, "-p", str(host.redis))
    answers = output(*connect, timeout=ANSWERS_WITHIN, given=login).splitlines()
    if len(answers) < 2 or '"OK"' not in answers[0]:
        raise Failed(f"redis-cli: {answers[0] if answers else 'no answer'}")
    return answers[-1]


def guesses(told: Sequence[Sequence[object]], port: int) -> Count:
    """Wrong passwords among what Redis refused: entries of names and values in turn."""
    found = Count()
    for names_and_values in told:
        entry = dict(zip(names_and_values[::2], names_and_values[1::2], strict=True))
        client = re.search(r"\baddr=([0-9.]+):", str(entry.get("client-info", "")))
        if entry.get("reason") == "auth" and client:
            found[FAILED, port, client[1]] += int(str(entry.get("count", 1)))
    return found
