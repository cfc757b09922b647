"""Who fails to log in on this host, by port and the client's address (W8, ADA-31); who guesses comes in slowly from then on.

watch-logins

PgBouncer and Redis say themselves whose password was wrong. HAProxy carries log-ins to PostgreSQL and cannot see how they
end: of those it counts the sessions that were over at once. Its lines name the port from which PostgreSQL sees each of them.

An address is slowed, never a login: the host's firewall lets so many of its new connections in to that port and no more, and
forgets it by itself (roles/firewall). Its connections that are open stay as fast as they were.
"""

from __future__ import annotations

import json
import queue
import re
import select
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from keel_host.config import LoginHost, read
from keel_host.journal import Journal
from keel_host.processes import Failed, output

SUMS = 10
"""Seconds between two sums in the journal."""
ASKS = 0.02
"""Seconds between two looks. Redis says only when asked whom it refused, and a guess takes some 5 ms."""
AGAIN = 5
"""Seconds after which a source is asked again that did not answer, and in which it has to."""
ALLOWED = 5
"""Wrong passwords that an address has within WITHIN seconds; from the next connection on it is slowed."""
WITHIN = 20
"""Seconds; the firewall forgets an address after as many (roles/firewall)."""
AT_ONCE = 5
"""Seconds: a wrong password is answered after one, a right one is used."""
FAILED, SHORT, REFUSED = "failed log-ins", f"sessions shorter than {AT_ONCE} s", "sessions beyond the limit"
WRONG = re.compile(
    r"^C-0x[0-9a-f]+: \S+@(?P<address>[0-9.]+):\d+ closing because: (\S+ authentication failed|no such user) \(age=\d+\w+\)$"
)
"""PgBouncer's line about a client that did not get in, whole: a client chooses names that look like another's line."""
DIRECT = re.compile(r"^direct (?P<address>[0-9.]+):\d+ .* on (?P<port>\d+) for (?P<ms>\d+) ms (?P<end>\S\S)$")
"""HAProxy's line about a session that has ended: roles/haproxy."""
KEPT = "MULTI\nACL LOG\nACL LOG RESET\nEXEC\n"
"""What Redis is asked where there is something: no failure comes between reading and forgetting. It answers OK, QUEUED, QUEUED and the list of answers."""

Count = Counter[tuple[str, int, str]]
"""(what, port, address) → how often."""
Source = Callable[[LoginHost], Iterator[Count]]


def main(_arguments: list[str]) -> int:
    """Runs until it is stopped. What does not answer is reported and asked again; the rest is counted. It takes no arguments."""
    try:
        host = read(LoginHost)
    except Failed as error:
        sys.exit(str(error))
    found: queue.Queue[Count] = queue.Queue()
    sources = [journal] if host.units else []
    for source in [*sources, redis] if host.redis else sources:
        threading.Thread(target=watch, args=(source, host, found.put), daemon=True).start()
    watched(host, found)


def watched(host: LoginHost, found: queue.Queue[Count]) -> NoReturn:
    """Sum up and slow down what the sources find."""
    guessers, total, due = Guessers(), Count(), time.monotonic() + SUMS
    while True:
        try:
            new = found.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            new = Count()
        total += new
        slow_down(host, guessers.named(new, time.monotonic()))
        if time.monotonic() >= due:
            say(total)
            total, due = Count(), time.monotonic() + SUMS


def say(total: Count) -> None:
    """A line for each address that failed."""
    for (what, port, address), times in sorted(total.items()):
        print(f"{times} {what} on port {port} from {address}", flush=True)


def watch(source: Source, host: LoginHost, found: Callable[[Count], None]) -> NoReturn:
    """Pass on what a source finds, and begin again where it ends."""
    while True:
        try:
            for new in source(host):
                found(new)
        except (Failed, OSError, ValueError) as error:
            print(f"{source.__name__}: {error}", file=sys.stderr, flush=True)
        time.sleep(AGAIN)


class Guessers:
    """Who failed how often lately. Only what a service itself calls a wrong password counts."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, int], deque[float]] = {}

    def named(self, found: Count, now: float) -> list[tuple[str, int]]:
        """The (address, port) of ``found`` that failed so often that they must be slowed; ``now`` in seconds."""
        self._failed = {key: times for key, times in self._failed.items() if now - times[-1] < WITHIN}
        named = []
        for (what, port, address), times in found.items():
            if what == FAILED:
                recent = self._failed.setdefault((address, port), deque(maxlen=ALLOWED))
                recent.extend([now] * times)
                if len(recent) == ALLOWED and now - recent[0] < WITHIN:
                    named.append((address, port))
        return named


def slow_down(host: LoginHost, guessers: Sequence[tuple[str, int]]) -> None:
    """Name addresses to the firewall. One that is named already stays so until its time is over, and then gets a guess or two at
    once. A new time would be an element of its own, whose first connection is free: that each guess would have."""
    if guessers:
        elements = ", ".join(f"{address} . {port}" for address, port in guessers)
        try:
            output("nft", "add", "element", *host.slowed.split(), f"{{ {elements} }}", timeout=AGAIN)
        except (Failed, OSError) as error:
            print(f"{elements} cannot be slowed: {error}", file=sys.stderr, flush=True)


def journal(host: LoginHost) -> Iterator[Count]:
    """What the proxies write, line by line from now on. Raises Failed, OSError."""
    lines = Journal(host.units)
    while True:
        for line in lines.new():
            if found := counted(line, host.pgbouncer):
                yield found
        time.sleep(ASKS)


def counted(line: str, pgbouncer: int) -> Count:
    """A client that did not get in, or may not have; nothing where the line is about something else."""
    if match := WRONG.search(line):
        return Count({(FAILED, pgbouncer, match["address"]): 1})
    if (match := DIRECT.match(line)) and match["end"] == "PR":
        return Count({(REFUSED, int(match["port"]), match["address"]): 1})
    if match and int(match["ms"]) < AT_ONCE * 1000:
        return Count({(SHORT, int(match["port"]), match["address"]): 1})
    return Count()


def redis(host: LoginHost) -> Iterator[Count]:
    """What Redis keeps of wrong passwords. Whoever gave one loses the connection, on which Redis itself would hear the next at
    once. Raises Failed, OSError, ValueError."""
    with asking(host) as ask:
        while True:
            if ask("ACL LOG 1\n", 1) != ["[]"]:
                told = json.loads(ask(KEPT, 4)[-1])[0]
                if found := guesses(told, host.redis):
                    yield found
                for client in who(told):
                    ask(f"CLIENT KILL ID {client}\n", 1)
            time.sleep(ASKS)


@contextmanager
def asking(host: LoginHost) -> Iterator[Callable[[str, int], list[str]]]:
    """A connection to Redis: what is asked, and the lines that it answers, in JSON. The password goes by standard input, which
    no list of processes shows. Raises Failed, OSError."""
    command = ("redis-cli", "--json", "-2", "--tls", "--cacert", host.authority, "-p", str(host.redis))
    with subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout  # noqa: S101
        given, said = process.stdin, process.stdout

        def ask(question: str, answers: int) -> list[str]:
            given.write(question.encode())
            told, end = b"", time.monotonic() + AGAIN
            # Where Redis went away meanwhile, redis-cli connects again and says nothing, for ever.
            while told.count(b"\n") < answers and select.select([said], [], [], max(0.0, end - time.monotonic()))[0]:
                if not (more := said.read(65536)):
                    break
                told += more
            lines = told.decode(errors="replace").splitlines()
            if len(lines) < answers or any("error" in line.lower() for line in lines[:3]):
                raise Failed(f"redis-cli: {' '.join(lines).strip()[:200] or 'no answer'}")
            return lines

        try:
            if (
                '"OK"'
                not in (refused := ask(f"AUTH {host.redis_login} {host.redis_password.read_text().strip()}\n", 1))[0]
            ):
                raise Failed(f"redis-cli: {refused[0]}")
            yield ask
        finally:
            process.kill()


def guesses(told: Sequence[Sequence[object]], port: int) -> Count:
    """Wrong passwords among what Redis refused: entries of names and values in turn."""
    found = Count()
    for entry in _wrong(told):
        if client := re.search(r"\baddr=([0-9.]+):", str(entry.get("client-info", ""))):
            found[FAILED, port, client[1]] += int(str(entry.get("count", 1)))
    return found


def who(told: Sequence[Sequence[object]]) -> list[str]:
    """Numbers of the connections on which they were given."""
    found = (re.search(r"\bid=(\d+)", str(entry.get("client-info", ""))) for entry in _wrong(told))
    return [client[1] for client in found if client]


def _wrong(told: Sequence[Sequence[object]]) -> Iterator[dict[object, object]]:
    for names_and_values in told:
        entry = dict(zip(names_and_values[::2], names_and_values[1::2], strict=True))
        if entry.get("reason") == "auth":
            yield entry
