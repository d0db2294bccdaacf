"""Which part of the spread of a router's gain is which: questions, splits, seeds.

Shape suffixes: S splits of one table into training and test questions, R seeds of the router on each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from waypost.errors import BadInput
from waypost.evaluation.bootstrap import holm
from waypost.evaluation.compare import verdict
from waypost.types import Floats


@dataclass(frozen=True, slots=True)
class Parts:
    """The spread of one router's gain: standard deviations of the gain of a single run, and what all runs say.

    ``questions`` is what other test questions would change, ``splits`` other training questions, ``seeds`` another
    seed of the router; a part is NaN where there was one split or one seed only.  ``gain`` is the mean over all runs,
    ``se`` its standard error, and ``freedom`` the degrees of freedom of that: few where it rests on few runs.
    """

    gain: float
    se: float
    questions: float
    splits: float
    seeds: float
    freedom: float = math.inf

    @property
    def ci95(self) -> tuple[float, float]:
        """The interval of the gain by Student's law."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.freedom, 0.975)) * self.se
        return self.gain - reach, self.gain + reach

    @property
    def p(self) -> float:
        """Two-sided p-value that there is no gain, by Student's law."""
        from scipy.special import stdtr

        if self.se > 0:
            return 2 * float(stdtr(self.freedom, -abs(self.gain) / self.se))
        return math.nan if math.isnan(self.se) else float(self.gain == 0)


@dataclass(frozen=True, slots=True)
class Spread:
    """The parts of one router beside those of others; ``p_adjusted`` is Holm's over all of them."""

    router: str
    parts: Parts
    p_adjusted: float

    @property
    def verdict(self) -> str:
        """Whether it beats, matches or loses against the best single model of each split, over splits and seeds."""
        return verdict(self.parts.gain, self.p_adjusted)


def parts(gain_SR: Floats, se_SR: Floats, tested: float) -> Parts:
    """The components of variance of a router's gain over splits and seeds.

    ``se_SR`` is each gain's standard error over questions (`Line.gain_se`) and ``tested`` the share of the table's
    questions that a split tests.  Seeds are nested in splits, as a seed does something else on other training data:

    - seeds² = mean over splits of the variance over seeds;
    - questions² = mean of se²;
    - splits² = variance of the splits' means - seeds²/R - (1 - tested)·questions², or zero if that is negative.

    The last term is what two splits differ by only because they test different questions of the same table.  The
    standard error of the mean over all runs then is the root of
    tested·questions² + (splits² + (1 - tested)·questions² + seeds²/R) / S, where the first term never gets smaller by
    more splits: the table has no more questions.  The second term is estimated from S - 1 degrees of freedom, with one
    split its part of the seeds from R - 1, and the first from so many questions that they do not count; Satterthwaite's
    rule makes one number of them, (sum of the terms)² / (estimated term² / its degrees).  Two runs tell little of what
    runs differ by: where that is much more than what questions change, 9 verdicts in 100 are false on two splits
    instead of 5, and 12 on two seeds of one split; on three 7 and 8.

    Raises:
        BadInput: no run, the two have different shapes, or ``tested`` is no share.

    >>> found = parts(np.array([[0.10, 0.14], [0.02, 0.06]]), np.full((2, 2), 0.01), tested=0.3)
    >>> round(found.gain, 3), round(found.seeds, 3), round(found.splits, 3), found.questions
    (0.08, 0.028, 0.052, 0.01)

    Sources: Searle, Casella and McCulloch, Variance Components (1992), section 3.1 (analysis of variance, nested);
    Satterthwaite, An Approximate Distribution of Estimates of Variance Components (Biometrics Bulletin 2, 1946).
    """
    if gain_SR.size == 0 or gain_SR.shape != se_SR.shape or not 0 < tested <= 1:
        raise BadInput(f"runs of shapes {gain_SR.shape} and {se_SR.shape} with {tested:g} of the questions tested")
    s, r = gain_SR.shape
    questions2 = float((se_SR**2).mean())
    seeds2 = float(gain_SR.var(axis=1, ddof=1).mean()) if r > 1 else math.nan
    noise2 = _known(seeds2) / r + (1 - tested) * questions2
    between2 = float(gain_SR.mean(axis=1).var(ddof=1)) if s > 1 else math.nan
    splits2 = max(0.0, between2 - noise2) if s > 1 else math.nan
    runs2 = (_known(splits2) + noise2) / s
    se2 = tested * questions2 + runs2
    estimated2, degrees = (runs2, s - 1) if s > 1 else (_known(seeds2) / r, r - 1)
    return Parts(
        gain=float(gain_SR.mean()),
        se=math.sqrt(se2),
        questions=math.sqrt(questions2),
        splits=math.sqrt(splits2),
        seeds=math.sqrt(seeds2),
        freedom=degrees * (se2 / estimated2) ** 2 if estimated2 > 0 else math.inf,
    )


def spread(runs: Mapping[str, tuple[Floats, Floats]], tested: float) -> tuple[Spread, ...]:
    """The parts of several routers, each with its gains and their standard errors (S, R), best first.

    Raises:
        BadInput: as `parts` does.

    >>> (one,) = spread({"knn": (np.full((3, 1), 0.05), np.full((3, 1), 0.01))}, tested=0.3)
    >>> one.verdict, round(one.parts.se, 4)
    ('beats', 0.0073)
    """
    found = {router: parts(gain_SR, se_SR, tested) for router, (gain_SR, se_SR) in runs.items()}
    p_K = holm(np.array([one.p for one in found.values()]))
    listed = [Spread(router, one, float(p)) for (router, one), p in zip(found.items(), p_K, strict=True)]
    return tuple(sorted(listed, key=lambda one: (math.isnan(one.parts.gain), -one.parts.gain)))


def _known(variance: float) -> float:
    """A part that was not looked at adds nothing that could be told."""
    return 0.0 if math.isnan(variance) else variance
