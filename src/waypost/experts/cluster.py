"""A model of what exchanging tokens costs on a cluster, straight or in two levels.  Nothing here is measured.

A message takes its latency and its size over the bandwidth; a process's messages on one level follow one another; both
levels run at the same time where the way allows it.  There are no collisions, every process sends as much to each, and
nothing else uses the links.  Real clusters are worse in each of these, and straight exchanges suffer more from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from waypost.errors import BadInput


@dataclass(frozen=True)
class Link:
    """A link's latency in seconds a message, and its bandwidth in bytes a second."""

    latency: float
    bandwidth: float

    def __post_init__(self) -> None:
        if not self.latency >= 0 or not self.bandwidth > 0:
            raise BadInput(
                f"a link of {self.latency} s and {self.bandwidth} bytes/s; latency is 0 or more, bandwidth above 0"
            )

    def seconds(self, messages: float, size: float) -> float:
        """The modelled time of so many messages of ``size`` bytes together."""
        return messages * self.latency + size / self.bandwidth


@dataclass(frozen=True)
class Cluster:
    """Machines with equally many processes each; a model, see the module.

    ``inside`` is the link of one process to the others of its machine.  ``between`` is that of a whole machine to the
    others, whose bandwidth its processes share.
    """

    nodes: int
    per_node: int
    inside: Link
    between: Link

    def __post_init__(self) -> None:
        if min(self.nodes, self.per_node) < 1:
            raise BadInput(f"{self.nodes} machines of {self.per_node} processes; both are at least 1")


class Modelled(NamedTuple):
    """What the model says of one exchange of a process's rows, one way; no measurement.

    Bytes and messages are those that a process sends to others.
    """

    nodes: int
    flat_modelled_seconds: float
    two_level_modelled_seconds: float
    bytes_between: float
    flat_messages_between: int
    two_level_messages_between: int

    @property
    def modelled_ratio(self) -> float:
        """How many times as long the straight way takes; 1 where neither takes time."""
        if self.two_level_modelled_seconds == 0:
            return 1.0
        return self.flat_modelled_seconds / self.two_level_modelled_seconds

    def __str__(self) -> str:
        """One line, which says what it is."""
        return (
            f"model, not measured: {self.nodes} machines, straight {self.flat_modelled_seconds * 1e3:.3g} ms, in two "
            f"levels {self.two_level_modelled_seconds * 1e3:.3g} ms, ratio {self.modelled_ratio:.3g}"
        )


def exchange(cluster: Cluster, rows: int, row_bytes: int) -> Modelled:
    """The modelled time to send a process's rows to experts that are used evenly, straight and in two levels.

    Straight, a process has a message for each other process of every machine, and both levels run at the same time.  In
    two levels it has one for each other machine, and when these have come one for each other process of its own.

    Raises:
        BadInput: rows or their size are below 0.

    Reference: the latency and bandwidth of a message after Hockney 1994; the two ways after He et al. 2022, "SMILE",
    section 3.

    >>> fast, slow = Link(latency=1e-6, bandwidth=300e9), Link(latency=1e-5, bandwidth=50e9)
    >>> print(exchange(Cluster(nodes=16, per_node=8, inside=fast, between=slow), rows=8192, row_bytes=1536))
    model, not measured: 16 machines, straight 3.09 ms, in two levels 2.08 ms, ratio 1.48
    """
    if min(rows, row_bytes) < 0:
        raise BadInput(f"{rows} rows of {row_bytes} bytes; both are 0 or more")
    n, m, size = cluster.nodes, cluster.per_node, rows * row_bytes
    shared = replace(cluster.between, bandwidth=cluster.between.bandwidth / m)
    away = size * (n - 1) / n
    flat = max(shared.seconds((n - 1) * m, away), cluster.inside.seconds(m - 1, size * (m - 1) / (n * m)))
    two = shared.seconds(n - 1, away) + cluster.inside.seconds(m - 1, size * (m - 1) / m)
    return Modelled(n, flat, two, away, (n - 1) * m, n - 1)


def by_nodes(cluster: Cluster, nodes: Iterable[int], rows: int, row_bytes: int) -> list[Modelled]:
    """The same for several numbers of machines, rows and all else being equal: a model's answers.

    >>> link = Link(latency=1e-5, bandwidth=50e9)
    >>> [f"{one.modelled_ratio:.2f}" for one in by_nodes(Cluster(1, 8, link, link), (1, 2, 32), 1000, 1000)]
    ['1.00', '0.90', '4.77']
    """
    return [exchange(replace(cluster, nodes=n), rows, row_bytes) for n in nodes]
