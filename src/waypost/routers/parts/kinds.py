"""Of which known kind a prompt is, with a probability that can be believed, and whether it is of any known kind.

Shape suffixes: N rows or prompts, D features, G groups, C cells (the kinds: groups, or parts of groups).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from waypost.routers.parts.folded import Folded, Rows
from waypost.types import Floats

_WIDEST = 3.0  # standard deviations: beyond, a feature says no more than that it is large
_GROUPS = 64  # further groups, the smallest, are one
_CELLS = 32  # of all groups together, beside one for each group
_ALPHAS = tuple(10.0 ** np.arange(-2, 2.1, 0.5))
_LEAN = 1e-4  # penalty on what the calibration mixes between cells
_CALIBRATE = 8192  # rows that suffice to calibrate
_COUNTS = (2 / 3, 1 / 3)  # of the witness that sees everything, and of the one that sees the vector
_HELD = 8  # units are left out in as many lots, to see how far from the others a new kind lies


@dataclass
class Scale:
    """Features to one measure: vectors as they are, other facts in sixteenths of a standard deviation, cut at three."""

    center_D: Floats = field(default_factory=lambda: np.empty(0))
    scale_D: Floats = field(default_factory=lambda: np.empty(0))
    most_D: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def fitted(cls, raw_ND: Floats, weight_N: Floats, *, dim: int) -> Self:
        """The first ``dim`` features are a unit vector, whose 256 parts vary by about a sixteenth each."""
        share_N = weight_N / weight_N.sum()
        center_D = share_N @ raw_ND
        deviation_D = np.sqrt(share_N @ np.square(raw_ND - center_D))
        scale_D = np.where(deviation_D > 1e-9, 16 * deviation_D, np.inf)  # what never varied says nothing
        scale_D[:dim] = 1
        most_D = np.full_like(center_D, _WIDEST / 16)
        most_D[:dim] = np.inf
        return cls(center_D, scale_D, most_D)

    def __call__(self, raw_ND: Floats) -> Floats:
        """Scaled features, (N, D)."""
        return np.asarray(np.clip((raw_ND - self.center_D) / self.scale_D, -self.most_D, self.most_D))


def groups_of(groups: Sequence[str]) -> Rows:
    """A number for each row's group, (N,); of more than 64 groups the smallest share the last number.

    >>> groups_of(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    names, group_N, count_G = np.unique(np.array(groups, dtype=object), return_inverse=True, return_counts=True)
    if len(names) <= _GROUPS:
        return group_N
    number_G = np.full(len(names), _GROUPS - 1)
    number_G[np.argsort(-count_G, kind="stable")[: _GROUPS - 1]] = np.arange(_GROUPS - 1)
    return number_G[group_N]


def cells_of(x_ND: Floats, group_N: Rows, size: int) -> tuple[Rows, Rows]:
    """Each group cut by k-means into cells of ``size`` rows on average or more: each row's cell, each cell's group."""
    from sklearn.cluster import KMeans

    cell_N = np.zeros(len(x_ND), dtype=np.intp)
    group_C: list[int] = []
    for group in range(group_N.max() + 1):
        rows = np.flatnonzero(group_N == group)
        parts = min(len(rows) // size, _CELLS * len(rows) // len(x_ND)) if size else 1
        label_n = np.zeros(len(rows), dtype=np.intp)
        if parts > 1 and (parts := min(parts, len(np.unique(x_ND[rows], axis=0)))) > 1:
            found_n = KMeans(parts, n_init=1, random_state=0).fit(x_ND[rows]).labels_
            _, label_n = np.unique(found_n, return_inverse=True)
        cell_N[rows] = len(group_C) + label_n
        group_C += [group] * (int(label_n.max()) + 1)
    return cell_N, np.array(group_C, dtype=np.intp)


@dataclass
class Kinds:
    """The probability of each cell by two witnesses: one sees all features and counts twice, one the vector only.

    Each is a ridge regression on which cell a row is in and a softmax, fitted on scores of rows that the regression had
    not seen, so that it knows how often it is wrong.  Among known kinds the two agree; of a new kind, form and subject
    may point to different ones (a program asked for in one plain sentence), and neither should decide alone.
    """

    center_D: Floats = field(default_factory=lambda: np.empty(0))
    weights_VDC: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    bias_VC: Floats = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def fitted(cls, folded: Folded, cell_N: Rows, *, cells: int, dim: int) -> tuple[Self, Floats]:
        """The classifier, and what it says of each training row without having seen it, (N, C)."""
        width = len(folded.whole.mean_D)
        made = cls(folded.whole.mean_D, np.zeros((2, width, cells)), np.zeros((2, cells)))
        share_NC = np.zeros((len(cell_N), cells))
        for v, (count, seen) in enumerate(zip(_COUNTS, (folded, folded.first(dim)), strict=True)):
            weights_DC, made.bias_VC[v], unseen_NC = _witness(seen, np.eye(cells)[cell_N], cell_N)
            made.weights_VDC[v, : len(weights_DC)] = weights_DC
            share_NC += count * unseen_NC
        return made, share_NC

    def __call__(self, x_ND: Floats) -> Floats:
        """Probabilities, (N, C)."""
        x_ND = x_ND - self.center_D
        witnesses = zip(_COUNTS, self.weights_VDC, self.bias_VC, strict=True)
        return np.asarray(sum(count * _softmax(x_ND @ weights_DC + bias_C) for count, weights_DC, bias_C in witnesses))


def _witness(folded: Folded, onehot_NC: Floats, cell_N: Rows) -> tuple[Floats, Floats, Floats]:
    """Weights (D, C) and intercepts (C,) of one witness's softmax, and its probabilities of unseen rows (N, C)."""
    alpha_C = np.full(onehot_NC.shape[1], _ALPHAS[int(folded.errors(onehot_NC, _ALPHAS).sum(axis=1).argmin())])
    scores_NC = np.sum(folded.unseen(onehot_NC, alpha_C), axis=0)
    turn_CC, bias_C = _calibrated(scores_NC, cell_N, folded.weight_N)
    slopes_DC, mean_C = folded.heads(onehot_NC, alpha_C)
    return slopes_DC @ turn_CC, mean_C @ turn_CC + bias_C, _softmax(scores_NC @ turn_CC + bias_C)


def _softmax(logits_NC: Floats) -> Floats:
    odds_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(odds_NC / odds_NC.sum(axis=1, keepdims=True))


def _calibrated(scores_NC: Floats, cell_N: Rows, weight_N: Floats) -> tuple[Floats, Floats]:
    """The T and b of softmax(scores @ T + b) with the least log-loss; T leans on a multiple of the identity."""
    step = -(-len(scores_NC) // _CALIBRATE)
    scores_NC, cell_N, weight_N = scores_NC[::step], cell_N[::step], weight_N[::step] / weight_N[::step].sum()
    n, c = scores_NC.shape

    def loss(theta: Floats) -> tuple[float, Floats]:
        off_CC = theta[1:-c].reshape(c, c)
        p_NC = _softmax(scores_NC @ (off_CC + theta[0] * np.eye(c)) + theta[-c:])
        value = -weight_N @ np.log(np.maximum(p_NC[np.arange(n), cell_N], 1e-300)) + _LEAN / 2 * np.square(off_CC).sum()
        p_NC[np.arange(n), cell_N] -= 1
        p_NC *= weight_N[:, None]
        slope_CC = scores_NC.T @ p_NC
        return value, np.concatenate([[np.trace(slope_CC)], (slope_CC + _LEAN * off_CC).ravel(), p_NC.sum(axis=0)])

    theta = _least(loss, np.concatenate([[10.0], np.zeros(c * c + c)]), [(None, None)] * (1 + c * c + c))
    return theta[1:-c].reshape(c, c) + theta[0] * np.eye(c), theta[-c:]


@dataclass
class Far:
    """The chance that a prompt is of no known kind, from how far it lies from all that was seen.

    ``law`` is a logistic regression on the logarithm of the leverage: its mean and deviation among known rows that were
    left out, intercept and slope.  Its examples of the unknown are units (groups, or cells) that were left out whole.
    """

    center_D: Floats = field(default_factory=lambda: np.empty(0))
    roots_DD: Floats = field(default_factory=lambda: np.empty((0, 0)))
    law: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def fitted(cls, folded: Folded, unit_N: Rows, *, share: float) -> Self:
        """Fit; ``share`` is that of prompts of an unknown kind that is expected before looking at any."""
        known_N, unknown_N = np.zeros((2, len(unit_N)))
        units = np.unique(unit_N)
        law = np.array([0.0, 1.0, -np.inf, 0.0])
        if len(units) > 1 and share > 0:
            for rows_n, solved in folded.parts:
                known_N[rows_n] = _log(folded.leverage(rows_n, solved))
            for lot in np.array_split(units, min(len(units), _HELD)):
                rows_n = np.flatnonzero(np.isin(unit_N, lot))
                unknown_N[rows_n] = _log(folded.leverage(rows_n, folded.without(rows_n)))
            law = _law(known_N, unknown_N, folded.weight_N, share)
        return cls(folded.whole.mean_D, folded.whole.roots(), law)

    def leverage(self, x_ND: Floats) -> Floats:
        """Squared distance from what was seen, in standard deviations, (N,)."""
        return np.asarray(np.square((x_ND - self.center_D) @ self.roots_DD).sum(axis=1))

    def __call__(self, leverage_N: Floats) -> Floats:
        """Chances, (N,)."""
        mean, deviation, intercept, slope = self.law
        return _logistic(intercept + slope * (_log(leverage_N) - mean) / deviation)


def _law(known_N: Floats, unknown_N: Floats, weight_N: Floats, share: float) -> Floats:
    weight_N = weight_N / weight_N.sum()
    mean = float(weight_N @ known_N)
    deviation = max(float(np.sqrt(weight_N @ np.square(known_N - mean))), 1e-6)
    z_R = (np.concatenate([known_N, unknown_N]) - mean) / deviation
    is_R = np.repeat([0.0, 1.0], len(weight_N))
    weight_R = np.concatenate([(1 - share) * weight_N, share * weight_N])

    def loss(theta: Floats) -> tuple[float, Floats]:
        logit_R = theta[0] + theta[1] * z_R
        wrong_R = weight_R * (_logistic(logit_R) - is_R)
        value = weight_R @ (np.logaddexp(0, logit_R) - is_R * logit_R) + 5e-4 * theta[1] ** 2
        return value, np.array([wrong_R.sum(), wrong_R @ z_R + 1e-3 * theta[1]])

    # What lies farther is never likelier to be known.
    return np.concatenate([[mean, deviation], _least(loss, np.array([0.0, 1.0]), [(None, None), (0, None)])])


def _least(
    loss: Callable[[Floats], tuple[float, Floats]], start: Floats, bounds: Sequence[tuple[float | None, float | None]]
) -> Floats:
    from scipy.optimize import minimize

    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}).x)


def _log(leverage_N: Floats) -> Floats:
    return np.asarray(np.log(leverage_N + 1e-9))


def _logistic(logit_N: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -logit_N)))
