"""Weighted ridge regression that also says what it would have predicted for rows that it had not seen.

The rows are dealt into folds by a hash of their prompts, so equal prompts share one.  What a fold adds to the products
of features and targets is taken away again, so each fold costs one decomposition, not one more look at all rows.
Shape suffixes: N rows, n rows of one fold, D features, X features after a 1, K targets, A candidate penalties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

Rows = NDArray[np.intp]

# A direction in which the features hardly vary counts as if they varied by this share of the mean direction.
_LEAST = 1e-3


def folds_of(prompts: Sequence[str], folds: int) -> Rows:
    """The fold of each prompt, (N,): the same in every table, and for prompts that differ in case or spaces only.

    >>> folds_of(["Say hello!", "say  HELLO!"], 5).tolist()
    [4, 4]
    """
    keys = (" ".join(prompt.lower().split()).encode(errors="surrogatepass") for prompt in prompts)
    return np.array(
        [int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") % folds for key in keys], np.intp
    )


class Solved(NamedTuple):
    """What some of the rows know: their weight, their mean, and their products' decomposition."""

    weight: float
    mean_D: Floats
    values_D: Floats
    vectors_DD: Floats

    @classmethod
    def of(cls, products_XX: Floats) -> Solved:
        """From the weighted sums of products of 1 and the features."""
        weight = float(products_XX[0, 0])
        if weight < 1e-6:  # no row at all, but for rounding: nothing is known
            return cls(
                1.0, np.zeros(len(products_XX) - 1), np.zeros(len(products_XX) - 1), np.eye(len(products_XX) - 1)
            )
        mean_D = products_XX[0, 1:] / weight
        values_D, vectors_DD = np.linalg.eigh(products_XX[1:, 1:] - weight * np.outer(mean_D, mean_D))
        return cls(weight, mean_D, np.maximum(values_D, 0), vectors_DD)

    def turned(self, targets_XK: Floats) -> tuple[Floats, Floats]:
        """Products of the targets with the decomposition's directions, (D, K), and their means, (K,)."""
        return self.vectors_DD.T @ (targets_XK[1:] - np.outer(self.mean_D, targets_XK[0])), targets_XK[0] / self.weight

    def roots(self) -> Floats:
        """R (D, D) such that the leverage of x is |(x - mean) R|², its squared distance in standard deviations."""
        variance_D = self.values_D / self.weight
        return np.asarray(self.vectors_DD / np.sqrt(variance_D + _LEAST * variance_D.mean() + 1e-12))


class Folded:
    """Ridge regressions of any targets on the same features, rows and folds."""

    def __init__(self, x_ND: Floats, weight_N: Floats, fold_N: Rows) -> None:
        self.weight_N, self.fold_N = weight_N / weight_N.mean(), fold_N
        self.one_NX = np.hstack([np.ones((len(x_ND), 1)), x_ND])
        self.products_XX = (self.one_NX * self.weight_N[:, None]).T @ self.one_NX
        self.whole = Solved.of(self.products_XX)
        rows = [np.flatnonzero(fold_N == fold) for fold in np.unique(fold_N)]
        self.parts = [(rows_n, self.without(rows_n)) for rows_n in rows]

    def first(self, dim: int) -> Folded:
        """The same with the first ``dim`` features only."""
        return Folded(self.one_NX[:, 1 : 1 + dim], self.weight_N, self.fold_N)

    def without(self, rows_n: Rows) -> Solved:
        """What all rows but these know."""
        one_nX = self.one_NX[rows_n]
        return Solved.of(self.products_XX - (one_nX * self.weight_N[rows_n, None]).T @ one_nX)

    def leverage(self, rows_n: Rows, solved: Solved) -> Floats:
        """How far some rows lie from what ``solved`` knows, (n,)."""
        return np.asarray(np.square((self.one_NX[rows_n, 1:] - solved.mean_D) @ solved.roots()).sum(axis=1))

    def errors(self, targets_NK: Floats, alphas: Sequence[float]) -> Floats:
        """Weighted squared error of each target on the rows of folds that were left out, at every penalty, (A, K)."""
        errors_AK = np.zeros((len(alphas), targets_NK.shape[1]))
        for rows_n, z_nD, turned_DK, mean_K, values_D in self._parts(targets_NK):
            for a, alpha in enumerate(alphas):
                missed_nK = targets_NK[rows_n] - mean_K - z_nD @ (turned_DK / (values_D[:, None] + alpha))
                errors_AK[a] += self.weight_N[rows_n] @ np.square(missed_nK)
        return errors_AK

    def unseen(self, targets_NK: Floats, alpha_K: Floats) -> tuple[Floats, Floats]:
        """What the other folds say of each row: the part that features add to their mean, and the mean, both (N, K)."""
        slope_NK, mean_NK = np.empty((2, *targets_NK.shape))
        for rows_n, z_nD, turned_DK, mean_K, values_D in self._parts(targets_NK):
            slope_NK[rows_n] = z_nD @ (turned_DK / (values_D[:, None] + alpha_K))
            mean_NK[rows_n] = mean_K
        return slope_NK, mean_NK

    def heads(self, targets_NK: Floats, alpha_K: Floats) -> tuple[Floats, Floats]:
        """Slopes (D, K) and means (K,) of all rows: a prediction is ``(x - whole.mean_D) @ slopes + means``."""
        turned_DK, mean_K = self.whole.turned(self._products(targets_NK))
        return self.whole.vectors_DD @ (turned_DK / (self.whole.values_D[:, None] + alpha_K)), mean_K

    def _products(self, targets_NK: Floats, rows: Rows | slice = slice(None)) -> Floats:
        return np.asarray(self.one_NX[rows].T @ (targets_NK[rows] * self.weight_N[rows, None]))

    def _parts(self, targets_NK: Floats) -> Iterator[tuple[Rows, Floats, Floats, Floats, Floats]]:
        whole_XK = self._products(targets_NK)
        for rows_n, solved in self.parts:
            turned_DK, mean_K = solved.turned(whole_XK - self._products(targets_NK, rows_n))
            z_nD = (self.one_NX[rows_n, 1:] - solved.mean_D) @ solved.vectors_DD
            yield rows_n, z_nD, turned_DK, mean_K, solved.values_D
