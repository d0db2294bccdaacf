"""RouterDC's two losses, and what they hold a prompt against: the best and the worst models, its own kind and others.

Shape suffixes: N prompts, B prompts of a batch, M models, D features, P numbers of a place in the common space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.types import Floats

if TYPE_CHECKING:
    from torch import LongTensor, Tensor

OTHERS = 3  # prompts of other kinds that each prompt is held against
START = 0.78  # deviation of the models' first vectors
COLDEST = 0.03  # the least temperature: below it exponentials of cosines vanish
_BAD = 0.5  # a model that scores more is not pushed away


@dataclass(frozen=True)
class Dual:
    """Both losses of dual contrastive learning (Chen et al. 2024, arXiv 2409.19886), as weighted means over prompts."""

    best_NM: Tensor
    worst_NM: Tensor
    weight_N: Tensor
    draw: Callable[[LongTensor], Any] | None
    temperature: float
    sample_llm: float
    sample_sample: float

    @classmethod
    def of(
        cls,
        quality_NM: Floats,
        weight_N: Floats,
        kind_N: NDArray[np.intp],
        held_N: NDArray[np.bool_],
        *,
        top_k: int,
        last_k: int,
        temperature: float = 1.0,
        sample_llm: float = 1.0,
        sample_sample: float = 1.0,
    ) -> Self:
        """The losses on a table, each with its weight; 0 leaves one out.

        Rows that are held out (``held_N``) have losses, but no other row is held against them.

        Raises:
            BadInput: nothing is left to learn from.
        """
        import torch

        draw = draws(kind_N, OTHERS, ~held_N) if sample_sample else None
        if draw is None and not sample_llm:
            raise BadInput("nothing to learn from: the loss on models weighs 0, and all prompts are of one kind")
        best_NM, worst_NM = shares(quality_NM, top_k, last_k)
        best, worst, weight = (torch.tensor(array, dtype=torch.float32) for array in (best_NM, worst_NM, weight_N))
        return cls(best, worst, weight, draw, temperature, sample_llm, sample_sample)

    def __call__(self, places: Callable[[LongTensor], Tensor], models_MP: Tensor, rows_B: LongTensor) -> Tensor:
        """The loss on some prompts; ``places`` gives the unit vectors (B, P) or (B, 1 + others, P) of prompts."""
        import torch

        place_BP = places(rows_B)
        total_B = torch.zeros(len(rows_B))
        if self.sample_llm:
            # Less 1, which a cosine is at most, so that no exponential overflows.
            z_BM = (place_BP @ torch.nn.functional.normalize(models_MP, dim=1).T - 1) / self.temperature
            worst_B1 = (self.worst_NM[rows_B] * torch.exp(z_BM)).sum(dim=1, keepdim=True)
            surprise_BM = torch.log(torch.exp(z_BM) + worst_B1) - z_BM
            total_B = total_B + self.sample_llm * (self.best_NM[rows_B] * surprise_BM).sum(dim=1)
        if self.draw is not None:
            alike_BH = torch.einsum("bp,bhp->bh", place_BP, places(self.draw(rows_B)))
            total_B = total_B - self.sample_sample * torch.log_softmax(alike_BH, dim=1)[:, 0]
        mean: Tensor = (self.weight_N[rows_B] * total_B).mean()
        return mean


def shares(quality_NM: Floats, top_k: int, last_k: int) -> tuple[Floats, Floats]:
    """Each model's share of the places among the best and among the worst of a prompt, two (N, M).

    Models of equal score share the places that they take together.  Of fewer than ``top_k + last_k`` models that
    were measured, half (rounded up) of the places are among the best, and no more are among the worst than remain.  A
    score of 0 is never among the best, nor one above a half among the worst.

    >>> best_NM, worst_NM = shares(np.array([[0.9, 0.6, 0.6, 0.1, 0.0], [1.0, 0.4, np.nan, np.nan, np.nan]]), 2, 2)
    >>> best_NM.tolist(), worst_NM.tolist()
    ([[1.0, 0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0]])
    """
    known_NM = ~np.isnan(quality_NM)
    score_NM = np.where(known_NM, quality_NM, -1.0)
    measured_N1 = known_NM.sum(axis=1, keepdims=True)
    top_N1 = np.minimum(top_k, -(-measured_N1 // 2))
    last_N1 = np.minimum(last_k, measured_N1 - top_N1)
    better_NM, equal_NM = np.empty(score_NM.shape), np.empty(score_NM.shape)
    for m, score_N in enumerate(score_NM.T):
        better_NM[:, m] = (score_NM > score_N[:, None]).sum(axis=1)
        equal_NM[:, m] = ((score_NM == score_N[:, None]) & known_NM).sum(axis=1)
    worse_NM = measured_N1 - better_NM - equal_NM
    best_NM = np.clip(top_N1 - better_NM, 0, equal_NM) / np.maximum(equal_NM, 1)
    worst_NM = np.clip(last_N1 - worse_NM, 0, equal_NM) / np.maximum(equal_NM, 1)
    return best_NM * (score_NM > 0), worst_NM * (known_NM & (score_NM <= _BAD))


def kinds(vectors_ND: Floats, groups: Sequence[str], clusters: int, seed: int) -> NDArray[np.intp]:
    """The kind of each prompt: one of ``clusters`` of its vector by k-means, or of 0 its group."""
    if clusters == 0:
        return np.unique(np.array(groups, dtype=object), return_inverse=True)[1]
    clusters = min(clusters, len(np.unique(vectors_ND, axis=0)))
    if clusters < 2:
        return np.zeros(len(vectors_ND), dtype=np.intp)
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(clusters, n_init=4, random_state=seed).fit_predict(vectors_ND), dtype=np.intp)


def draws(kind_N: NDArray[np.intp], others: int, drawn_N: NDArray[np.bool_]) -> Callable[[LongTensor], Any] | None:
    """What draws for each of some rows one row of its kind, then ``others`` of other kinds, (B, 1 + others).

    Only rows of ``drawn_N`` are drawn, and for a row whose kind has none the row itself.  A row may draw itself.  Where
    all that can be drawn are of one kind there is nothing to draw.
    """
    import torch

    if len(np.unique(kind_N[drawn_N])) < 2:
        return None
    kind = torch.from_numpy(kind_N.astype(np.int64))
    some = torch.from_numpy(np.flatnonzero(drawn_N))
    ordered = some[torch.argsort(kind[some], stable=True)]  # kind by kind, so that a kind is a range
    size = torch.bincount(kind[some], minlength=int(kind.max()) + 1)
    start = size.cumsum(0) - size

    def draw(rows: LongTensor) -> Any:
        own, first = size[kind[rows]][:, None], start[kind[rows]][:, None]
        place = first + (torch.rand(len(rows), 1) * own).long().clamp(max=own - 1)
        same = torch.where(own > 0, ordered[place.clamp(min=0, max=len(ordered) - 1)], rows[:, None])
        place = (torch.rand(len(rows), others) * (len(ordered) - own)).long().clamp(max=len(ordered) - own - 1)
        other = torch.where(place < first, place, place + own)
        return torch.cat([same, ordered[other]], dim=1)

    return draw
