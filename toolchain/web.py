"""What set-up asks the network; in a module of its own because the fast path does not need its imports."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

from .errors import Refused, Unreachable

ANSWER_SECONDS = 3.0  # a vendor's host that takes longer is as good as absent: there is another way


def fetch(url: str, seconds: float = 20) -> str:
    """The text at `url`. Raises Refused when the server says no, Unreachable when none answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as reply:
            text: bytes = reply.read()
            return text.decode(errors="replace")
    except urllib.error.HTTPError as error:
        raise Refused(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise Unreachable(f"{url} does not answer: {error}") from error


def answers(url: str) -> bool:
    """Whether anything answers at `url` within ANSWER_SECONDS.

    The request runs in a thread because a name look-up obeys no timeout of ours.
    """
    said: list[bool] = []

    def ask() -> None:
        try:
            fetch(url, ANSWER_SECONDS)
        except Unreachable:
            return
        except Refused:
            pass  # a refusal is an answer: an image registry says 401 to a stranger
        said.append(True)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return bool(said)
