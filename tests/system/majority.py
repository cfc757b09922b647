"""Whether etcd has its majority, all the time."""

from __future__ import annotations

from ops.cluster import etcd
from ops.hosts.session import Session
from tests.system.background import Background


class Majority(Background):
    """Looks at etcd all the time. ``lost``: the looks at which it had no majority; ``looks``: how many there were."""

    def __init__(self, session: Session) -> None:
        self.lost: list[dict[str, bool]] = []
        self.looks = 0
        self._session = session
        super().__init__()

    def _work(self) -> None:
        while not self._stop.wait(0.2):
            health = etcd.health(self._session)
            self.looks += 1
            if sum(health.values()) <= len(health) // 2:
                self.lost.append(health)
