"""Something that differs from the model, and the statement that would undo it."""

from dataclasses import dataclass

from environment.visible import visible


@dataclass(frozen=True, order=True)
class Difference:
    """One difference, in words for people."""

    what: str
    undo: str = ""
    """SQL for a superuser in the named database; empty where no single statement does it."""
    stays: bool = False
    """No `up` repairs it: an operator decides, because it may hold data or be needed."""

    def __post_init__(self) -> None:
        # A line break in a name must not look like the next difference, or what undoes it.
        object.__setattr__(self, "what", visible(self.what, kept=""))
        object.__setattr__(self, "undo", visible(self.undo))

    def __str__(self) -> str:
        return f"{self.what} (undone by: {self.undo})" if self.undo else self.what
