"""Where the home of a file backend's URL is: `file://~`. Standard library only, for the set-up of a fresh machine asks too."""

import os
import pwd
from pathlib import Path


def home() -> Path:
    """The account's home, as Pulumi finds it: the account says it, not $HOME, which `sudo` and containers set otherwise. Of an account
    that the system does not know, $HOME."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path(os.environ.get("HOME", "/"))


def expanded(path: str) -> Path:
    """The path of a file backend's URL as Pulumi reads it. It drops one character behind `~`, whatever it is."""
    if not path.startswith("~"):
        return Path(path)
    return home() / path[2:].lstrip("/")
