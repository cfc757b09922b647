"""What a drill did and found, for programs, for people and as metrics (ADA-26, PLAT-45)."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keel_host import files, metrics
from keel_host.config import BackupHost

KEPT = 100
"""Reports."""
METRICS = "drill.prom"


@dataclass(frozen=True)
class Check:
    """One question that the drill asked, and every objection."""

    name: str
    objections: list[str]
    note: str = ""


@dataclass
class Report:
    """What a drill did and found; times are ISO 8601 in UTC."""

    environment: str
    began: str
    result: str = "failed"
    seconds: float = 0
    backup: str | None = None
    known: str | None = None
    window: list[str] = field(default_factory=list)
    """Between which times the target was chosen."""
    target: str | None = None
    rto_seconds: float | None = None
    """From the beginning of the restore until the server at the known moment takes writes."""
    rpo_seconds: float | None = None
    """Age of the last commit that could be restored when the drill began."""
    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, objections: list[str], note: str = "") -> bool:
        """Write a check down; True when there was nothing to object to."""
        self.checks.append(Check(name, objections, note))
        verdict = note if not objections else f"FAILED: {'; '.join(objections[:5])}"
        sys.stdout.write(f"{name}: {verdict}\n")
        sys.stdout.flush()
        return not objections

    def text(self) -> str:
        """For people."""
        lines = [f"drill of {self.environment}, {self.began}: {self.result} after {self.seconds:.0f} s"]
        facts = {
            "backup": self.backup,
            "known moment": self.known,
            "restored to": f"{self.target}, chosen at random between {' and '.join(self.window)}"
            if self.target
            else None,
            "RTO": f"{self.rto_seconds:.1f} s from the beginning of the restore until writable"
            if self.rto_seconds is not None
            else None,
            "RPO": f"{self.rpo_seconds:.0f} s since the last commit that could be restored"
            if self.rpo_seconds is not None
            else None,
        }
        lines += [f"  {name:<13} {said}" for name, said in facts.items() if said]
        for check in self.checks:
            lines.append(f"  FAILED  {check.name}" if check.objections else f"  ok      {check.name}: {check.note}")
            lines += [f"          {objection}" for objection in check.objections[:50]]
        return "\n".join(lines) + "\n"


def keep(host: BackupHost, report: Report, began: float) -> Path:
    """Write report and metrics; the oldest reports go. The path of the report for people."""
    path = host.drills / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    files.replace(path.with_suffix(".txt"), report.text())
    files.replace(path.with_suffix(".json"), json.dumps(asdict(report), indent=2) + "\n")
    for old in sorted(host.drills.glob("*.json"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".txt").unlink(missing_ok=True)
    gauges = metrics.Gauges()
    gauges.set("keel_drill_last_timestamp_seconds", "When the last drill began.", round(began))
    gauges.set("keel_drill_last_passed", "1 if it found nothing wrong.", int(report.result == "passed"))
    gauges.set("keel_drill_last_duration_seconds", "How long it took.", report.seconds)
    gauges.set("keel_drill_last_rto_seconds", "From the beginning of its restore until writable.", report.rto_seconds)
    gauges.set("keel_drill_last_rpo_seconds", "Age of the last commit that could be restored.", report.rpo_seconds)
    gauges.write(host.metrics / METRICS)
    return path.with_suffix(".txt")
