"""What can go wrong during set-up, as sentences for the person at the terminal."""

from environment.errors import KeelError


class SetupError(KeelError):
    """Set-up cannot go on. The text says what is wrong, what was left as it was and what to do now."""


class CommandFailed(SetupError):
    """A child process ended badly. The text quotes its last lines and names its whole log."""


class Unreachable(SetupError):
    """No server answers at an address."""


class Refused(SetupError):
    """A server answers, and says no."""
