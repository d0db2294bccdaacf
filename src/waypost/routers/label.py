"""A language model labels the prompt, and each label has an expert: the model that did best on prompts so labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder, named
from waypost.encoders.language_model import LanguageModel
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.features import features
from waypost.routers.parts.targets import check_prompts, column_means, prediction, targets
from waypost.types import Encoder, Floats, Prediction

_QUESTION = "Say what each text is about: math, code, writing, chat or facts."
_LABELS = "math, code, writing, chat, facts"
_SHOTS = """What is 3 times 8? => math
Write a loop in Python. => code
Good morning, how are you? => chat
Write a short poem about rain. => writing
Which river flows through Paris? => facts"""


@dataclass
class Label:
    """A hard gate of words (LLMoE, Liu and Lo 2025, arXiv 2501.09636).

    A language model reads the prompt and says one of a few labels; each label has its own expert, learnt on the
    training prompts of that label alone.  Here the experts are the pool's models, and what a label knows of each is its
    mean on them, which leans on the model's overall mean as on ``prior`` further rows.

    ``question`` is what the language model is told, ``labels`` its words separated by commas, and ``shots`` one example
    a line, ``text => label``.  A small model prefers some words whatever the text, so with ``balanced`` each label's
    probability is taken relative to its mean on the training prompts (Zhao et al. 2021, arXiv 2102.09690, calibrate
    labels likewise); without it the likeliest word is the label, as in the paper.  ``rows`` is how many training
    prompts are read at most (spread evenly), ``path`` another model's GGUF file.  Any encoder may label instead, as
    ``labeller``: the largest number of its vector is the label, and the settings that tell a language model what to do
    are not looked at.

    The paper's labels are moods of a share's price, read by a hosted model from prices and headlines, and its experts
    are networks that predict the next day; only the pattern is taken.

    Raises:
        ValueError: ``prior`` or ``rows`` is not above 0, or a line of ``shots`` has no ``=>``.

    >>> from waypost.outcomes import example_table
    >>> router = Label(labeller=StaticEncoder()).fit(example_table())
    >>> router.predict(["What is 17 plus 26?"]).quality_NM.shape
    (1, 3)
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt text"
    learns: ClassVar[str] = "generative"
    needs: ClassVar[tuple[str, ...]] = ("local",)
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"prior": (5.0, 20.0), "balanced": (True, False)}

    question: str = _QUESTION
    labels: str = _LABELS
    shots: str = _SHOTS
    balanced: bool = True
    prior: float = 20.0
    rows: int = 2000
    path: str = ""
    labeller: Any = None  # an encoder, or its name
    encoder: Encoder = field(default_factory=StaticEncoder)  # of the costs
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    usual_L: Floats = field(default_factory=lambda: np.empty(0), init=False)
    means_LM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    errors_LM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        for name in ("prior", "rows"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for line in self.shots.splitlines():
            if "=>" not in line:
                raise ValueError(f"each line of shots must read 'text => label', got {line!r}")
        if isinstance(self.labeller, str):
            self.labeller = named(self.labeller)

    def fit(self, outcomes: Outcomes) -> Self:
        """Have some prompts labelled, and take each model's means by label."""
        table = targets(outcomes)
        m = len(table.models)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.costs = Costs.fitted(features(self.encoder, table.prompts), table, dim=self.encoder.dim)
        read = np.unique(np.linspace(0, len(table.prompts) - 1, int(self.rows)).round().astype(np.intp))
        seen_RL = self._labeller().encode([table.prompts[n] for n in read]).astype(np.float64)
        self.usual_L = np.square(seen_RL).mean(axis=0)
        quality_RM = table.values_NK[read, :m]
        weight_RM = (table.weight_N[read] / table.weight_N.mean())[:, None] * ~np.isnan(quality_RM)
        mean_M = column_means(table.values_NK[:, :m], table.weight_N)
        label_R = self._label(seen_RL)
        self.means_LM, self.errors_LM = np.empty((2, seen_RL.shape[1], m))
        for label in range(seen_RL.shape[1]):
            rows = label_R == label
            count_M = weight_RM[rows].sum(axis=0) + self.prior
            sum_M = (weight_RM[rows] * np.nan_to_num(quality_RM[rows])).sum(axis=0) + self.prior * mean_M
            self.means_LM[label] = sum_M / count_M
            # A quality between 0 and 1 deviates by at most as much as a coin of its mean, which is never sure.
            coin_M = (self.means_LM[label] * count_M + 0.5) / (count_M + 1)
            self.errors_LM[label] = np.sqrt(coin_M * (1 - coin_M) / count_M)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Look up the means of each prompt's label."""
        check_prompts(self.models, prompts)
        label_N = self._label(self._labeller().encode(prompts).astype(np.float64))
        values_NK = np.hstack([self.means_LM[label_N], self.costs(features(self.encoder, prompts))])
        return prediction(self.models, values_NK, self.errors_LM[label_N])

    def label(self, prompts: Sequence[str]) -> list[str]:
        """What each prompt is labelled; numbers where the labeller's labels have no names."""
        check_prompts(self.models, prompts)
        labeller = self._labeller()
        names = getattr(labeller, "labels", [str(number) for number in range(labeller.dim)])
        return [names[place] for place in self._label(labeller.encode(prompts).astype(np.float64))]

    def _labeller(self) -> Encoder:
        if self.labeller is not None:
            chosen: Encoder = self.labeller
            return chosen
        pairs = (line.rsplit("=>", 1) for line in self.shots.splitlines())
        shots = [(text.strip(), label.strip()) for text, label in pairs]
        labels = [label.strip() for label in self.labels.split(",")]
        return LanguageModel(self.question, labels, shots, path=self.path or None)

    def _label(self, seen_NL: Floats) -> Floats:
        """The place of each prompt's label."""
        if self.balanced:
            seen_NL = seen_NL / np.sqrt(np.maximum(self.usual_L, 1e-12))
        return np.asarray(seen_NL.argmax(axis=1))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`; few rows, since reading one takes tens of milliseconds."""
        return [{"rows": 12}, {"rows": 12, "balanced": False, "prior": 5.0}]
