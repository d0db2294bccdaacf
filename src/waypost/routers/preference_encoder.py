"""A classifier of who wins, who loses and what is a tie between any two models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts import davidson
from waypost.routers.parts.added import costs_with
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.level import Level
from waypost.routers.parts.perceptron import Perceptron
from waypost.routers.parts.preferences import Met, Scale
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.routers.parts.training import Trained, torch_or_sentence, train
from waypost.types import Encoder, Floats, ModelCard, Prediction

if TYPE_CHECKING:
    from torch import LongTensor, Tensor

_BATCH = 64


@dataclass
class PreferenceEncoder:
    """A classifier of preferences (RouteLLM's BERT router, Ong et al. 2024, arXiv 2406.18665, section 4.2).

    The paper's classifier reads the prompt and has three outputs for its two models: the strong one wins, a tie, the
    weak one wins. Their softmax gives P(strong) = 1 - (p_tie + p_weak).  Here there is one output per model, its
    strength s, and one for ties, t. Of any two models a and b the softmax of s_a, t + (s_a + s_b) / 2 and s_b is
    the chance that a wins, of a tie, and that b wins: Davidson's model of ties (1970), whose strengths depend on
    the prompt.  With two models it is the paper's softmax, since any three outputs can be written so; with more, what
    is learnt of a model in one pair serves in all.  The outputs stand on a hidden layer over the encoder's vector;
    they are those of greatest likelihood on all pairs of models that were measured on a training prompt.

    If scores are right or wrong, P(a wins) - P(b wins) is how much more a is expected to earn than b. So a model's
    quality is its mean, plus a slope (held-out prompts say how much) times the mean of that over the others less
    what is usual, plus how easy the prompt is for all (ridge), which preferences do not tell.

    ``margin`` is how far two scores may be apart and still tie; ``hidden`` units stand in the hidden layer; ``lr``,
    ``weight_decay`` and ``epochs`` are those of the descent, which stops when a held-out tenth gains nothing more.  It
    needs torch; to predict does not.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.outcomes import example_table
    >>> router = PreferenceEncoder(hidden=16, epochs=40).fit(example_table(300))
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']

    We differ from the paper: its BERT is fine-tuned, here the encoder stays as it is; it learns from votes, here from
    scores; quality also counts the chance that the weaker wins. `beats` gives the paper's number.
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface"
    learns: ClassVar[str] = "preference"
    needs: ClassVar[tuple[str, ...]] = ("train",)
    independent_heads: ClassVar[bool] = False  # a strength is one among the others
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"hidden": (16, 64), "weight_decay": (0.01, 1.0)}

    margin: float = 0.0
    hidden: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.01
    epochs: int = 60
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    fitted: int = field(default=0, init=False)  # models that were fitted together
    network: Perceptron = field(default_factory=Perceptron, init=False)  # ties, then the models' strengths
    scale: Scale = field(default_factory=Scale, init=False)
    level: Level = field(default_factory=Level, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        for name in ("hidden", "lr", "epochs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin is a difference of scores, from 0 to below 1, got {self.margin}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Descend, then learn what a lead means for quality."""
        table = targets(outcomes)
        m, dim = len(table.models), self.encoder.dim
        features_ND = features(self.encoder, table.prompts)
        quality_NM, weight_N = table.values_NK[:, :m], table.weight_N / table.weight_N.mean()
        self.models, self.trained_on, self.fitted = table.models, outcomes.fingerprint, m
        self.costs = Costs.fitted(features_ND, table, dim=dim)
        self.level = Level.fitted(features_ND, quality_NM, weight_N, dim=dim)
        held_N = self._descend(features_ND, quality_NM, weight_N, table.prompts).held_N
        # A table of one prompt has none to hold out.
        held_N = held_N if weight_N @ held_N > 0 else np.ones_like(held_N)
        hidden_NH = self.network.hidden(features_ND)
        lead_NM, level_N1 = davidson.leads(self.network.heads(hidden_NH), m), self.level(features_ND)[:, None]
        one_fold_N = np.zeros(len(held_N), dtype=np.intp)
        scale = Scale.fitted(lead_NM, quality_NM - level_N1, weight_N, one_fold_N, held_N)
        # What is usual is better known of all prompts than of the few that were held out.
        self.scale = replace(scale, usual_M=np.average(lead_NM, axis=0, weights=weight_N))
        off_RM = (quality_NM - level_N1 - self.scale(lead_NM))[held_N]
        self.doubt = Doubt.fitted(hidden_NH, off_RM, weight_N)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """All strengths, and what they mean pair by pair."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        hidden_NH = self.network.hidden(features_ND)
        lead_NM = davidson.leads(self.network.heads(hidden_NH), self.fitted)
        quality_NM = self.scale(lead_NM) + self.level(features_ND)[:, None]
        return prediction(self.models, np.hstack([quality_NM, self.costs(features_ND)]), self.doubt(hidden_NH))

    def beats(self, prompts: Sequence[str]) -> Floats:
        """The probability that the model of each row beats that of each column, (N, M, M): 1 - (p_tie + p_weak)."""
        check_prompts(self.models, prompts)
        return davidson.wins(self.network(features(self.encoder, prompts)))

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """This router with one more model, of some 50 rows where it met others; theirs stay as they are.

        It gets an output on the hidden layer as that is. Of it only equal scores are ties, whatever ``margin``.

        Raises:
            BadInput: the name is taken, or there is no such row.
        """
        met = Met.of(card.name, self.models[: self.fitted], outcomes, known=self.models)
        features_nD = features(self.encoder, met.prompts)
        hidden_nH = self.network.hidden(features_nD)
        outputs_nK = self.network.heads(hidden_nH)[:, : self.fitted + 1]
        weight_H, bias = davidson.strength_among(
            hidden_nH, outputs_nK, met.weight_n[:, None] * met.others_nM, met.beaten_nM
        )
        layers = dict(self.network.layers)
        layers["weight1"] = np.column_stack([layers["weight1"], weight_H])
        layers["bias1"] = np.append(layers["bias1"], bias)
        k = len(layers["bias1"])
        router = copy(self)
        router.models = (*self.models, card.name)
        router.network = replace(self.network, layers=layers, shift_K=np.zeros(k), unit_K=np.ones(k))
        lead_nM = davidson.leads(router.network.heads(hidden_nH), self.fitted)
        router.scale = self.scale.with_model(lead_nM[:, -1], met.quality_n - self.level(features_nD), met.weight_n)
        router.doubt = replace(self.doubt, sigma_M=np.append(self.doubt.sigma_M, router.scale.sigma_M[-1]))
        router.costs = costs_with(self.costs, features_nD, met.rows, dim=self.encoder.dim)
        return router

    def _descend(self, features_ND: Floats, quality_NM: Floats, weight_N: Floats, prompts: Sequence[str]) -> Trained:
        torch = torch_or_sentence("preference_encoder")
        rng = np.random.default_rng(self.seed)
        d, m = features_ND.shape[1], quality_NM.shape[1]
        # A layer learns best from inputs that deviate by about 1.
        deviation = float(np.sqrt(features_ND[:, : self.encoder.dim].var(axis=0).mean())) or 1.0
        center_D, scale_D = self.costs.center_D, self.costs.scale_D * deviation
        first_DH = rng.uniform(-1, 1, (d, self.hidden)) / np.sqrt(d)
        starts = (first_DH, np.zeros(self.hidden), np.zeros((self.hidden, m + 1)), np.zeros(m + 1))
        layers = [torch.tensor(start, dtype=torch.float32, requires_grad=True) for start in starts]
        arrays = ((features_ND - center_D) / scale_D, quality_NM, weight_N)
        x, quality, weight = (torch.tensor(array, dtype=torch.float32) for array in arrays)
        first, second = torch.triu_indices(m, m, 1)

        def loss(rows: LongTensor) -> Tensor:
            outputs = torch.relu(x[rows] @ layers[0] + layers[1]) @ layers[2] + layers[3]
            ahead = quality[rows][:, first] - quality[rows][:, second]
            half = (outputs[:, 1 + first] - outputs[:, 1 + second]) / 2
            logits = torch.stack([half, outputs[:, :1].expand_as(half), -half], dim=1)
            won = torch.where(ahead > self.margin + 1e-6, 0, torch.where(ahead < -self.margin - 1e-6, 2, 1))
            entropy = torch.nn.functional.cross_entropy(logits, won, reduction="none")
            counts = weight[rows, None] * ~ahead.isnan()
            mean: Tensor = (entropy * counts).sum() / counts.sum().clamp(min=1e-6)
            return mean

        trained = train(
            layers, loss, prompts, seed=self.seed, epochs=self.epochs, batch=_BATCH, lr=self.lr,
            weight_decay=self.weight_decay,
        )  # fmt: skip
        names = ("weight0", "bias0", "weight1", "bias1")
        learned = {name: layer.detach().double().numpy() for name, layer in zip(names, layers, strict=True)}
        self.network = Perceptron(center_D, scale_D, learned, np.zeros(m + 1), np.ones(m + 1))
        return trained

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"hidden": 8, "epochs": 4}, {"hidden": 4, "epochs": 3, "margin": 0.2, "seed": 3}]
