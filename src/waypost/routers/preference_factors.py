"""A factor of the prompt times a factor of each model: matrix factorisation of the table of who beats whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts import preferences
from waypost.routers.parts.added import costs_with
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.routers.parts.training import Trained, torch_or_sentence, train
from waypost.types import Encoder, Floats, ModelCard, Prediction

if TYPE_CHECKING:
    from torch import LongTensor, Tensor

_STEPS = 500  # of descent for a model that comes later


@dataclass
class PreferenceFactors:
    """Matrix factorisation (RouteLLM, Ong et al. 2024, arXiv 2406.18665, section 4.2).

    The strength of model M at prompt q is delta(M, q) = w' (v_M / |v_M| * W' e(q)): the prompt's vector e(q) is
    projected to ``dim`` numbers, multiplied by the model's vector number by number, and summed with weights.  One
    model beats another with probability sigmoid(delta(winner) - delta(loser)); the vectors are those of least cross
    entropy on all pairs of models that were measured on a training prompt.  A model's quality is its mean plus a slope
    times how much more often than usual it is expected to beat the others; the slope comes from held-out prompts.

    ``noise`` is the deviation of the noise added to each number of e(q) in training; ``lr``, ``weight_decay``,
    ``batch``, ``epochs`` are those of the descent, which stops when a held-out tenth gets no better.  With ``ties``,
    equal scores are half a win for each; without, they are left out, as in the paper's code, and then what is learnt is
    who wins if somebody does.

    We differ from the paper in the encoder (static vectors for text-embedding-3-small), in learning from scores (all
    pairs of a prompt at once) instead of votes, in ties, and in stopping early, where its code keeps the last epoch.
    With two models the probability is the paper's.  Descent needs torch; predicting is one matrix product.

    Raises:
        ValueError: a setting is not above 0 (``noise`` and ``weight_decay`` may be 0).

    >>> from waypost.outcomes import example_table
    >>> router = PreferenceFactors(dim=16, lr=0.01, epochs=30).fit(example_table())
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector"
    learns: ClassVar[str] = "preference"
    needs: ClassVar[tuple[str, ...]] = ("train",)
    independent_heads: ClassVar[bool] = False  # a strength is one among the others
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"lr": (3e-4, 3e-3), "ties": (True, False)}

    dim: int = 128
    noise: float = 0.1
    ties: bool = True
    lr: float = 3e-4
    weight_decay: float = 1e-5
    batch: int = 64
    epochs: int = 100
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    fitted: int = field(default=0, init=False)  # models that were fitted together
    projection_DF: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)  # W
    weight_F: Floats = field(default_factory=lambda: np.empty(0), init=False)  # w
    factor_MF: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)  # v, of length 1
    scale: preferences.Scale = field(default_factory=preferences.Scale, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        for name in ("dim", "lr", "batch", "epochs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("noise", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Descend, then learn what a standing means for quality."""
        table = targets(outcomes)
        m = len(table.models)
        quality_NM = table.values_NK[:, :m]
        features_ND = features(self.encoder, table.prompts)
        vectors_ND = features_ND[:, : self.encoder.dim]
        self.models, self.trained_on, self.fitted = table.models, outcomes.fingerprint, m
        weight_N = table.weight_N / table.weight_N.mean()
        held_N = self._descend(vectors_ND, quality_NM, weight_N, table.prompts).held_N
        # A table of one prompt has none to hold out.
        held_N = held_N if weight_N @ held_N > 0 else np.ones_like(held_N)
        standing_NM = preferences.standing(self._strengths(vectors_ND), m)
        one_fold_N = np.zeros(len(held_N), dtype=np.intp)
        self.scale = preferences.Scale.fitted(standing_NM, quality_NM, weight_N, one_fold_N, held_N)
        off_RM = (quality_NM - self.scale(standing_NM))[held_N]
        self.doubt = Doubt.fitted(vectors_ND, off_RM, weight_N)
        self.costs = Costs.fitted(features_ND, table, dim=self.encoder.dim)
        return self

    def _descend(self, vectors_ND: Floats, quality_NM: Floats, weight_N: Floats, prompts: Sequence[str]) -> Trained:
        torch = torch_or_sentence("preference_factors")
        rng = np.random.default_rng(self.seed)
        d, m, f = vectors_ND.shape[1], quality_NM.shape[1], self.dim
        starts = (
            rng.uniform(-1, 1, (d, f)) / np.sqrt(d), rng.uniform(-1, 1, f) / np.sqrt(f), rng.normal(size=(m, f)),
        )  # fmt: skip
        module = torch.nn.ParameterList([torch.tensor(start, dtype=torch.float32) for start in starts])
        vectors, quality, weight = (torch.tensor(a, dtype=torch.float32) for a in (vectors_ND, quality_NM, weight_N))
        first, second = torch.triu_indices(m, m, 1)

        def loss(rows: LongTensor) -> Tensor:
            projection, weights, factors = module
            seen = vectors[rows]
            if module.training:
                seen = seen + self.noise * torch.randn_like(seen)
            delta = (seen @ projection * weights) @ torch.nn.functional.normalize(factors, dim=1).T
            ahead = quality[rows][:, first] - quality[rows][:, second]
            counts = weight[rows, None] * ~(ahead.isnan() if self.ties else ahead.isnan() | (ahead == 0))
            won = (torch.sign(ahead.nan_to_num()) + 1) / 2
            entropy: Tensor = torch.nn.functional.binary_cross_entropy_with_logits(
                delta[:, first] - delta[:, second], won, counts, reduction="sum"
            )
            return entropy.div(counts.sum().clamp(min=1e-6))

        trained = train(
            module.parameters(), loss, prompts, seed=self.seed, epochs=self.epochs, batch=self.batch, lr=self.lr,
            weight_decay=self.weight_decay, module=module,
        )  # fmt: skip
        learned = [parameter.detach().numpy().astype(np.float64) for parameter in module]
        self.projection_DF, self.weight_F, factor_MF = learned
        self.factor_MF = factor_MF / np.linalg.norm(factor_MF, axis=1, keepdims=True)
        return trained

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """One product for all strengths."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        vectors_ND = features_ND[:, : self.encoder.dim]
        standing_NM = preferences.standing(self._strengths(vectors_ND), self.fitted)
        values_NK = np.hstack([self.scale(standing_NM), self.costs(features_ND)])
        return prediction(self.models, values_NK, self.doubt(vectors_ND))

    def beats(self, prompts: Sequence[str]) -> Floats:
        """The probability that the model of each row beats that of each column, (N, M, M)."""
        check_prompts(self.models, prompts)
        return preferences.beats(self._strengths(self.encoder.encode(prompts).astype(np.float64)))

    def _strengths(self, vectors_ND: Floats) -> Floats:
        return np.asarray(vectors_ND @ (self.projection_DF @ (self.factor_MF * self.weight_F).T))

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """This router with one more model, of the rows where it met others; theirs stay as they are.

        Its vector is the one of unit length and least cross entropy, found by projected descent from the best of the
        known models' vectors; the projection stays.
        """
        met = preferences.Met.of(card.name, self.models[: self.fitted], outcomes, known=self.models)
        features_nD = features(self.encoder, met.prompts)
        vectors_nD = features_nD[:, : self.encoder.dim]
        prompt_nF = vectors_nD @ self.projection_DF * self.weight_F
        others_nM = self._strengths(vectors_nD)[:, : self.fitted]
        met_nM = met.weight_n[:, None] * met.others_nM * ((met.beaten_nM != 0.5) if not self.ties else 1.0)

        def off(factor_F: Floats) -> Floats:
            """What is won beyond what is expected."""
            return met_nM * (met.beaten_nM - preferences.sigmoid((prompt_nF @ factor_F)[:, None] - others_nM))

        factor_F = min(self.factor_MF, key=lambda known_F: float(np.square(off(known_F)).sum()))
        step = 4 / max(float(np.linalg.norm(prompt_nF, 2)) ** 2 * met_nM.sum(axis=1).max(), 1e-12)
        for _ in range(_STEPS):
            factor_F = factor_F + step * prompt_nF.T @ off(factor_F).sum(axis=1)
            factor_F /= np.linalg.norm(factor_F)
        router = copy(self)
        router.models = (*self.models, card.name)
        router.factor_MF = np.vstack([self.factor_MF, factor_F])
        standing_nM = preferences.standing(router._strengths(vectors_nD), self.fitted)
        router.scale = self.scale.with_model(standing_nM[:, -1], met.quality_n, met.weight_n)
        router.doubt = replace(self.doubt, sigma_M=np.append(self.doubt.sigma_M, router.scale.sigma_M[-1]))
        router.costs = costs_with(self.costs, features_nD, met.rows, dim=self.encoder.dim)
        return router

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"dim": 8, "lr": 0.03, "epochs": 4}, {"dim": 4, "lr": 0.03, "epochs": 3, "ties": False, "seed": 3}]
