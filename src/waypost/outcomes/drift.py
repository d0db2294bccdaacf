"""Whether recent traffic still looks like what was calibrated on.  Shape suffixes: N prompts, M models, B bins.

A router's promise holds for prompts like those that it was measured on.  What it predicts tells without any label
whether they are still like those: which models it chooses, the best quality that it expects, by how much the best
leads the second, and how long the prompts are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.types import Floats

Counts = NDArray[np.float64]

LEAST = 200  # prompts below which nothing is said
_WORTH = 50  # and independent prompts that they must be worth
MODERATE = 0.1  # a population stability index from which a shift matters
_BINS = 10
_EXPECTED = 5.0  # the chi-square approximation holds where each bin expects as many
_NUMBERS = ("quality", "lead", "length")


@dataclass(frozen=True, eq=False)
class Traffic:
    """What is looked at of some prompts: the model chosen, and three numbers that are NaN where unknown.

    ``quality_N`` is the best expected quality (0..1), ``lead_N`` by how much it exceeds the second best, ``length_N``
    the number of characters.  ``same`` is equal for prompts that come together, as copies of one do; without it each
    is taken to be alone.
    """

    choices: Sequence[str]
    quality_N: Floats
    lead_N: Floats
    length_N: Floats
    same: Sequence[int] = ()

    @classmethod
    def of(
        cls,
        choices: Sequence[str],
        quality_NM: Floats,
        lengths: Sequence[float] | Floats,
        same: Sequence[int] = (),
    ) -> Self:
        """Of the models chosen, the qualities expected of each (NaN: unknown) and the lengths of the prompts.

        >>> traffic = Traffic.of(["a"], np.array([[0.9, 0.75, np.nan]]), [17])
        >>> traffic.quality_N, traffic.lead_N.round(2)
        (array([0.9]), array([0.15]))
        """
        known_NM = np.sort(np.where(np.isnan(quality_NM), -np.inf, quality_NM), axis=1)[:, ::-1]
        best_N, second_N = known_NM[:, 0], known_NM[:, 1] if quality_NM.shape[1] > 1 else known_NM[:, 0]
        quality_N = np.where(np.isfinite(best_N), best_N, np.nan)
        lead_N = quality_N - np.where(np.isfinite(second_N), second_N, np.nan)
        return cls(choices, quality_N, lead_N, np.asarray(lengths, dtype=np.float64), same)

    def __len__(self) -> int:
        """How many prompts."""
        return len(self.choices)

    @property
    def effective(self) -> float:
        """How many independent prompts these are worth: n² / Σ m² for m that come together (Kish 1965).

        >>> Traffic.of(["a"] * 4, np.zeros((4, 1)), [1] * 4, same=[7, 7, 9, 9]).effective
        2.0
        """
        sizes = np.array(list(Counter(self.same).values()) or [1] * len(self), dtype=np.float64)
        return len(self) ** 2 / max(1.0, float((sizes**2).sum()))


@dataclass(frozen=True, slots=True)
class Reference:
    """What traffic looked like when it was calibrated on: counts of choices, and of each number between edges.

    ``effective`` is how many independent prompts these are worth.
    """

    choices: Mapping[str, int]
    edges: Mapping[str, tuple[float, ...]]
    counts: Mapping[str, tuple[int, ...]]
    effective: float

    @classmethod
    def of(cls, traffic: Traffic) -> Self:
        """Of some prompts; each number is cut into ten bins of as many prompts, fewer where values repeat.

        >>> reference = Reference.of(Traffic(["a", "b", "a"], np.zeros(3), np.zeros(3), np.array([5.0, 7.0, 9.0])))
        >>> reference.choices, reference.counts["length"]
        ({'a': 2, 'b': 1}, (1, 1, 1))
        """
        edges, counts = {}, {}
        for name in _NUMBERS:
            values = _known(traffic, name)
            if len(values):
                cuts = np.unique(np.quantile(values, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))
                edges[name] = tuple(cuts[cuts < values.max()].tolist())
                counts[name] = tuple(_binned(values, edges[name]).astype(int).tolist())
        return cls(dict(Counter(traffic.choices)), edges, counts, traffic.effective)

    @classmethod
    def read(cls, given: Any) -> Self:
        """What `plain` wrote.

        Raises:
            BadInput: something else.
        """
        try:
            choices = {str(name): int(count) for name, count in given["choices"].items()}
            edges = {str(name): tuple(map(float, values)) for name, values in given["edges"].items()}
            counts = {str(name): tuple(map(int, values)) for name, values in given["counts"].items()}
            effective = float(given["effective"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadInput(f"this is no reference to tell drift by: {error!r}; calibrate again") from error
        fits = edges.keys() == counts.keys() and set(edges) <= {*_NUMBERS}
        if not fits or any(len(counts[name]) != len(edges[name]) + 1 for name in edges):
            raise BadInput("this is no reference to tell drift by: edges and counts do not fit; calibrate again")
        return cls(choices, edges, counts, effective)

    def plain(self) -> dict[str, Any]:
        """As JSON would hold it."""
        content = {name: dict(getattr(self, name)) for name in ("choices", "edges", "counts")}
        return {**content, "effective": self.effective}


@dataclass(frozen=True, slots=True)
class Shift:
    """How one feature moved: the population stability index, and a p-value corrected for the features looked at."""

    feature: str
    psi: float
    p: float
    drifted: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """Whether ``n`` prompts, worth ``effective`` independent ones, have drifted; the most moved feature first."""

    n: int
    effective: float
    verdict: Literal["drifted", "has not drifted", "too few"]
    shifts: tuple[Shift, ...] = ()

    def __str__(self) -> str:
        if self.verdict == "too few":
            copies = f" worth {self.effective:.0f} that are no copies" if self.effective < self.n else ""
            return f"too few: {self.n} prompts{copies}, and at least {LEAST} worth {_WORTH} are needed"
        moved = [f"{shift.feature} (PSI {shift.psi:.2f}, p {shift.p:.1g})" for shift in self.shifts if shift.drifted]
        return f"{self.verdict}: {self.n} prompts" + (f", by {', '.join(moved)}" if moved else "")


def drifted(reference: Reference, recent: Traffic, level: float = 0.01) -> Drift:
    """Compare recent traffic with the reference; prompts of the same kind are called drifted in at most ``level``.

    A feature has drifted when both hold: its chi-square test of homogeneity gives p × features ≤ ``level``, and its
    population stability index, Σ (p − q) ln(p / q) over the bins with p and q the shares now and then, is at least
    0.1.  The test keeps chance from being called drift, the index what is too small to matter.  Rare bins are joined
    until each expects five prompts, and on both sides copies count as the number of independent prompts that they are
    worth.  A number that is unknown of recent prompts is not looked at.

    >>> rng = np.random.default_rng(0)
    >>> def traffic(mean):
    ...     return Traffic(["a"] * 500, np.zeros(500), np.zeros(500), rng.normal(mean, 10, 500))
    >>> reference = Reference.of(traffic(100))
    >>> print(drifted(reference, traffic(100)))
    has not drifted: 500 prompts
    >>> print(drifted(reference, traffic(110)))
    drifted: 500 prompts, by length (PSI 1.02, p 5e-42)

    Source: Siddiqi, Credit Risk Scorecards (2006), chapter 9, for the index and its customary limits of 0.1 and 0.25.
    """
    n, effective = len(recent), recent.effective
    if n < LEAST or effective < _WORTH:
        return Drift(n, effective, "too few")
    pairs = {"choice": _choices(reference, recent)}
    for name in reference.edges:
        values = _known(recent, name)
        if len(values) >= LEAST:
            then_B = np.array(reference.counts[name], dtype=np.float64)
            pairs[name] = then_B, _binned(values, reference.edges[name])
    worth = reference.effective / max(1, sum(reference.choices.values()))
    shifts = [
        _shift(name, *_pooled(then_B * worth, now_B * effective / n), features=len(pairs), level=level)
        for name, (then_B, now_B) in pairs.items()
    ]
    shifts.sort(key=lambda shift: -shift.psi)
    any_ = any(shift.drifted for shift in shifts)
    return Drift(n, effective, "drifted" if any_ else "has not drifted", tuple(shifts))


def _choices(reference: Reference, recent: Traffic) -> tuple[Counts, Counts]:
    now = Counter(recent.choices)
    names = [*reference.choices, *(name for name in now if name not in reference.choices)]
    then_B = np.array([reference.choices.get(name, 0) for name in names], dtype=np.float64)
    return then_B, np.array([now[name] for name in names], dtype=np.float64)


def _known(traffic: Traffic, name: str) -> Floats:
    values: Floats = getattr(traffic, f"{name}_N")
    return values[~np.isnan(values)]


def _binned(values: Floats, edges: Sequence[float]) -> Counts:
    """How many values lie up to each edge and above the one before, and above the last."""
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).astype(np.float64)


def _pooled(then_B: Counts, now_B: Counts) -> tuple[Counts, Counts]:
    """The same counts with the rarest bins joined until each expects enough prompts, then and now."""
    least = min(then_B.sum(), now_B.sum()) / (then_B.sum() + now_B.sum())
    order_B = np.argsort(then_B + now_B, kind="stable")
    then_B, now_B = then_B[order_B], now_B[order_B]
    while len(then_B) > 1 and (then_B[0] + now_B[0]) * least < _EXPECTED:
        then_B, now_B = (np.append(counts[0] + counts[1], counts[2:]) for counts in (then_B, now_B))
        order_B = np.argsort(then_B + now_B, kind="stable")
        then_B, now_B = then_B[order_B], now_B[order_B]
    return then_B, now_B


def _shift(name: str, then_B: Counts, now_B: Counts, *, features: int, level: float) -> Shift:
    from scipy.special import chdtrc

    both_B = then_B + now_B
    statistic = 0.0
    for counts_B in (then_B, now_B):
        expected_B = both_B * counts_B.sum() / both_B.sum()
        statistic += float(((counts_B - expected_B) ** 2 / expected_B).sum())
    # Half a prompt more in each bin, so that an empty one is no infinite shift.
    before_B, after_B = ((counts_B + 0.5) / (counts_B.sum() + 0.5 * len(both_B)) for counts_B in (then_B, now_B))
    psi = float(((after_B - before_B) * np.log(after_B / before_B)).sum())
    p = min(1.0, features * float(chdtrc(len(both_B) - 1, statistic))) if len(both_B) > 1 else 1.0
    return Shift(name, psi, p, p <= level and psi >= MODERATE)
