"""Something that differs from the model, and the statement that would undo it."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Difference:
    """One difference, in words for people."""

    what: str
    undo: str = ""
    """SQL for a superuser in the named database; empty where no single statement does it."""

    def __str__(self) -> str:
        return f"{self.what} (undone by: {self.undo})" if self.undo else self.what
