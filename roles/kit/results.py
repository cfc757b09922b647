"""Carry out operations by name and remember what each did: the one place that knows pyinfra's bookkeeping.

pyinfra names operations per position, shared between hosts; an entry keeps host, name and result together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyinfra import host
from pyinfra.api import FunctionCommand
from pyinfra.api.exceptions import NestedOperationError, PyinfraError
from pyinfra.api.operation import OperationMeta

from environment.errors import KeelError, message


class OperationFailed(KeelError):
    """An operation failed on a host: which one, where, and what it printed."""


@dataclass(frozen=True)
class Entry:
    """One operation on one host; ``changed``: it changed something, or would when dry."""

    host: str
    name: str
    changed: bool
    differs: str = ""
    """What was found, and what is declared."""

    def __str__(self) -> str:
        return f"{self.host}: {self.name}" + (f" ({self.differs})" if self.differs else "")


entries: list[Entry] = []
"""Everything performed by this process, in order."""

_exceptions: dict[str, Exception] = {}


def perform(name: str, operation: Callable[..., OperationMeta], *arguments: Any, differs: str = "") -> bool:
    """Carry out ``operation`` on the current host; True if it changed something (or would, when dry). ``differs`` says what
    was found instead of what is declared.

    Raises :class:`OperationFailed` with the output of the command that failed, or with what pyinfra said before any
    command; that is a difference when dry.
    """
    hashes_before = len(host.op_hash_order)
    try:
        meta = operation(*arguments, name=name)
    except NestedOperationError:
        data = host.state.get_op_data_for_host(host, host.op_hash_order[hashes_before])
        raise OperationFailed(f"{host.name}: {name}: failed\n{_output(data.operation_meta)}") from None
    except PyinfraError as error:  # refused, or what pyinfra looked at once more did not answer
        if host.state.is_executing:
            raise OperationFailed(f"{host.name}: {name}: {error}") from None
        changed = True
    else:
        changed = meta.did_change() if meta.is_complete() else bool(meta.will_change)
    entries.append(Entry(host.name, name, changed, differs))
    return changed


def call(function: Callable[..., None], *arguments: Any) -> FunctionCommand:
    """A command that calls ``function``; what it raises is reported by :func:`perform` (pyinfra would only log it)."""

    def remembering() -> None:
        try:
            function(*arguments)
        except Exception as error:
            _exceptions[host.name] = error
            raise

    return FunctionCommand(remembering, (), {})


def _output(meta: OperationMeta) -> str:
    error = _exceptions.pop(host.name, None)
    lines = [message(error)] if error else [*meta.stdout_lines[-5:], *meta.stderr_lines[-15:]]
    return "\n".join(f"    {line}" for text in lines for line in text.splitlines())
