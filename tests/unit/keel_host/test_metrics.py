"""Metrics as text, and back."""

from __future__ import annotations

from pathlib import Path

from keel_host import metrics


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """PLAT-45: a value is what it was, a time to the millisecond; what is not known is left out."""
    gauges = metrics.Gauges()
    gauges.set("plain", "Of one thing.", 1795312010.125)
    gauges.set("labelled", "Of each job.", 3, job="full")
    gauges.set("labelled", "Of each job.", 0, job='of "quotes"')
    gauges.set("unknown", "Not measured.", None)
    path = tmp_path / "a.prom"
    gauges.write(path)
    found = metrics.read(path, tmp_path / "not-there.prom")
    assert metrics.value(found, "plain") == 1795312010.125
    assert metrics.by_label(found, "labelled", "job") == {"full": 3, 'of "quotes"': 0}
    assert metrics.value(found, "unknown") is None
    assert "# HELP plain Of one thing." in path.read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["a.prom"]


def test_files_may_be_read_one_after_the_other(tmp_path: Path) -> None:
    """As `cat` brings them from a host: the same metric more than once."""
    texts = list[str]()
    for job in ("full", "dumps"):
        gauges = metrics.Gauges()
        gauges.set("status", "Of each job.", len(texts), job=job)
        gauges.write(tmp_path / job)
        texts.append((tmp_path / job).read_text())
    assert metrics.by_label(list(metrics.parse("".join(texts))), "status", "job") == {"full": 0, "dumps": 1}
