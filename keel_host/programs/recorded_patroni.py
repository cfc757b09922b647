"""Patroni, with a line in its log for every order that its API is given and for every change of the cluster's configuration.

recorded-patroni /etc/patroni/config.yml

Patroni itself logs neither: requests only together with every health check, and of a changed configuration only what concerns
PostgreSQL. An order is logged with the address and the certificate that it came from. A change is logged by every member,
whichever way it came into etcd.

It also sees sooner that its server has stopped: Patroni looks once a second, and in a switchover clients wait for two such looks; and
that the primary has crashed: Patroni notices when its pause between two checks of the cluster (`loop_wait`) is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

READING = ("GET", "HEAD", "OPTIONS")
LOOKS = 0.5
"""Seconds between two looks at a server that stops: the first comes at once. If it has ended by the second, the
lease is free at once; while it still archives, Patroni gives its replicas another second."""
log = logging.getLogger("patroni.recorded")


def main(arguments: list[str]) -> int:
    """Runs Patroni, which reads the arguments itself and does not return before it ends."""
    handler = import_module("patroni.api").RestApiHandler
    record_orders(handler)
    answer_at_once(handler)
    record_changes(import_module("patroni.config").Config)
    look_often(import_module("patroni.postgresql"))
    notice_crashes(import_module("patroni.ha").Ha)
    import_module("patroni.__main__").main()
    return 0


def answer_at_once(handler: Any) -> None:
    """Without this the body of an answer waits until its head is acknowledged, which takes a client's system 40 ms. HAProxy asks
    for the new primary this way, and Patroni the candidate, three times while clients wait."""
    handler.disable_nagle_algorithm = True


def look_often(stopping: Any) -> None:
    """Make Patroni look at a server that stops every LOOKS; where this release has no such number, it stays as slow as it is."""
    if hasattr(stopping, "STOP_POLLING_INTERVAL"):
        stopping.STOP_POLLING_INTERVAL = LOOKS
    else:
        log.warning("Patroni has no STOP_POLLING_INTERVAL any more: a switchover takes up to two seconds longer")


def notice_crashes(ha: Any) -> None:
    """Make the pause between two checks of the cluster end where the primary, which ran when it began, runs no more."""
    pause = ha.watch

    def watch(self: Any, timeout: float) -> Any:
        end = time.monotonic() + timeout
        if not self.cluster or not self.has_lock(False) or not self.state_handler.is_running():
            return pause(self, timeout)
        while not (woken := pause(self, max(0, min(LOOKS, end - time.monotonic())))) and time.monotonic() < end:
            if not self.state_handler.is_running():
                log.info("the server has ended")
                return True
        return woken

    ha.watch = watch


def record_orders(handler: Any) -> None:
    """Make Patroni's handler of requests log those that are orders."""
    log_message = handler.log_message

    def recorded(self: Any, text: str, *values: object) -> None:
        # Patroni adds the path to the method: GET_cluster. It is absent where a request was none.
        if getattr(self, "command", READING[0]).partition("_")[0] not in READING:
            log.info("order from %s (%s): %r", self.client_address[0], subject(self.request), text % values)
        log_message(self, text, *values)

    handler.log_message = recorded


def subject(connection: Any) -> str:
    """Whose certificate a client has shown."""
    shown = (connection.getpeercert() if hasattr(connection, "getpeercert") else None) or {}
    return ", ".join(value for part in shown.get("subject", ()) for _, value in part) or "no certificate"


def record_changes(configuration: Any) -> None:
    """Make Patroni's configuration log how it differs from the one before, if there was one."""
    replace = configuration.set_dynamic_configuration

    def recorded(self: Any, new: Any) -> Any:
        before = self.dynamic_configuration
        changed = replace(self, new)
        for line in differences(before, self.dynamic_configuration) if changed and before else ():
            log.info("configuration changed: %s", line)
        return changed

    configuration.set_dynamic_configuration = recorded


def differences(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """`name: old value -> new value`, a line for each; a missing value is `nothing`."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{within}{name}.")
        elif old != new:
            yield f"{within}{name}: {'nothing' if old is None else old} -> {'nothing' if new is None else new}"
