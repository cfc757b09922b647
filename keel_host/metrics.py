"""Metrics in Prometheus' text format, in files that a node exporter would collect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from keel_host import files


class Gauges:
    """The metrics of one file."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, text: str, value: float | None, **labels: str) -> None:
        """A value, and what it means; None is left out, so that no alert reads a zero."""
        if value is None:
            return
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, text, list(labels), registry=self._registry)
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def write(self, path: Path) -> None:
        """Replace the file as a whole. Raises OSError."""
        files.replace(path, generate_latest(self._registry).decode())


def parse(text: str) -> Iterator[Sample]:
    """Name, labels and value of each line; of several files one after the other, too. Raises ValueError."""
    for family in text_string_to_metric_families(text):
        yield from family.samples


def read(*paths: Path) -> list[Sample]:
    """What these files hold; one that is not there holds nothing."""
    return [sample for path in paths if path.exists() for sample in parse(path.read_text())]


def by_label(samples: list[Sample], name: str, label: str) -> dict[str, float]:
    """Value of a label → value of the metric."""
    return {sample.labels[label]: sample.value for sample in samples if sample.name == name}


def value(samples: list[Sample], name: str) -> float | None:
    """The value of a metric without labels, or the only one of those with labels; None where there is none."""
    return next((sample.value for sample in samples if sample.name == name), None)
