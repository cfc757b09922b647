"""The alerts that are active on the backup host, in a file: {"looked": time, "alerts": [{alert, severity, text, subject, since}]}."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from keel_host import files
from keel_host.alerts import Alert
from keel_host.times import utc


def publish(path: Path, raised: Sequence[Alert], now: float) -> None:
    """Replace the file; a line in syslog for each alert that begins or ends."""
    before = {(entry["alert"], entry["subject"], entry["severity"]): entry for entry in active(path)}
    entries = {}
    for alert in raised:
        key = (alert.name, alert.subject, alert.severity)
        since = before[key]["since"] if key in before else utc(now)
        entries[key] = {
            "alert": alert.name,
            "subject": alert.subject,
            "severity": alert.severity,
            "text": alert.text,
            "since": since,
        }
        if key not in before:
            log("err", f"{alert.severity}: {alert.text}")
    still = {(name, subject) for name, subject, _ in entries}
    for (name, subject, _), entry in before.items():
        if (name, subject) not in still:
            log("notice", f"ended: {entry['text']}")
    files.replace(path, json.dumps({"looked": utc(now), "alerts": list(entries.values())}, indent=2) + "\n")


def active(path: Path) -> list[dict[str, str]]:
    """The alerts of the last look; none where it cannot be read."""
    try:
        return list(json.loads(path.read_text())["alerts"])
    except (OSError, ValueError):
        return []


def log(severity: str, text: str) -> None:
    """A line in syslog."""
    subprocess.run(["logger", "-p", f"cron.{severity}", "-t", "keel", f"archive: {text}"], check=False)
