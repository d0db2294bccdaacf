"""CARROT's encoder form: a network from the prompt's vector to every model's quality, and one to their costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import measured
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.perceptron import Descent, Perceptron, check_descent
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, ModelCard, Prediction


@dataclass
class CarrotEncoder:
    """Estimates quality with one sigmoid a model, and USD and seconds with one regression head each.

    CARROT (Cost AwaRe Rate Optimal rouTer) shows that a router may estimate quality and cost apart and put the
    estimates into the trade-off as if they were true: with more rows its regret shrinks as fast as any router's can.
    The form here estimates with an encoder. Its vector, beside the facts of the prompt's surface, goes through hidden
    layers into one sigmoid per model, trained on binary cross-entropy over all models at once; a quality between 0
    and 1 is a soft label, and cells that were not measured count nothing.  A second network of the same shape
    regresses USD and seconds.  Each stops when it no longer improves on a tenth of the prompts that is kept apart, and
    those prompts also tell how far off it is (the spread).

    `with_model` gives a new model heads of its own on the layers as they are, so that nothing is trained again.

    ``hidden`` units stand in each of ``layers``; ``dropout``, ``lr``, ``weight_decay``, ``batch``, ``epochs`` and
    ``patience`` are those of the training.  Torch is needed to fit, not to predict.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.outcomes import example_table
    >>> router = CarrotEncoder(hidden=16, epochs=15).fit(example_table(300))
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']

    Source: Somerstep et al. 2025, arXiv 2502.03261.  The paper fine-tunes RoBERTa-base and regresses output tokens,
    which it multiplies by prices; here the encoder is frozen and only the layers above it are trained, and since a
    table holds what each call cost, that is regressed, as z-scores per model (the paper does so on RouterBench).  The
    cost itself and not its logarithm: an objective weighs the expected cost, which the mean of logarithms falls
    short of.  The public code reads padding as if it were text, so that a prompt's estimate depends on its batch; here
    it never does.
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface"
    learns: ClassVar[str] = "supervised"
    needs: ClassVar[tuple[str, ...]] = ("train",)
    independent_heads: ClassVar[bool] = False  # the hidden layers are shared
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"hidden": (32, 128), "dropout": (0.1, 0.5)}

    hidden: int = 64
    layers: int = 1
    dropout: float = 0.3
    lr: float = 2e-3
    weight_decay: float = 0.01
    batch: int = 64
    epochs: int = 200
    patience: int = 10
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    quality: Perceptron = field(default_factory=Perceptron, init=False)
    costs: Perceptron = field(default_factory=Perceptron, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)

    def __post_init__(self) -> None:
        check_descent(self._descent)

    @property
    def _descent(self) -> Descent:
        return Descent(*(getattr(self, name) for name in Descent._fields))

    def fit(self, outcomes: Outcomes) -> Self:
        """Train both networks."""
        table = targets(outcomes)
        m = len(table.models)
        x_ND = features(self.encoder, table.prompts)
        quality_NM, costs_NK = table.values_NK[:, :m], table.values_NK[:, m:]
        how: Any = {"dim": self.encoder.dim, "descent": self._descent, "router": "carrot_encoder"}
        rows = table.weight_N, table.prompts
        self.quality, trained = Perceptron.fitted(x_ND, quality_NM, *rows, divergence="kl", **how)
        self.costs, _ = Perceptron.fitted(x_ND, costs_NK, *rows, divergence="squared", **how)
        hidden_NH = self.quality.hidden(x_ND)
        residual_RM = (quality_NM - self.quality.heads(hidden_NH))[trained.held_N]
        self.doubt = Doubt.fitted(hidden_NH, residual_RM, table.weight_N)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Two small networks, in numpy."""
        check_prompts(self.models, prompts)
        x_ND = features(self.encoder, prompts)
        hidden_NH = self.quality.hidden(x_ND)
        values_NK = np.hstack([self.quality.heads(hidden_NH), self.costs(x_ND)])
        return prediction(self.models, values_NK, self.doubt(hidden_NH))

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """A new router that also knows ``card.name``, from its rows in a table; some 50 suffice.

        The hidden layers stay as they are, and so does what is expected of the other models.  The doubt about the new
        one is that of its own rows, which its head was fitted to, and so a little too small.

        Raises:
            BadInput: the model is known already, or the table has no outcomes of it.
        """
        check_prompts(self.models, ())
        rows, m = measured(card, outcomes, self.models), len(self.models)
        x_AD = features(self.encoder, rows.prompts)
        new = copy(self)
        new.quality = self.quality.with_heads(x_AD, rows.values_A3[:, :1], rows.weight_A, [m])
        new.costs = self.costs.with_heads(x_AD, rows.values_A3[:, 1:], rows.weight_A, [m, 2 * m])
        off_A = rows.values_A3[:, 0] - new.quality(x_AD)[:, m]
        sigma = float(np.sqrt((rows.weight_A @ np.square(off_A) + 0.25) / (rows.weight_A.sum() + 1)))
        new.doubt = replace(self.doubt, sigma_M=np.append(self.doubt.sigma_M, sigma))
        new.models = (*self.models, card.name)
        return new

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"hidden": 8, "epochs": 4, "batch": 80}, {"hidden": 4, "layers": 2, "epochs": 2, "batch": 80}]
