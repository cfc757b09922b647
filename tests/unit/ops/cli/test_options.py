"""What holds of every command of `./keel`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from ops.cli.app import app


def commands(group: Any, path: str = "keel") -> Iterator[tuple[str, Any]]:
    """Each command with its words."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = f"{path} {name}"
        if hasattr(command, "list_commands"):
            yield from commands(command, words)
        else:
            yield words, command


def flags() -> dict[str, object]:
    """Each flag of each command, and its default."""
    found = dict(commands(typer.main.get_command(app)))
    return {
        f"{words} {option.opts[0]}": option.default
        for words, command in found.items()
        for option in command.params
        if getattr(option, "is_flag", False)
    }


def test_no_flag_is_given_unless_it_is_typed() -> None:
    """Design, principle 9: a destructive step asks, and a script says `--yes`."""
    found = flags()
    assert {name: default for name, default in found.items() if default is not False} == {}
    asks = {name.removesuffix(" --yes").removeprefix("keel ") for name in found if name.endswith(" --yes")}
    assert {"restore", "clone", "adopt", "backup expire", "db retire"} <= asks
