"""When the certificates of this host end. A converge signs those again that end soon; one that no one runs does not."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

from keel_host.processes import output

SHOW = ("openssl", "x509", "-noout", "-enddate", "-in")


def ends(folder: Path) -> dict[str, float]:
    """Name of a key pair → when its certificate ends, seconds since 1970. Raises Failed."""
    found = sorted(folder.glob("*/cert.pem"))
    return {path.parent.name: next(times([output(*SHOW, str(path), timeout=10)])) for path in found}


def times(lines: Iterable[str]) -> Iterator[float]:
    """What openssl prints, `notAfter=Dec 30 09:00:00 2027 GMT`, in seconds since 1970. Raises ValueError."""
    return (ssl.cert_time_to_seconds(line.strip().removeprefix("notAfter=")) for line in lines)
