"""What contrastive losses hold a prompt against: the best and the worst models, its own kind and others.

Shape suffixes: N prompts, B prompts of a batch, M models, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

if TYPE_CHECKING:
    from torch import LongTensor

_BAD = 0.5  # a model that scores more is not pushed away


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


def draws(kind_N: NDArray[np.intp], others: int) -> Callable[[LongTensor], Any] | None:
    """What draws for each of some rows one row of its kind, then ``others`` of other kinds, (B, 1 + others).

    A row may draw itself. Where all are of one kind there is nothing to draw.
    """
    import torch

    if len(kind_N) == 0 or kind_N.min() == kind_N.max():
        return None
    kind = torch.from_numpy(kind_N.astype(np.int64))
    ordered = torch.argsort(kind, stable=True)  # kind by kind, so that a kind is a range
    size = torch.bincount(kind)
    start = size.cumsum(0) - size

    def draw(rows: LongTensor) -> Any:
        own, first = size[kind[rows]][:, None], start[kind[rows]][:, None]
        same = first + (torch.rand(len(rows), 1) * own).long().clamp(max=own - 1)
        place = (torch.rand(len(rows), others) * (len(ordered) - own)).long().clamp(max=len(ordered) - own - 1)
        other = torch.where(place < first, place, place + own)
        return ordered[torch.cat([same, other], dim=1)]

    return draw
