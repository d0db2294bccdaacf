"""Prometheus' text format: families of numbers, each with its help, its kind and its samples."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Labels = tuple[tuple[str, str], ...]
#: What several processes say together of a gauge; of counters and histograms it is always the sum.
Together = Literal["sum", "least", "most"]

#: Seconds of a whole answer and of its first byte: from an answer of a cache to the longest stream.
LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
#: Seconds that the gateway itself takes.
SHORT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(slots=True)
class Histogram:
    """How many values there were up to each bound, and their sum.

    >>> seconds = Histogram((0.1, 1.0))
    >>> for value in (0.05, 0.1, 7.0):
    ...     seconds.observe(value)
    >>> seconds.counts, seconds.sum
    ([2, 0, 1], 7.15)
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one metric; a value is a number or a histogram.

    What a gauge is ``together`` with those of other processes stands in a comment, which Prometheus passes over.

    >>> print("".join(Family("queue_length", "gauge", "Rows that wait.", {(("store", "disk"),): 3}).lines()), end="")
    # HELP queue_length Rows that wait.
    # TYPE queue_length gauge
    queue_length{store="disk"} 3
    """

    name: str
    kind: str
    says: str
    samples: Mapping[Labels, float | Histogram]
    together: Together = "most"

    def lines(self) -> Iterator[str]:
        """The family as it is scraped."""
        yield f"# HELP {self.name} {self.says}\n"
        yield f"# TYPE {self.name} {self.kind}\n"
        if self.together != "most":
            yield f"# TOGETHER {self.name} {self.together}\n"
        for labels in sorted(self.samples):
            value = self.samples[labels]
            if isinstance(value, Histogram):
                yield from self._buckets(labels, value)
            else:
                yield f"{self.name}{_braces(labels)} {_number(value)}\n"

    def _buckets(self, labels: Labels, histogram: Histogram) -> Iterator[str]:
        total = 0
        for bound, count in zip((*map(_number, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            total += count
            yield f"{self.name}_bucket{_braces((*labels, ('le', bound)))} {total}\n"
        yield f"{self.name}_sum{_braces(labels)} {_number(histogram.sum)}\n"
        yield f"{self.name}_count{_braces(labels)} {total}\n"


def gauge(name: str, says: str, value: float, together: Together) -> Family:
    """A number that goes up and down, without labels, and what several processes say ``together``."""
    return Family(name, "gauge", says, {(): value}, together)


def counter(name: str, says: str, value: float) -> Family:
    """A number that only goes up, without labels."""
    return Family(name, "counter", says, {(): value})


def page(families: Iterable[Family]) -> str:
    """What is scraped."""
    return "".join(line for family in families for line in family.lines())


def _braces(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return repr(value)
