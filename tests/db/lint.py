"""What a revision must not do to tables of earlier ones, which have rows: close them for long (PLAT-27).

One that has a reason to break a rule says it in its docstring, in a line `Lock: reason`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from alembic.script import Script

from tests.db.printed import Statement

LIMITS = {"lock_timeout": "5s", "statement_timeout": "0"}
"""What every revision begins with, see migrations/session.py."""


@dataclass
class State:
    """What is known from the statements before; what belongs to one revision begins anew with each."""

    created: set[str] = field(default_factory=set)
    """Tables of this revision, which nobody else sees yet."""
    dropped: set[str] = field(default_factory=set)
    """Indexes whose INVALID leftovers this revision has taken away."""
    limits: dict[str, str] = field(default_factory=dict)
    unvalidated: dict[str, str | None] = field(default_factory=dict)
    """Constraint → the transaction that added it as NOT VALID."""
    not_null: dict[str, set[str]] = field(default_factory=dict)
    """Constraint → the columns, as `table.column`, of which it says that they are not null."""


def complaints(revision: str, statements: list[Statement], state: State) -> list[str]:
    """What a revision does wrong; `state` goes on to the next one."""
    state.created, state.dropped, state.limits = set(), set(), dict(LIMITS)
    told = []
    for statement in statements:
        for rule in (_limits, _tables, _indexes, _constraints):
            told += [f"{revision}: {sentence}: {statement.raw[:160]}" for sentence in rule(statement, state)]
    concurrent = [one for one in statements if " concurrently " in one.text]
    other = [one for one in statements if not re.search(r"^set | concurrently | if (not )?exists ", one.text)]
    if concurrent and other:
        told.append(f"{revision}: it can be killed half-way beside a concurrent index, but not run again; a revision of "
                    f"its own, or IF EXISTS: {other[0].raw[:160]}")  # fmt: skip
    return told


def never_validated(state: State) -> list[str]:
    """At the end of a history: constraints that no revision has validated."""
    return [f"{name} was added NOT VALID and is never validated" for name in state.unvalidated]


def reason_of(revision: Script) -> str | None:
    """Why a revision may close a table for long: its docstring's paragraph `Lock: …`."""
    found = re.search(r"^Lock: (.+?)\s*(?=\n\n|\Z)", revision.module.__doc__ or "", re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else None


def _limits(statement: Statement, state: State) -> Iterator[str]:
    change = re.match(
        r"set (?:local |session )?(lock_timeout|statement_timeout)\s*(?:=|to)\s*'?(\w+)", statement.raw.lower()
    )
    if change:
        state.limits[change[1]] = change[2]
    elif (
        statement.transaction
        and re.match(r"(create|alter|drop)\b", statement.text)
        and _unlimited(state, "lock_timeout")
    ):
        yield "waits for a lock for ever, and everybody behind it"


def _unlimited(state: State, limit: str) -> bool:
    return state.limits[limit].startswith("0")


def _tables(statement: Statement, state: State) -> Iterator[str]:
    if made := re.search(r"\bcreate (?:unlogged )?table (?:if not exists )?(\w+)", statement.text):
        state.created.add(made[1])
    if re.match(r"(lock|cluster|vacuum full|reindex (?!.*concurrently))\b", statement.text):
        yield "closes a table"


def _indexes(statement: Statement, state: State) -> Iterator[str]:
    if gone := re.search(r"\bdrop index concurrently if exists (\w+)", statement.text):
        state.dropped.add(gone[1])
    made = re.search(
        r"\bcreate (?:unique )?index (concurrently )?(?:if not exists )?(\w+) on (?:only )?(\w+)", statement.text
    )
    if not made or made[3] in state.created:
        return
    if not made[1]:
        yield f"nobody can write to {made[3]} meanwhile; CONCURRENTLY"
        return
    if statement.transaction:
        yield "inside a transaction; migrations/concurrently.py"
    if made[2] not in state.dropped:
        yield "an INVALID leftover is in the way; DROP INDEX CONCURRENTLY IF EXISTS before it"
    if not _unlimited(state, "lock_timeout"):
        yield "gives up while it waits for an old transaction, which blocks nobody; lock_timeout 0"
    if _unlimited(state, "statement_timeout"):
        yield "may take for ever; statement_timeout"


def _constraints(statement: Statement, state: State) -> Iterator[str]:
    altered = re.search(r"\balter table (?:if exists )?(?:only )?(\w+) (.*)", statement.text)
    for action in _actions(altered[2]) if altered else ():
        table = altered[1] if altered else ""
        if valid := re.match(r"validate constraint (\w+)", action):
            added_in = state.unvalidated.pop(valid[1], None)
            if added_in and added_in == statement.transaction:
                yield "validates in the transaction that added it, under its lock"
        elif table not in state.created:
            yield from _action(table, action, statement, state)


def _action(table: str, action: str, statement: Statement, state: State) -> Iterator[str]:
    """One action of ALTER TABLE on a table of an earlier revision."""
    if added := re.match(r"add (?:constraint (\w+) )?(check|foreign key|unique|primary key|exclude)\b", action):
        name = added[1] or action
        if added[2] in ("unique", "primary key", "exclude"):
            if "using index" not in action:
                yield "builds an index while the table is closed; a concurrent unique index, then USING INDEX"
            return
        state.not_null[name] = {f"{table}.{column}" for column in re.findall(r"(\w+)\)* is not null", action)}
        if action.endswith("not valid"):
            state.unvalidated[name] = statement.transaction
        else:
            yield "reads all rows while the table is closed; NOT VALID, and VALIDATE later"
    elif added := re.match(r"add (?:column )?(?:if not exists )?(\w+) (.*)", action):
        if found := re.search(r"\b(references|check|unique|primary key)\b", added[2]):
            yield f"{found[1]} reads all rows while the table is closed; a constraint of its own, NOT VALID"
        if "not null" in added[2] and not re.search(r"\b(default|generated)\b", added[2]):
            yield "fails on a table with rows; nullable or with a default"
    elif changed := re.match(r"alter (?:column )?(\w+) set not null", action):
        proofs = [name for name, columns in state.not_null.items() if f"{table}.{changed[1]}" in columns]
        if all(name in state.unvalidated for name in proofs):
            yield "reads all rows while the table is closed; first CHECK (… IS NOT NULL) NOT VALID, VALIDATE"


def _actions(text: str) -> list[str]:
    """ALTER TABLE's actions: split at the commas outside parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
