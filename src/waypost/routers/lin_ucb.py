"""LinUCB: takes the model that might be best, and learns from what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from waypost.routers.parts.arms import Bandit, Known
from waypost.types import Floats


@dataclass
class LinUCB(Bandit):
    """Expects by a linear regression for each model, and explores where that could be better than it knows.

    Someone who serves sees only the outcome of the model that was asked.  So the router keeps, for each model, a ridge
    regression of the outcomes seen so far and how unsure it is of each prompt.  While exploring it believes of each
    model the upper end of what is plausible, ``expected + width · standard error``: a model is taken because it is
    good or because it is little known, and what is known of a bad one soon speaks against it.  ``predict`` is what is
    expected, and pure; `explore`, `propensities` and `update` are for serving (`waypost.routers.online`).

    ``width`` is the paper's alpha in standard errors; ``ridge`` the weight of the prior; ``dims`` how many principal
    components of the prompt's vector are looked at, beside the surface; ``memory`` the outcomes (of all models
    together) after which an old one counts a third (1/e), None forgets nothing; ``alarm`` the threshold of a detector
    (Page 1954) that forgets a model's past when its outcomes have turned; ``epsilon`` the share of choices that are
    spread evenly, so that every logged probability is above zero and logs can be evaluated.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.outcomes import example_table
    >>> router = LinUCB().fit(example_table())
    >>> prompt = "What is 17 plus 26?"
    >>> router.models[router.predict([prompt]).quality_NM.argmax()]
    'maths-expert'
    >>> before = router.predict([prompt]).quality_NM[0, 1]
    >>> for _ in range(50):
    ...     router.update(prompt, "maths-expert", quality=0.0)
    >>> bool(router.predict([prompt]).quality_NM[0, 1] < before - 0.3)
    True

    Source: Li, Chu, Langford and Schapire 2010, A Contextual-Bandit Approach to Personalized News Article
    Recommendation, arXiv 1003.0146, algorithm 1 (disjoint linear models).  Where we differ: the width is in standard
    errors (the paper's bound times the deviation of an outcome, which is estimated), since qualities of all kinds come
    in; the mean of a model is its prior and not zero; the forgetting, the detector and epsilon are not the paper's.
    """

    def _drawn(self, known: Known, rng: np.random.Generator, draws: int) -> Floats:
        upper_NM = known.quality_NM + self.width * known.error_NM
        return np.broadcast_to(upper_NM, (draws, *upper_NM.shape))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}, {"memory": 100, "dims": 8, "alarm": None}]
