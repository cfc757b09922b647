"""A client that writes through the pooler all the time and remembers every acknowledged row."""

from __future__ import annotations

import threading
from types import TracebackType

import psycopg

from environment.derive import Roots
from environment.manifest import Manifest
from environment.urls import product_urls


class Writer:
    """Inserts users one by one, as a product would; ``acknowledged`` holds the e-mail of every committed one."""

    def __init__(self, manifest: Manifest, roots: Roots) -> None:
        self.url = product_urls(manifest, roots, manifest.products["jeex_idea"].product)["application"]
        self.acknowledged: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with psycopg.connect(self.url, connect_timeout=5, autocommit=True) as connection:
                    while not self._stop.is_set():
                        number += 1
                        email = f"writer-{number}@test.example"
                        with connection.transaction():
                            connection.execute("select auth.register_user(%s, %s)", (email, "Writer"))
                        self.acknowledged.append(email)
                        self._stop.wait(0.02)
            except psycopg.Error:
                self._stop.wait(0.2)  # a switchover: connect again, as a product does
