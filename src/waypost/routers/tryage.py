"""Tryage: a network that predicts what each expert would lose on the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.added import costs_with, measured
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.perceptron import DIVERGENCES, Descent, Perceptron, check_descent
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Encoder, Floats, ModelCard, Prediction


@dataclass
class Tryage:
    """Predicts each expert's loss from the prompt, so that the least expected loss decides.

    Named after triage in medicine: a router that perceives looks at the prompt before any expert does, predicts the
    loss L_m of every expert m, and is trained to lower the divergence between predicted and true losses. The choice is
    argmin_m L_m + sum_j lambda_j C_j(m), with C_j the size, recency, openness ... that a user's flags ask for.  The
    first term is what this router predicts; the second is the objective's: ``Objective(flags={"smaller": 0.2})``.

    Loss is 1 − quality. Where experts are language models, let quality be 1 − bits per byte / 8 (1 is certainty, 0 a
    guess that knows nothing): as that is linear, expected loss and expected quality are the same thing, and flags weigh
    against the loss itself, as in the paper.

    `with_model` gives a new model heads of its own on the layers as they are, so that nothing is trained again.

    ``divergence`` is ``squared``, or ``kl``, which takes a loss as the chance of failing.  ``hidden`` units
    stand in each of ``layers``; ``dropout``, ``lr``, ``weight_decay``, ``batch``, ``epochs`` and ``patience`` are those
    of the training.  Torch is needed to fit, not to predict.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.objective import Objective
    >>> from waypost.outcomes import example_table
    >>> from waypost.types import ModelCard
    >>> router = Tryage(hidden=16, epochs=15).fit(example_table(300))
    >>> cards = {"tiny": ModelCard("tiny", parameters=0.1), "maths-expert": ModelCard("maths-expert", parameters=7),
    ...          "large": ModelCard("large", parameters=70)}
    >>> expected = router.predict(["What is 17 plus 26?"])
    >>> [Objective(flags={"smaller": weight}).choose(expected, cards).model for weight in (0, 2)]
    ['maths-expert', 'tiny']

    Source: Hari and Thomson 2023, arXiv 2308.11601.  The paper fine-tunes a small BERT as router; here the encoder is
    frozen and the layers above it are trained.  The paper does not price calls: USD and seconds come from
    ridge heads, and the spread from the last hidden layer and prompts that were held out.
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface"
    learns: ClassVar[str] = "supervised"
    needs: ClassVar[tuple[str, ...]] = ("train",)
    independent_heads: ClassVar[bool] = False  # the hidden layers are shared
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"hidden": (64, 256), "dropout": (0.0, 0.3)}

    divergence: str = "squared"
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.1
    lr: float = 2e-3
    weight_decay: float = 0.01
    batch: int = 64
    epochs: int = 200
    patience: int = 10
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    losses: Perceptron = field(default_factory=Perceptron, init=False)
    costs: Costs = field(default_factory=Costs, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)

    def __post_init__(self) -> None:
        check_descent(self._descent)
        if self.divergence not in DIVERGENCES:
            raise ValueError(f"divergence must be one of {', '.join(DIVERGENCES)}, got {self.divergence!r}")

    @property
    def _descent(self) -> Descent:
        return Descent(*(getattr(self, name) for name in Descent._fields))

    def fit(self, outcomes: Outcomes) -> Self:
        """Train the network of losses, and fit the heads of costs."""
        table = targets(outcomes)
        x_ND = features(self.encoder, table.prompts)
        loss_NM = 1 - table.values_NK[:, : len(table.models)]
        self.losses, trained = Perceptron.fitted(
            x_ND,
            loss_NM,
            table.weight_N,
            table.prompts,
            dim=self.encoder.dim,
            divergence=self.divergence,
            descent=self._descent,
            router="tryage",
        )
        hidden_NH = self.losses.hidden(x_ND)
        residual_RM = (loss_NM - self._expected(hidden_NH))[trained.held_N]
        self.doubt = Doubt.fitted(hidden_NH, residual_RM, table.weight_N)
        self.costs = Costs.fitted(x_ND, table, dim=self.encoder.dim)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        return self

    def _expected(self, hidden_NH: Floats) -> Floats:
        """The loss of each expert, (N, M), in 0..1."""
        return np.clip(self.losses.heads(hidden_NH), 0, 1)

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """One small network, in numpy."""
        check_prompts(self.models, prompts)
        x_ND = features(self.encoder, prompts)
        hidden_NH = self.losses.hidden(x_ND)
        values_NK = np.hstack([1 - self._expected(hidden_NH), self.costs(x_ND)])
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
        new, loss_A1 = copy(self), 1 - rows.values_A3[:, :1]
        new.losses = self.losses.with_heads(x_AD, loss_A1, rows.weight_A, [m])
        new.costs = costs_with(self.costs, x_AD, rows, dim=self.encoder.dim)
        off_A = loss_A1[:, 0] - new.losses(x_AD)[:, m]
        sigma = float(np.sqrt((rows.weight_A @ np.square(off_A) + 0.25) / (rows.weight_A.sum() + 1)))
        new.doubt = replace(self.doubt, sigma_M=np.append(self.doubt.sigma_M, sigma))
        new.models = (*self.models, card.name)
        return new

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        small: dict[str, object] = {"hidden": 8, "epochs": 4, "batch": 80}
        return [small, {**small, "divergence": "kl", "layers": 2, "epochs": 2}]
