"""A small neural network for each model's quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.regressors import per_model
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, Prediction

_BLOCK = 64


@dataclass
class MLP:
    """A multilayer perceptron from the prompt's vector, one a model (RouterBench, Hu et al. 2024, arXiv 2403.12031).

    Each of ``layers`` hidden layers has ``hidden`` units that pass on what is above zero, and the last is a weighted
    sum: the expected quality.  scikit-learn's ``MLPRegressor`` trains with Adam (``lr``) for at most ``epochs``, with
    the paper's settings; what is kept are the weights, and predictions equal its own, kept within 0..1.

    Differs: with ``stop_early`` a tenth of the rows is held out of training, which ends when these have not got better
    for ten epochs (the public code goes on until the training loss rests); the target is what a row has more than the
    model's mean, so that training starts from the mean; costs are predicted for each prompt (ridge heads), where the
    public code has prices per token; rows have weights; a model with fewer than 20 rows is expected to do as it does
    on average; the encoder is ours.  The spread is a linear head's standard error on the vector, with the errors on a
    tenth of the prompts that was held out.  A network cannot be told which rows are of one prompt, so a table with
    many equal prompts stops later than it should.

    Raises:
        ValueError: a setting is not above 0.

    >>> from waypost.outcomes import example_table
    >>> router = MLP(hidden=20, lr=0.01).fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "supervised"
    grid: ClassVar[dict[str, tuple[object, ...]]] = {"layers": (1, 2), "alpha": (1e-4, 1e-2)}

    hidden: int = 100
    layers: int = 1
    lr: float = 1e-3
    alpha: float = 1e-4
    epochs: int = 200
    stop_early: bool = True
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    # Of each layer and model: "weight_0" (M, D, H), "bias_0" (M, H), and so on; the last has one unit.
    nets: dict[str, Floats] = field(default_factory=dict, init=False)
    costs: Costs = field(default_factory=Costs, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "lr", "epochs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.alpha < 0:
            raise ValueError(f"alpha must be at least 0, got {self.alpha}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Train a network for each model, and fit the costs."""
        table = targets(outcomes)
        dim = self.encoder.dim
        features_ND = features(self.encoder, table.prompts)
        x_ND = features_ND[:, :dim]
        nets, mean_M, error_RM = per_model(x_ND, table, self._regressor, less_mean=True)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        sizes = [dim, *(self.hidden,) * self.layers, 1]
        self.nets = {}
        for layer, (wide, narrow) in enumerate(pairwise(sizes)):
            nothing = np.zeros((wide, narrow)), np.zeros(narrow)
            parts = [nothing if net is None else (net.coefs_[layer], net.intercepts_[layer]) for net in nets]
            self.nets[f"weight_{layer}"] = np.stack([weight for weight, _ in parts])
            self.nets[f"bias_{layer}"] = np.stack([bias for _, bias in parts])
        self.nets[f"bias_{self.layers}"] += mean_M[:, None]
        self.costs = Costs.fitted(features_ND, table, dim=dim)
        self.doubt = Doubt.fitted(x_ND, error_RM, table.weight_N)
        return self

    def _regressor(self) -> Any:
        from sklearn.neural_network import MLPRegressor

        return MLPRegressor(
            hidden_layer_sizes=(self.hidden,) * self.layers,
            learning_rate_init=self.lr,
            alpha=self.alpha,
            max_iter=self.epochs,
            early_stopping=self.stop_early,
            random_state=self.seed,
        )

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Every model's network, side by side."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        x_ND = features_ND[:, : self.encoder.dim]
        blocks = [self._quality(x_ND[start : start + _BLOCK]) for start in range(0, max(len(x_ND), 1), _BLOCK)]
        return prediction(self.models, np.hstack([np.vstack(blocks), self.costs(features_ND)]), self.doubt(x_ND))

    def _quality(self, x_BD: Floats) -> Floats:
        values_MBH = x_BD @ self.nets["weight_0"] + self.nets["bias_0"][:, None]
        for layer in range(1, self.layers + 1):
            np.maximum(values_MBH, 0, out=values_MBH)
            values_MBH = values_MBH @ self.nets[f"weight_{layer}"] + self.nets[f"bias_{layer}"][:, None]
        return np.asarray(values_MBH[:, :, 0].T)

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"hidden": 8, "lr": 0.02, "epochs": 15}, {"hidden": 4, "layers": 2, "epochs": 5, "stop_early": False}]
