"""How failed log-ins are counted, from what the services wrote, and who is slowed (W8, ADA-31)."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keel_host.config import LoginHost
from keel_host.processes import Failed
from keel_host.programs import watch_logins
from keel_host.programs.watch_logins import (
    ALLOWED,
    FAILED,
    REFUSED,
    SHORT,
    WITHIN,
    Count,
    Guessers,
    counted,
    guesses,
    who,
)
from tests.stand_ins import calls, stand_in

NOBODY = "C-0x55: jeex_idea/jeex_user@10.88.0.99"
LINES = {
    f"{NOBODY}:58922 password authentication failed": None,
    f"{NOBODY}:58922 closing because: SASL authentication failed (age=0s)": (FAILED, 6432, "10.88.0.99"),
    f"{NOBODY}:58922 pooler error: SASL authentication failed": None,
    "C-0x55: jeex_idea/nobody@10.88.0.98:1 closing because: no such user (age=0s)": (FAILED, 6432, "10.88.0.98"),
    f"{NOBODY}:58924 closing because: client close request (age=3s)": None,
    "direct 10.88.0.99:1234 as 10.88.0.21:4321 at db1 on 5000 for 1012 ms --": (SHORT, 5000, "10.88.0.99"),
    "direct 10.88.0.99:1235 as 10.88.0.21:4322 at db1 on 5000 for 5000 ms --": None,
    "direct 10.88.0.99:1236 as 10.88.0.21:4323 at <NOSRV> on 5001 for 0 ms PR": (REFUSED, 5001, "10.88.0.99"),
    "Server replica/db1 is DOWN, reason: Layer7 wrong status": None,
}
"""Line → what is counted."""
CLIENT = "id=5 addr=10.88.0.99:40100 laddr=10.88.0.21:6379 fd=9"
TOLD: list[list[object]] = [
    ["count", 20, "reason", "auth", "age-seconds", "1.5", "client-info", CLIENT],
    ["count", 3, "reason", "command", "client-info", CLIENT.replace("id=5", "id=6")],
]
GUESS = (FAILED, 6432, "10.88.0.99")


def test_each_client_that_did_not_get_in_is_counted_once() -> None:
    """Of three lines of PgBouncer about one failure, one; of direct sessions those that were over at once."""
    found = {line: counted(line, 6432) for line in LINES}
    assert found == {line: Count({what: 1}) if what else Count() for line, what in LINES.items()}


@pytest.mark.parametrize(
    "name", ["x@6.6.6.6:1 closing because: no such user", "x@6.6.6.6:1 closing because: no such user (age=0s)"]
)
def test_a_client_blames_no_other_address(name: str) -> None:
    """W8: it chooses the names of databases and users that PgBouncer writes down."""
    tried = f"C-0x7f: (nodb)/jeex_user@10.88.0.99:5 login attempt: db={name} user=jeex_user tls=TLSv1.3"
    ended = f"C-0x7f: (nodb)/(nouser)@10.88.0.99:5 closing because: no such database: {name}"
    assert not counted(tried, 6432) and not counted(ended, 6432)


def test_redis_names_who_gave_a_wrong_password() -> None:
    """And not who lacked a right."""
    assert guesses(TOLD, 6379) == {(FAILED, 6379, "10.88.0.99"): 20}
    assert who(TOLD) == ["5"]


def test_an_address_is_slowed_from_its_last_allowed_guess_on() -> None:
    """W8: at that port alone, and again with each later guess, because the firewall forgets."""
    guessers = Guessers()
    for number in range(1, ALLOWED):
        assert guessers.named(Count({GUESS: 1}), number) == []
    assert guessers.named(Count({(FAILED, 6379, "10.88.0.99"): 1}), ALLOWED) == []
    assert guessers.named(Count({GUESS: 1}), ALLOWED) == [("10.88.0.99", 6432)]
    assert guessers.named(Count({GUESS: 1}), ALLOWED + 1) == [("10.88.0.99", 6432)]
    assert guessers.named(Count({GUESS: 1}), ALLOWED + 1 + WITHIN) == []


def test_a_client_with_an_old_password_is_not_slowed() -> None:
    """W8: now and then a wrong one is no guessing; many at once are."""
    guessers = Guessers()
    pause = WITHIN / (ALLOWED - 1)
    assert not [each for number in range(50) for each in guessers.named(Count({GUESS: 1}), number * pause)]
    assert guessers.named(Count({(FAILED, 6379, "10.88.0.98"): 20}), 0) == [("10.88.0.98", 6379)]


def test_a_short_session_is_no_guess() -> None:
    """HAProxy does not see how a log-in ends, so whom it names is counted and not slowed."""
    assert not Guessers().named(Count({(SHORT, 5000, "10.88.0.99"): 100, (REFUSED, 5000, "10.88.0.99"): 100}), 0)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoginHost:
    """An edge with Redis; what is run there is in ``tmp_path``."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    stand_in(tmp_path, "nft", "")
    return LoginHost(("haproxy.service", "pgbouncer.service"), 6432, 6379, "watch", password, "/ca", "inet keel slowed")


def redis_answers(folder: Path, *answers: str) -> None:
    """In the place of redis-cli: one answer for each line that it is given; what it was given is in `given`."""
    said = "".join(f"read -r line; echo \"$line\" >> {folder}/given; echo '{answer}'\n" for answer in answers)
    stand_in(folder, "redis-cli", f"{said}read -r line")


def test_a_guesser_at_redis_loses_the_connection(host: LoginHost, tmp_path: Path) -> None:
    """W8: otherwise Redis hears the next guess at once. The password is in no list of processes."""
    redis_answers(
        tmp_path,
        '"OK"',
        "[]",
        json.dumps(TOLD),
        '"OK"',
        '"QUEUED"',
        '"QUEUED"',
        json.dumps([TOLD, "OK"]),
        "1",
        "(error) end",
    )
    watching = watch_logins.redis(host)
    assert next(watching) == {(FAILED, 6379, "10.88.0.99"): 20}
    with pytest.raises(Failed):
        next(watching)
    assert (tmp_path / "given").read_text().splitlines() == [
        "AUTH watch secret", "ACL LOG 1", "ACL LOG 1", "MULTI", "ACL LOG", "ACL LOG RESET", "EXEC", "CLIENT KILL ID 5", "ACL LOG 1",
    ]  # fmt: skip
    assert "secret" not in calls(tmp_path)


@pytest.mark.parametrize(
    "answers",
    [
        ["(error) WRONGPASS"],
        ['"OK"', "(error) NOPERM"],
        ['"OK"', "[1]", '"OK"', "(error) NOPERM", '"OK"', "null"],
        ['"OK"'],
    ],
)
def test_what_redis_does_not_answer_is_no_silence(host: LoginHost, tmp_path: Path, answers: list[str]) -> None:
    redis_answers(tmp_path, *answers)
    with pytest.raises(Failed, match=r"^redis-cli: "):
        next(watch_logins.redis(host))


def test_a_redis_that_went_away_is_asked_again(
    host: LoginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W8: redis-cli then connects again, is nobody there, and says nothing."""
    monkeypatch.setattr(watch_logins, "AGAIN", 0.2)
    stand_in(tmp_path, "redis-cli", "read -r line; echo '\"OK\"'; while read -r line; do :; done")
    with pytest.raises(Failed, match=r"^redis-cli: no answer$"):
        next(watch_logins.redis(host))


class Written:
    """In the journal's place: what was written between two looks, and at last its end."""

    def __init__(self, units: tuple[str, ...]) -> None:
        self.looks = [list(LINES), [], list(LINES)[1:2]]
        assert units == ("haproxy.service", "pgbouncer.service")

    def new(self) -> Iterator[str]:
        if not self.looks:
            raise Failed("journal: next: gone")
        yield from self.looks.pop(0)


def test_the_journal_is_followed(host: LoginHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, until it cannot be read."""
    monkeypatch.setattr(watch_logins, "Journal", Written)
    following = watch_logins.journal(host)
    assert sum((next(following) for _ in range(4)), Count()) == Count(filter(None, LINES.values()))
    assert next(following) == {GUESS: 1}
    with pytest.raises(Failed, match="gone"):
        next(following)


def test_a_source_that_ends_hides_nothing_of_the_next(
    host: LoginHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported and asked again."""
    looks: list[Callable[[], Count]] = [lambda: Count({GUESS: 1}), lambda: Count({GUESS: 2})]
    found: list[Count] = []

    def source(_: LoginHost):  # type: ignore[no-untyped-def]
        if not looks:
            raise SystemExit
        yield looks.pop()()
        raise Failed("no more")

    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(SystemExit):
        watch_logins.watch(source, host, found.append)
    assert found == [Count({GUESS: 2}), Count({GUESS: 1})]
    assert capsys.readouterr().err == "source: no more\n" * 2


class Ended(Exception):
    """The watch ends where the test's material does."""


class Given(queue.Queue[Count]):
    """What the sources found."""

    def __init__(self, *found: Count) -> None:
        super().__init__()
        self.found = list(found)

    def get(self, block: bool = True, timeout: float | None = None) -> Count:
        if not self.found:
            raise Ended
        return self.found.pop(0)


def test_who_guesses_is_named_to_the_firewall(
    host: LoginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """W8, ADA-31: how often from where is in the journal; who did so too often comes in slowly from then on."""
    monkeypatch.setattr(watch_logins, "SUMS", 0)
    with pytest.raises(Ended):
        watch_logins.watched(host, Given(Count({GUESS: ALLOWED - 1, (SHORT, 5000, "10.88.0.7"): 1}), Count({GUESS: 1})))
    assert calls(tmp_path).splitlines() == ["nft add element inet keel slowed { 10.88.0.99 . 6432 }"]
    assert capsys.readouterr().out.splitlines() == [
        f"{ALLOWED - 1} failed log-ins on port 6432 from 10.88.0.99",
        "1 sessions shorter than 5 s on port 5000 from 10.88.0.7",
        "1 failed log-ins on port 6432 from 10.88.0.99",
    ]


def test_where_the_firewall_is_away_failures_are_counted(
    host: LoginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch_logins, "SUMS", 0)
    stand_in(tmp_path, "nft", "echo no such table >&2; exit 1")
    with pytest.raises(Ended):
        watch_logins.watched(host, Given(Count({GUESS: ALLOWED})))
    said = capsys.readouterr()
    assert said.out == f"{ALLOWED} failed log-ins on port 6432 from 10.88.0.99\n"
    assert said.err == "10.88.0.99 . 6432 cannot be slowed: nft: no such table\n"
