"""Text that others wrote, such as a name in a database, as people may see it."""

from __future__ import annotations

LINES = "\n\t"


def visible(text: str, kept: str = LINES) -> str:
    r"""What is no character to be seen as its escape: `\x1b` would reach the terminal as a command, and what turns the direction
    of writing around would show other words than there are. ``kept``: what stays; with none it is one line."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
