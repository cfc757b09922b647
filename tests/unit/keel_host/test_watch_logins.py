"""How failed log-ins are counted, from what the services wrote (W8, ADA-31)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keel_host.config import LoginHost
from keel_host.processes import Failed
from keel_host.programs import watch_logins
from keel_host.programs.watch_logins import FAILED, REFUSED, SHORT, counted, guesses

NOBODY = "C-0x55: jeex_idea/jeex_user@10.88.0.99"
LINES = [
    f"{NOBODY}:58922 password authentication failed",
    f"{NOBODY}:58922 closing because: SASL authentication failed (age=0s)",
    f"{NOBODY}:58922 pooler error: SASL authentication failed",
    "C-0x55: jeex_idea/nobody@10.88.0.98:1 closing because: no such user (age=0s)",
    f"{NOBODY}:58924 closing because: client close request (age=3s)",
    "direct 10.88.0.99:1234 as 10.88.0.21:4321 at db1 on 5000 for 1012 ms --",
    "direct 10.88.0.99:1235 as 10.88.0.21:4322 at db1 on 5000 for 5000 ms --",
    "direct 10.88.0.99:1236 as 10.88.0.21:4323 at <NOSRV> on 5001 for 0 ms PR",
    "Server replica/db1 is DOWN, reason: Layer7 wrong status",
]


def test_each_client_that_did_not_get_in_is_counted_once() -> None:
    """Of three lines of PgBouncer about one failure, one; of direct sessions those that were over at once."""
    assert counted(LINES * 2, 6432) == {
        (FAILED, 6432, "10.88.0.99"): 2,
        (FAILED, 6432, "10.88.0.98"): 2,
        (SHORT, 5000, "10.88.0.99"): 2,
        (REFUSED, 5001, "10.88.0.99"): 2,
    }


def test_redis_names_who_gave_a_wrong_password() -> None:
    """And not who lacked a right."""
    client = "id=5 addr=10.88.0.99:40100 laddr=10.88.0.21:6379 fd=9"
    told: list[list[object]] = [
        ["count", 20, "reason", "auth", "age-seconds", "1.5", "client-info", client],
        ["count", 3, "reason", "command", "client-info", client],
    ]
    assert guesses(told, 6379) == {(FAILED, 6379, "10.88.0.99"): 20}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoginHost:
    """An edge with Redis."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    (tmp_path / "cursor").touch()
    found = LoginHost(tmp_path / "cursor", ("haproxy.service",), 6432, 6379, "watch", password, "/ca")
    monkeypatch.setattr(watch_logins, "read", lambda _: found)
    return found


def answering(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> list[tuple[tuple[str, ...], str | None]]:
    """What other programs answer, by their name and last word; what they were asked."""
    asked: list[tuple[tuple[str, ...], str | None]] = []

    def output(*command: str, timeout: float, given: str | None = None) -> str:
        asked.append((command, given))
        answer = answers[command[0].replace("-", "_")]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(watch_logins, "output", output)
    return asked


def test_a_look_says_how_many_from_where(
    host: LoginHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And Redis' password is in no list of processes."""
    told = [["count", 20, "reason", "auth", "client-info", "addr=10.88.0.99:40100"]]
    asked = answering(monkeypatch, journalctl="\n".join(LINES), redis_cli=f'"OK"\n{json.dumps(told)}\n')
    assert watch_logins.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "20 failed log-ins on port 6379 from 10.88.0.99",
        "1 failed log-ins on port 6432 from 10.88.0.98",
        "1 failed log-ins on port 6432 from 10.88.0.99",
        "1 sessions beyond the limit on port 5001 from 10.88.0.99",
        "1 sessions shorter than 5 s on port 5000 from 10.88.0.99",
    ]
    assert [given for _, given in asked if given] == [
        "AUTH watch secret\nACL LOG\n",
        "AUTH watch secret\nACL LOG RESET\n",
    ]
    assert "secret" not in str([command for command, _ in asked])


def test_the_first_look_begins_now(host: LoginHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old journal is no news; the next look goes on where this one ended."""
    asked = answering(monkeypatch, journalctl=LINES[1])
    host.cursor.unlink()
    assert not watch_logins.journal(host)
    host.cursor.touch()
    assert watch_logins.journal(host)
    assert ["-n" in command for command, _ in asked] == [True, False]
    assert all(f"--cursor-file={host.cursor}" in command for command, _ in asked)


def test_what_does_not_answer_hides_nothing(
    host: LoginHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, journalctl=Failed("journalctl: no"), redis_cli='"OK"\n[]\n')
    assert (watch_logins.main([]), capsys.readouterr().err) == (0, "journal: journalctl: no\n")
    answering(monkeypatch, journalctl=LINES[1], redis_cli="(error) WRONGPASS\n")
    assert watch_logins.main([]) == 0
    said = capsys.readouterr()
    assert said.out == "1 failed log-ins on port 6432 from 10.88.0.99\n"
    assert said.err == "redis: redis-cli: (error) WRONGPASS\n"
