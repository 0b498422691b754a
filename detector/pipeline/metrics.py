"""Count what happens, in Prometheus's text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from threading import Lock

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histograms' buckets, in seconds."""

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters, histograms, and gauges that are asked when they are read; any thread may count."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._help: dict[str, tuple[str, str]] = {}
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[str, dict[Labels, list[float]]] = defaultdict(dict)

    def describe(self, name: str, kind: str, text: str) -> None:
        """Say what a metric is: its kind is counter, histogram or gauge."""
        self._help[name] = kind, text

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name][tuple(labels.items())] += amount

    def observe(self, name: str, seconds: float, /, **labels: str) -> None:
        """Add a value to a histogram."""
        with self._lock:
            values = self._histograms[name].setdefault(tuple(labels.items()), [0.0] * (len(BUCKETS) + 3))
            values[bisect_left(BUCKETS, seconds)] += 1
            values[-2] += 1
            values[-1] += seconds

    def text(self, gauges: Mapping[str, Iterable[tuple[Mapping[str, str], float]]]) -> str:
        """Everything, with the gauges' values of this moment."""
        lines: list[str] = []
        with self._lock:
            for name in sorted({*self._counters, *self._histograms, *gauges}):
                kind, text = self._help.get(name, ("untyped", name))
                lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
                for labels, value in self._counters.get(name, {}).items():
                    lines.append(f"{name}{_shown(labels)} {value:g}")
                for labels, values in self._histograms.get(name, {}).items():
                    lines += _histogram(name, labels, values)
                for given, value in gauges.get(name, ()):
                    lines.append(f"{name}{_shown(tuple(given.items()))} {value:g}")
        return "\n".join(lines) + "\n"


def _histogram(name: str, labels: Labels, values: list[float]) -> Iterable[str]:
    total = 0.0
    for bound, number in zip((*map(str, BUCKETS), "+Inf"), values, strict=False):
        total += number
        yield f"{name}_bucket{_shown((*labels, ('le', bound)))} {total:g}"
    yield f"{name}_count{_shown(labels)} {values[-2]:g}"
    yield f"{name}_sum{_shown(labels)} {values[-1]:.6f}"


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    parts = (f'{name}="{_escaped(value)}"' for name, value in labels)
    return "{" + ",".join(parts) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
