"""Weighted ridge regression with several heads, missing targets, and the penalty chosen in closed form.

Features are looked at in blocks of rows and may be made when they are asked for, so a table whose features would
not fit into memory can be fitted.  Shape suffixes: N rows, D features, K targets, A candidate penalties, B rows of a
block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

ALPHAS = tuple(10.0 ** np.arange(-1, 4.5, 0.5))
_BLOCK = 4096  # rows whose features are looked at at once
_KEPT = 65_536  # rows whose features are made once and kept: 140 MB of the default encoder's


class Features(Protocol):
    """Features (N, D) by slices of rows: an array, or what makes them."""

    def __getitem__(self, rows: slice, /) -> Floats: ...


class Heads(NamedTuple):
    """Linear heads over standardised features: ``((x - center_D) / scale_D) @ heads_DK + bias_K``."""

    center_D: Floats
    scale_D: Floats
    heads_DK: NDArray[np.float32]
    bias_K: Floats
    alpha_K: Floats
    sigma_K: Floats  # standard deviation of the leave-one-out error
    gram_DD: Floats  # X'WX of the standardised features of all rows

    def __call__(self, features_ND: Floats) -> Floats:
        """Estimates (N, K); NaN for a target that was never measured."""
        x_ND = ((features_ND - self.center_D) / self.scale_D).astype(np.float32)
        return np.asarray(x_ND @ self.heads_DK + self.bias_K, dtype=np.float64)


def unscaled(
    center_D: Floats, scale_D: Floats, heads_DK: Floats | NDArray[np.float32]
) -> tuple[NDArray[np.float32], Floats]:
    """Heads for features as they come, and what to add to their product, instead of centring and scaling each row.

    >>> heads_DK, shift_K = unscaled(np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([[3.0], [8.0]]))
    >>> np.array([[2.0, 6.0]]) @ heads_DK + shift_K
    array([[11.]])
    """
    raw_DK = heads_DK / scale_D[:, None]
    return raw_DK.astype(np.float32), -center_D @ raw_DK


def features_of(prompts: Sequence[str], make: Callable[[Sequence[str]], Floats]) -> Features:
    """The features that ``make`` gives prompts: made once, or of a large table again whenever they are asked for."""
    return make(prompts) if len(prompts) <= _KEPT else _Made(prompts, make)


@dataclass(frozen=True)
class _Made:
    prompts: Sequence[str]
    make: Callable[[Sequence[str]], Floats]

    def __getitem__(self, rows: slice) -> Floats:
        return self.make(self.prompts[rows])


@dataclass
class _Part:
    """Targets that are known on the same rows, and so share one decomposition.

    ``gram`` holds the weighted sums of all products of 1, features and targets on these rows.
    """

    columns: NDArray[np.intp]
    mask_N: NDArray[np.bool_]
    gram: Floats = field(default_factory=lambda: np.zeros(()))

    def add(self, rows: slice, x_BD: Floats, values_NK: Floats, weight_N: Floats) -> None:
        """Take a block into account."""
        x_BD, y_BK, weight_B = self.of(rows, x_BD, values_NK, weight_N)
        all_BX = np.hstack([np.ones((len(x_BD), 1)), x_BD, y_BK])
        self.gram = self.gram + (all_BX * weight_B[:, None]).T @ all_BX

    def of(self, rows: slice, x_BD: Floats, values_NK: Floats, weight_N: Floats) -> tuple[Floats, Floats, Floats]:
        """The rows of a block that this part knows."""
        mask_B = self.mask_N[rows]
        return x_BD[mask_B], values_NK[rows][np.ix_(mask_B, self.columns)], weight_N[rows][mask_B]

    def moments(self) -> tuple[float, Floats, Floats]:
        """Total weight, means (X,) and products less the means' (X, X) of features and targets side by side."""
        weight, mean_X = float(self.gram[0, 0]), self.gram[0, 1:] / self.gram[0, 0]
        return weight, mean_X, self.gram[1:, 1:] - weight * np.outer(mean_X, mean_X)


def fit_heads(features_ND: Features, values_NK: Floats, weight_N: Floats, *, dim: int, alpha: float | None) -> Heads:
    """Fit one head per target on the rows where it is known (not NaN).

    The first ``dim`` features are a unit vector and stay as they are; the others are scaled to the mean deviation
    of those, so that one penalty suits both. ``alpha`` None picks a penalty per target.
    """
    n, k = values_NK.shape
    blocks = [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    # Products of what is near zero lose no digits, so features are taken from about their mean.
    origin_D = features_ND[blocks[0]].mean(axis=0)
    parts = _parts(values_NK, weight_N)
    every = _Part(np.arange(0), np.ones(n, dtype=bool))
    for rows in blocks:
        x_BD = features_ND[rows] - origin_D
        for part in (every, *parts):
            part.add(rows, x_BD, values_NK, weight_N)
    weight, mean_D, products_DD = every.moments()
    scale_D = _scale(np.sqrt(np.maximum(np.diag(products_DD), 0) / weight), dim)
    ridges = [_Ridge(part, scale_D, (alpha,) if alpha else ALPHAS) for part in parts]
    for rows in blocks if ridges else ():  # where nothing is known no feature is made again
        x_BD = features_ND[rows] - origin_D
        for ridge in ridges:
            ridge.leave_out(*ridge.part.of(rows, x_BD, values_NK, weight_N))
    heads_DK, bias_K = np.zeros((len(origin_D), k)), np.full(k, np.nan)
    alpha_K, sigma_K = np.ones(k), np.full(k, np.nan)
    for ridge in ridges:
        columns = ridge.part.columns
        heads_DK[:, columns], bias_K[columns], alpha_K[columns], sigma_K[columns] = ridge.best(mean_D)
    gram_DD = products_DD / np.outer(scale_D, scale_D)
    return Heads(origin_D + mean_D, scale_D, heads_DK.astype(np.float32), bias_K, alpha_K, sigma_K, gram_DD)


def _parts(values_NK: Floats, weight_N: Floats) -> list[_Part]:
    parts: dict[bytes, _Part] = {}
    for k, values_N in enumerate(values_NK.T):
        mask_N = ~np.isnan(values_N) & (weight_N > 0)
        if mask_N.any():
            part = parts.setdefault(np.packbits(mask_N).tobytes(), _Part(np.arange(0), mask_N))
            part.columns = np.append(part.columns, k)
    return list(parts.values())


def _scale(deviation_D: Floats, dim: int) -> Floats:
    scale_D = np.ones_like(deviation_D)
    typical = max(deviation_D[:dim].mean(), 1e-9)
    varies = deviation_D[dim:] > 1e-9
    scale_D[dim:][varies] = deviation_D[dim:][varies] / typical
    return scale_D


class _Ridge:
    """The heads of one part at every candidate penalty, and how far off each is on rows that it has not seen."""

    def __init__(self, part: _Part, scale_D: Floats, alphas: tuple[float, ...]) -> None:
        d = len(scale_D)
        self.part, self.scale_D, self.alphas = part, scale_D, alphas
        self.weight, mean_X, products_XX = part.moments()
        self.mean_D, self.mean_K = mean_X[:d], mean_X[d:]
        values_D, self.vectors_DD = np.linalg.eigh(products_XX[:d, :d] / np.outer(scale_D, scale_D))
        self.values_D = np.maximum(values_D, 0)
        self.zy_DK = self.vectors_DD.T @ (products_XX[:d, d:] / scale_D[:, None])
        self.errors_AK = np.zeros((len(alphas), len(self.mean_K)))

    def leave_out(self, x_BD: Floats, y_BK: Floats, weight_B: Floats) -> None:
        """Add the squared leave-one-out errors of some rows."""
        root_B1 = np.sqrt(weight_B)[:, None]
        z_BD = (x_BD - self.mean_D) / self.scale_D * root_B1 @ self.vectors_DD
        y_BK = (y_BK - self.mean_K) * root_B1
        for a, alpha in enumerate(self.alphas):
            shrink_D = 1 / (self.values_D + alpha)
            leverage_B = np.square(z_BD) @ shrink_D + weight_B / self.weight
            residual_BK = (y_BK - z_BD @ (shrink_D[:, None] * self.zy_DK)) / np.maximum(1 - leverage_B, 1e-6)[:, None]
            self.errors_AK[a] += np.square(residual_BK).sum(axis=0) / self.weight

    def best(self, center_D: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Heads (D, K) on standardised features, intercepts, penalties and leave-one-out deviations (K,)."""
        best_K = self.errors_AK.argmin(axis=0)
        alpha_K = np.array(self.alphas)[best_K]
        heads_DK = self.vectors_DD @ (self.zy_DK / (self.values_D[:, None] + alpha_K))
        bias_K = self.mean_K - (self.mean_D - center_D) / self.scale_D @ heads_DK
        return heads_DK, bias_K, alpha_K, np.sqrt(np.take_along_axis(self.errors_AK, best_K[None], axis=0)[0])
