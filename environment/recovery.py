"""Where a recovery ends: the newest moment, a time, a position in the WAL, a transaction or a named restore point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from environment.errors import KeelError

LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}")
_LIKE_A_TIME = re.compile(r"\d{4}-\d\d?-\d\d?([T_][\w:.+-]*)?|(?=.*[-:T])[\d:.TZWz+-]*")
"""What means a time: where there is no such time, it is a slip and no restore point's name."""
_AS_GO = re.compile(r"(\S+ \S+) ([+-]\d{4}) \S+")
"""How Pulumi hands out a time that is written in the stack file without quotes."""

RECOVERIES = "recoveries"
"""Folder of the backup volume with a file per recovery token that was used."""


class Form(StrEnum):
    """What a target says; the values are pgBackRest's types."""

    LATEST = "default"
    TIME = "time"
    LSN = "lsn"
    XID = "xid"
    NAME = "name"


class NoTarget(KeelError, ValueError):
    """No recovery can end there: what was given, what is allowed."""


@dataclass(frozen=True)
class RecoveryTarget:
    """The end of a recovery. ``value`` as PostgreSQL takes it, empty for the newest moment."""

    form: Form
    value: str = ""

    def __str__(self) -> str:
        return "the newest archived moment" if self.form is Form.LATEST else f"{self.form.value} {self.value}"

    @property
    def moment(self) -> datetime | None:
        """The time it names, for targets that are times."""
        return datetime.fromisoformat(self.value) if self.form is Form.TIME else None

    @property
    def options(self) -> list[str]:
        """pgBackRest's options: recovery ends there and the server becomes a primary."""
        if self.form is Form.LATEST:
            return ["--type=default"]
        return [f"--type={self.form.value}", f"--target={self.value}", "--target-action=promote"]


def target(text: str) -> RecoveryTarget:
    """The target that ``text`` names: `latest`, a time (ISO 8601, UTC unless it says otherwise), an LSN, a transaction
    or else a restore point's name. Raises NoTarget with what is allowed."""
    if text == "latest":
        return RecoveryTarget(Form.LATEST)
    if text_of_go := _AS_GO.fullmatch(text):
        text = "".join(text_of_go.groups())
    if LSN.fullmatch(text):
        return RecoveryTarget(Form.LSN, text.upper())
    if text.isdecimal() and len(text) <= 20:
        return RecoveryTarget(Form.XID, text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return RecoveryTarget(Form.TIME, moment.isoformat(sep=" ", timespec="microseconds"))
    if _LIKE_A_TIME.fullmatch(text):
        raise NoTarget(
            f"{text!r} is no time that there is; allowed: a time such as 2026-11-22T08:00:00Z. A restore point's name does "
            "not look like a time"
        )
    if NAME.fullmatch(text):
        return RecoveryTarget(Form.NAME, text)
    raise NoTarget(
        f"{text!r} is no recovery target; allowed: latest, a time such as 2026-11-22T08:00:00Z, an LSN such as 0/3000148, "
        "a transaction's number, a restore point's name"
    )
