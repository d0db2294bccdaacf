"""A language model judges how well a prompt would be answered; what its verdict is worth is learnt from outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.encoders.language_model import DIFFICULTY, MARKS, LanguageModel
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.linear import fit_heads
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.types import Encoder, Floats, Prediction


@dataclass
class PreferenceJudge:
    """A language model as judge (RouteLLM, Ong et al. 2024, arXiv 2406.18665, section 4.2, "Causal LLM classifier").

    The model is asked to mark, from 1 to 5, how well a small model would answer, and the probabilities of the five
    marks are read off; nothing is written.  The paper sends a prompt to the strong model with the probability of a
    mark below ``good`` (4).  Here these probabilities are what a ridge regression per model sees, which learns from
    outcomes what each mark is worth.

    Without ``calibrated``, the judge is believed as it is: the model of the least mean quality is expected to do as
    well as the probability of a good mark, the best one to be right, and others in between by their mean.  With two
    models, the strong one's lead is then the paper's probability, P(mark < good).

    ``question`` is what the model is told, ``alpha`` the penalty (None picks one per model by leave-one-out error),
    ``rows`` how many training prompts are read at most (spread evenly), and ``path`` another model's GGUF file.

    We differ from the paper in the judge: its Llama-3-8B is trained on votes to give the marks; ours, SmolLM2-135M, is
    as it came and small enough to run beside the gateway.

    Raises:
        ValueError: ``good`` is outside 2..5, or ``alpha`` or ``rows`` not above 0.

    >>> PreferenceJudge(good=9)
    Traceback (most recent call last):
    ...
    ValueError: good must be a mark from 2 to 5, got 9
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt text"
    learns: ClassVar[str] = "preference"
    needs: ClassVar[tuple[str, ...]] = ("local",)
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"alpha": (None, 10.0, 100.0)}

    question: str = DIFFICULTY
    good: int = 4
    calibrated: bool = True
    alpha: float | None = None
    rows: int = 2000
    path: str = ""
    encoder: Encoder = field(default_factory=StaticEncoder)  # of the costs
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    mean_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    center_L: Floats = field(default_factory=lambda: np.empty(0), init=False)
    heads_LM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        if not 2 <= self.good <= len(MARKS):
            raise ValueError(f"good must be a mark from 2 to {len(MARKS)}, got {self.good}")
        if self.alpha is not None and self.alpha <= 0:
            raise ValueError(f"alpha must be above 0 (or None to choose it), got {self.alpha}")
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")

    @property
    def independent_heads(self) -> bool:
        """Whether adding a model leaves the other predictions as they are; the uncalibrated compares them."""
        return self.calibrated

    @property
    def judge(self) -> LanguageModel:
        """The language model with the question that it is asked."""
        return LanguageModel(self.question, path=self.path or None)

    def fit(self, outcomes: Outcomes) -> Self:
        """Have some prompts judged, and learn what marks are worth."""
        table = targets(outcomes)
        m = len(table.models)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.costs = Costs.fitted(features(self.encoder, table.prompts), table, dim=self.encoder.dim)
        self.mean_M = column_means(table.values_NK[:, :m], table.weight_N)
        read = np.unique(np.linspace(0, len(table.prompts) - 1, self.rows).round().astype(np.intp))
        weight_R = table.weight_N[read] + 1e-9
        marks_RL = self._vectors([table.prompts[n] for n in read])
        off_RM = table.values_NK[read, :m] - self.mean_M
        fit = fit_heads(marks_RL, off_RM, weight_R, dim=len(MARKS), alpha=self.alpha)
        # Of a model measured on none of the prompts that were read, only the mean is known.
        self.center_L, self.heads_LM = fit.center_D, np.vstack([fit.heads_DK, np.nan_to_num(fit.bias_K)])
        # Only the size of the errors counts: that of the rows when each is left out, not of rows that were fitted.
        unseen_RM = np.where(np.isnan(off_RM), np.nan, fit.sigma_K)
        self.doubt = Doubt.fitted(marks_RL, unseen_RM, weight_R, alpha=self.alpha or 1.0)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Have the prompts judged."""
        check_prompts(self.models, prompts)
        marks_NL = self._vectors(prompts)
        above_M = self.mean_M - self.mean_M.min()
        if self.calibrated or above_M.max() == 0:  # of equal models there is no strong one
            quality_NM = self.mean_M + self._leads(marks_NL)
        else:
            good_N1 = np.square(marks_NL[:, self.good - 1 :]).sum(axis=1, keepdims=True)
            quality_NM = good_N1 + (1 - good_N1) * above_M / above_M.max()
        costs_NK = self.costs(features(self.encoder, prompts))
        return prediction(self.models, np.hstack([quality_NM, costs_NK]), self.doubt(marks_NL))

    def _vectors(self, prompts: Sequence[str]) -> Floats:
        return self.judge.encode(prompts).astype(np.float64)

    def _leads(self, marks_NL: Floats) -> Floats:
        """How much more than its mean each model is expected to reach."""
        return np.asarray((marks_NL - self.center_L) @ self.heads_LM[:-1] + self.heads_LM[-1])

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`; few rows, since reading one takes tens of milliseconds."""
        return [{"rows": 12}, {"rows": 12, "calibrated": False}]
