"""The head of a cascade: what to expect of every model once one of them has answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.errors import UnknownModel
from waypost.outcomes import Outcomes
from waypost.routers.parts.answers import Outlook, answer_features, answers_of, canonical
from waypost.routers.parts.linear import Heads, fit_heads
from waypost.routers.parts.targets import check_prompts, prediction
from waypost.types import Answer, Encoder, Floats, Prediction


@dataclass
class Escalation:
    """Ridge heads on the prompt and cheap facts of one model's answer, for the quality and costs of all models.

    SafeRoute (Lee et al. 2025) learns whether the large model would be right where the small one is wrong; we
    predict every model's quality after seeing one answer, so that the gain of any next call is a difference, for
    any number of models.  The quality of an answer and the chance that there is none (the model declines) are
    separate heads: an expert that declines costs little, however often it does.  Head 0 has seen no answer; head
    1 + i has seen model i's.  Facts of an answer: length, digits, layout, refusal, whether it was cut or declined,
    its similarity to the prompt, and the mean log-probability of its tokens where the model gives it.

    Raises:
        BadTable: the table holds no answers, so there is nothing to look at.
    """

    when: ClassVar[str] = "after an answer"
    looks_at: ClassVar[str] = "prompt vector, answer"
    learns: ClassVar[str] = "supervised"

    alpha: float | None = None
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    center_HD: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    scale_HD: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    heads_HDK: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0, 0), np.float32), init=False)
    bias_HK: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    sigma_HK: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit the head without an answer, and one for each model whose answers were kept."""
        table = canonical(outcomes)
        declined_NM = _declined(table)
        answered_NM = np.where(declined_NM == 1, np.nan, table.quality_NM)
        values_NK = np.hstack([answered_NM, table.usd_NM, table.seconds_NM, declined_NM])
        vectors_ND = self.encoder.encode(table.prompts)
        heads = []
        for model in (None, *table.models):
            every: tuple[NDArray[np.intp], Sequence[Answer | None]] = (np.arange(len(table)), [None] * len(table))
            index, answers = answers_of(table, model) if model else every
            features_ND = answer_features(self.encoder, [table.prompts[n] for n in index], vectors_ND[index], answers)
            heads.append(fit_heads(features_ND, values_NK[index], table.weight_N[index],
                                   dim=self.encoder.dim, alpha=self.alpha))  # fmt: skip
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.center_HD, self.scale_HD, self.heads_HDK, self.bias_HK, _, self.sigma_HK, _ = (
            np.stack(part) for part in zip(*heads, strict=True)
        )
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What each model is expected to do before any answer."""
        check_prompts(self.models, prompts)
        features_ND = answer_features(self.encoder, prompts, self.encoder.encode(prompts), [None] * len(prompts))
        expected, declines_NM = self._outlook(0, features_ND)
        return expected._replace(quality_NM=expected.quality_NM * (1 - declines_NM))

    def revise(self, prompt: str, answer: Answer) -> Outlook:
        """What each model is expected to do, given one model's answer.

        Raises:
            UnknownModel: the answer is of a model that the head was not trained on.
        """
        check_prompts(self.models, [prompt])
        if answer.model not in self.models:
            raise UnknownModel(answer.model, self.models)
        features_ND = answer_features(self.encoder, [prompt], self.encoder.encode([prompt]), [answer])
        return self._outlook(1 + self.models.index(answer.model), features_ND)

    def _outlook(self, h: int, features_ND: Floats) -> Outlook:
        heads = Heads(self.center_HD[h], self.scale_HD[h], self.heads_HDK[h], self.bias_HK[h],
                      np.empty(0), self.sigma_HK[h], np.empty((0, 0)))  # fmt: skip
        m = len(self.models)
        values_NK = heads(features_ND)
        # A model that always declined has no quality to learn from.
        values_NK[:, :m] = np.nan_to_num(values_NK[:, :m])
        spread_NM = np.tile(np.nan_to_num(self.sigma_HK[h, :m]), (len(features_ND), 1))
        return Outlook(prediction(self.models, values_NK[:, : 3 * m], spread_NM), np.clip(values_NK[:, 3 * m :], 0, 1))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{}]


def _declined(table: Outcomes) -> Floats:
    """1 where a model declined, 0 where it answered, NaN where it was not asked: (N, M)."""
    known_NM = np.where(np.isnan(table.quality_NM), np.nan, 0.0)
    return known_NM if table.declined_NM is None else np.where(table.declined_NM, 1.0, known_NM)
