"""Davidson's model of ties (1970): who wins, who loses, what is a tie, from one strength a model and one number more.

Of models a and b with strengths s_a and s_b, and t for ties, the chances that a wins, of a tie and that b wins are as
exp(s_a), exp(t + (s_a + s_b) / 2) and exp(s_b).  Outputs (N, 1 + M) hold t first, then the strengths.

Shape suffixes: N prompts, n prompts of a new model, B prompts of a block, M models, H features, J features and a 1.
"""

from __future__ import annotations

import numpy as np

from waypost.types import Floats

_CELLS = 4_000_000  # pairs of models that are looked at at once
_STEPS = 50


def wins(outputs_NK: Floats) -> Floats:
    """The probability that the model of each row beats that of each column, (N, M, M).

    >>> wins(np.log([[0.5, 4.0, 1.0]])).round(3).tolist()  # 4 : 0.5 * sqrt(4 * 1) : 1
    [[[0.4, 0.667], [0.167, 0.4]]]
    """
    return _chance((outputs_NK[:, 1:, None] - outputs_NK[:, None, 1:]) / 2, outputs_NK[:, :1, None])


def leads(outputs_NK: Floats, field_size: int) -> Floats:
    """How much more often each model beats than it is beaten, the mean over others of the first ``field_size``, (N, M).

    >>> leads(np.log([[0.5, 4.0, 1.0]]), 2).round(3).tolist()
    [[0.5, -0.5]]
    """
    n, m = len(outputs_NK), outputs_NK.shape[1] - 1
    lead_NM = np.empty((n, m))
    others_M = np.maximum(field_size - (np.arange(m) < field_size), 1)
    step = max(1, _CELLS // m**2)
    for start in range(0, n, step):
        win_BMM = wins(outputs_NK[start : start + step])
        lead_NM[start : start + step] = (win_BMM - win_BMM.swapaxes(1, 2))[:, :, :field_size].sum(axis=2) / others_M
    return lead_NM


def strength_among(
    features_nH: Floats, outputs_nK: Floats, met_nM: Floats, won_nM: Floats, penalty: float = 1.0
) -> tuple[Floats, float]:
    """A linear head for the strength of one more model, the others' strengths being given: weights (H,) and bias.

    ``met_nM`` is what a row counts where it met another, else 0; ``won_nM`` 1 where it won, 1/2 where it tied.  The
    likelihood is concave, and with the weights' square times half the ``penalty`` taken off Newton's steps find its one
    summit.
    """
    x_nJ = np.hstack([features_nH, np.ones((len(features_nH), 1))])
    head_J = np.zeros(x_nJ.shape[1])
    head_J[-1] = float(outputs_nK[:, 1:].mean())
    # The bias is penalised next to nothing: a model that always wins must have some finite strength.
    penalty_J = np.full(len(head_J), penalty)
    penalty_J[-1] = 1e-2
    pull_J = np.append(np.zeros(len(head_J) - 1), head_J[-1])
    for _ in range(_STEPS):
        half_nM = ((x_nJ @ head_J)[:, None] - outputs_nK[:, 1:]) / 2
        win_nM, lose_nM = (_chance(part, outputs_nK[:, :1]) for part in (half_nM, -half_nM))
        slope_n = (met_nM * (2 * won_nM - 1 - (win_nM - lose_nM))).sum(axis=1) / 2
        curve_n = (met_nM * (win_nM + lose_nM - np.square(win_nM - lose_nM))).sum(axis=1) / 4
        gradient_J = slope_n @ x_nJ - penalty_J * (head_J - pull_J)
        step_J = np.linalg.solve((x_nJ * curve_n[:, None]).T @ x_nJ + np.diag(penalty_J), gradient_J)
        longest = float(np.abs(x_nJ @ step_J).max())
        head_J = head_J + step_J / max(longest / 2, 1.0)  # a full step from afar overshoots
        if longest < 1e-9:
            break
    return head_J[:-1], float(head_J[-1])


def _chance(half: Floats, tie: Floats) -> Floats:
    """P(win) where half the difference of strengths is ``half``, without overflow."""
    most = np.maximum(np.abs(half), tie)
    win, lose, tied = (np.exp(part - most) for part in (half, -half, tie))
    return np.asarray(win / (win + lose + tied))
