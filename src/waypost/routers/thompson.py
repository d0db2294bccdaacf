"""Thompson sampling: believes of each model what could be true, as often as it could be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from waypost.routers.parts.arms import Bandit, Known
from waypost.types import Floats


@dataclass
class Thompson(Bandit):
    """Expects by a linear regression for each model, and explores by drawing from what it holds possible.

    Each model has a Bayesian linear regression on the outcomes seen so far.  To explore, one value of its quality is
    drawn from the posterior, ``N(expected, (width · standard error)²)``, and the best draw is taken: a model is chosen
    with about the probability of being the best, so doubt is spent where it matters and dies out by itself.
    ``predict`` is what is expected, and pure; `explore`, `propensities` and `update` are for serving
    (`waypost.routers.online`).

    ``width`` is the paper's v in deviations of an outcome; ``draws`` how many draws stand behind a probability: the
    model served is one of these draws, so the logged probability is exact for the policy "make the draws, then take
    one".  ``ridge``, ``dims``, ``memory``, ``alarm`` and ``epsilon`` are as in `waypost.routers.LinUCB`.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.outcomes import example_table
    >>> router = Thompson().fit(example_table())
    >>> one, other = (router.explore(["What is 17 plus 26?"], seed).quality_NM for seed in (0, 1))
    >>> bool((one != other).all()), bool((router.explore(["What is 17 plus 26?"], 1).quality_NM == other).all())
    (True, True)

    Source: Agrawal and Goyal 2013, Thompson Sampling for Contextual Bandits with Linear Payoffs, arXiv 1209.3352,
    algorithm 1.  Where we differ: each model has parameters of its own (the paper shares one vector; with the context
    repeated for each model the two are the same); v is ``width`` times the estimated deviation of an outcome and not
    the proof's bound, which explores far too much; the forgetting, the detector and epsilon are not the paper's.
    """

    draws: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws}")

    @property
    def _draws(self) -> int:
        return self.draws

    def _drawn(self, known: Known, rng: np.random.Generator, draws: int) -> Floats:
        # Models' parameters are independent and so are prompts' decisions: a quality's own normal says it all.
        noise_SNM = rng.normal(size=(draws, *known.quality_NM.shape))
        return known.quality_NM + self.width * known.error_NM * noise_SNM

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"memory": 100, "draws": 16}]
