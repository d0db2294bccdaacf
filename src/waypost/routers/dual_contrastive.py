"""One space for prompts and models, in which a prompt stands near the models that answer it well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers.parts.contrast import COLDEST, START, Dual, kinds
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.level import Level
from waypost.routers.parts.preferences import Scale
from waypost.routers.parts.targets import Targets, check_prompts, prediction, targets
from waypost.routers.parts.training import HELD, Trained, hold_out, torch_or_sentence, train
from waypost.types import Encoder, Floats, Prediction

if TYPE_CHECKING:
    from torch import LongTensor, Tensor

_BATCH = 64  # the authors' own word is that 16, as in their script, is too few


@dataclass
class DualContrastive:
    """Dual contrastive learning (RouterDC, Chen et al. 2024, arXiv 2409.19886).

    A prompt's features are projected to ``dims`` numbers, and every model has a vector of as many.  The cosine between
    the two, over ``temperature``, says how well the model suits the prompt; the best is the one with the greatest.
    Two losses shape that space.  Sample-LLM: each of the ``top_k`` best models of a prompt, if it earned
    anything, must be nearer to it than those of its ``last_k`` worst models that scored a half or less (cross entropy).
    Sample-sample, times ``sample_sample``: a prompt must be nearer to one of its own kind than to three of other kinds,
    so that prompts of a kind go the same way; kinds are ``clusters`` of the vectors (k-means), or with 0 the table's
    groups.  ``sample_llm`` and ``sample_sample`` are the losses' weights; 0 leaves one out.

    A cosine is no quality.  To get one, cosines less their mean over models are put on a line: a model's own mean, plus
    one slope for all models (least squares on held-out prompts), plus how easy the prompt is for all (ridge).

    ``lr`` and ``epochs`` are those of the descent, which stops when a held-out tenth gains nothing more. It needs
    torch; to predict is two matrix products.

    Raises:
        ValueError: a setting is out of range.

    >>> from waypost.outcomes import example_table
    >>> router = DualContrastive(dims=16, epochs=20).fit(example_table(300))
    >>> expected = router.predict(["What is 17 plus 26?", "Fix the bug in the method garden."])
    >>> [router.models[m] for m in expected.quality_NM.argmax(axis=1)]
    ['maths-expert', 'large']

    We differ from the paper in the encoder: it fine-tunes mDeBERTa-v3-base, here any encoder stays as it is and a
    projection is trained on top, in a minute on a CPU; hence a larger ``lr`` than its 5e-5, and a ``temperature``
    below its 1.  Models of equal score share the places among the best or the worst, where its code takes the first
    of the list; with fewer than ``top_k + last_k`` models the two halves share the places.  Its clusters are of
    t-SNE's five dimensions, ours of the vectors.  Cost, quality on a scale, and spread are not in the paper.
    """

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface"
    learns: ClassVar[str] = "supervised"
    needs: ClassVar[tuple[str, ...]] = ("train",)
    independent_heads: ClassVar[bool] = False  # models are held against each other
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"sample_sample": (0.0, 0.1, 1.0), "temperature": (0.2, 1.0)}

    top_k: int = 3
    last_k: int = 3
    temperature: float = 0.2
    sample_llm: float = 1.0
    sample_sample: float = 1.0
    clusters: int = 5
    dims: int = 128
    lr: float = 3e-3
    epochs: int = 60
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    center_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    scale_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    projection_DP: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    models_MP: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    scale: Scale = field(default_factory=Scale, init=False)
    level: Level = field(default_factory=Level, init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)
    costs: Costs = field(default_factory=Costs, init=False)

    def __post_init__(self) -> None:
        if self.temperature < COLDEST:
            raise ValueError(f"temperature must be at least {COLDEST:g}, got {self.temperature}")
        for name in ("top_k", "last_k", "dims", "lr", "epochs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("sample_llm", "sample_sample", "clusters"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.sample_llm == self.sample_sample == 0:
            raise ValueError("sample_llm and sample_sample are both 0, which leaves nothing to learn from")

    def fit(self, outcomes: Outcomes) -> Self:
        """Descend on both losses, then learn what a cosine means for quality."""
        table = targets(outcomes)
        m, dim = len(table.models), self.encoder.dim
        features_ND = features(self.encoder, table.prompts)
        quality_NM, weight_N = table.values_NK[:, :m], table.weight_N / table.weight_N.mean()
        self.models, self.trained_on = table.models, outcomes.fingerprint
        self.costs = Costs.fitted(features_ND, table, dim=dim)
        self.level = Level.fitted(features_ND, quality_NM, weight_N, dim=dim)
        self.center_D, self.scale_D = self.costs.center_D, self.costs.scale_D
        held_N = self._descend(features_ND, quality_NM, weight_N, table).held_N
        # A table of one prompt has none to hold out.
        held_N = held_N if weight_N @ held_N > 0 else np.ones_like(held_N)
        place_NP, lead_NM = self._places(features_ND)
        level_N1 = self.level(features_ND)[:, None]
        one_fold_N = np.zeros(len(held_N), dtype=np.intp)
        scale = Scale.fitted(lead_NM, quality_NM - level_N1, weight_N, one_fold_N, held_N)
        # What is usual is better known of all prompts than of the few that were held out.
        self.scale = replace(scale, usual_M=np.average(lead_NM, axis=0, weights=weight_N))
        off_RM = (quality_NM - level_N1 - self.scale(lead_NM))[held_N]
        self.doubt = Doubt.fitted(place_NP, off_RM, weight_N)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Where the prompts stand, how near the models are, and what that means."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        place_NP, lead_NM = self._places(features_ND)
        quality_NM = self.scale(lead_NM) + self.level(features_ND)[:, None]
        return prediction(self.models, np.hstack([quality_NM, self.costs(features_ND)]), self.doubt(place_NP))

    def similarities(self, prompts: Sequence[str]) -> Floats:
        """The cosine of each prompt and model, (N, M): the paper takes the model with the greatest."""
        check_prompts(self.models, prompts)
        return np.asarray(self._place(features(self.encoder, prompts)) @ self.models_MP.T)

    def _place(self, features_ND: Floats) -> Floats:
        place_NP = (features_ND - self.center_D) / self.scale_D @ self.projection_DP
        return np.asarray(place_NP / np.maximum(np.linalg.norm(place_NP, axis=1, keepdims=True), 1e-12))

    def _places(self, features_ND: Floats) -> tuple[Floats, Floats]:
        """Where prompts stand, and by how much each model's cosine is above the models' mean."""
        place_NP = self._place(features_ND)
        similarity_NM = place_NP @ self.models_MP.T
        return place_NP, similarity_NM - similarity_NM.mean(axis=1, keepdims=True)

    def _descend(self, features_ND: Floats, quality_NM: Floats, weight_N: Floats, table: Targets) -> Trained:
        torch = torch_or_sentence("dual_contrastive")
        rng = np.random.default_rng(self.seed)
        x_ND = (features_ND - self.center_D) / self.scale_D
        starts = (
            rng.uniform(-1, 1, (x_ND.shape[1], self.dims)) / np.sqrt(x_ND.shape[1]),
            rng.normal(0, START, (quality_NM.shape[1], self.dims)),
        )
        projection, models = parameters = [torch.tensor(s, dtype=torch.float32, requires_grad=True) for s in starts]
        x = torch.tensor(x_ND, dtype=torch.float32)
        held_N = hold_out(table.prompts, HELD, self.seed)
        kind_N = kinds(features_ND[:, : self.encoder.dim], table.groups, self.clusters, self.seed)
        dual = Dual.of(
            quality_NM, weight_N, kind_N, held_N,
            **{name: getattr(self, name) for name in ("top_k", "last_k", "temperature", "sample_llm", "sample_sample")},
        )  # fmt: skip

        def places(rows: LongTensor) -> Tensor:
            placed: Tensor = torch.nn.functional.normalize(x[rows] @ projection, dim=-1)
            return placed

        def loss(rows: LongTensor) -> Tensor:
            return dual(places, models, rows)

        trained = train(
            parameters, loss, table.prompts, held_N=held_N,
            seed=self.seed, epochs=self.epochs, batch=_BATCH, lr=self.lr,
        )  # fmt: skip
        self.projection_DP = projection.detach().double().numpy()
        models_MP = models.detach().double().numpy()
        self.models_MP = models_MP / np.linalg.norm(models_MP, axis=1, keepdims=True)
        return trained

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        small: dict[str, object] = {"dims": 8, "epochs": 3}
        return [small, {**small, "clusters": 0, "sample_sample": 0.1, "temperature": 1.0, "seed": 3}]
