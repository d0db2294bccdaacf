"""Optimal transport of tokens to experts, as pure functions: Sinkhorn's plan, and one whose columns are sparse.

Tokens hold a mass of 1 each, experts an even share of it: T/E each.  Before the last two axes of scores, (T, E), there
may be any others, of which each is a plan by itself.  An expert whose scores are all -inf is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from waypost.errors import BadInput


def sinkhorn(scores_TE: Tensor, eps: float = 1.0, steps: int = 20) -> Tensor:
    """The logarithm of the plan that has the greatest Σ plan·score + eps · entropy, in the log domain.

    Rows are set right last: after any number of steps each sums to 1, and after enough of them columns sum to T/E.

    Raises:
        BadInput: eps is not above 0, or there are no steps.

    Reference: Cuturi 2013, "Sinkhorn Distances"; for experts: Clark et al. 2022, "Unified Scaling Laws for
    Routed Language Models", and Liu et al. 2024, "Routers in Vision Mixture of Experts".

    >>> plan_TE = sinkhorn(torch.tensor([[4.0, 0.0], [4.0, 0.0], [5.0, 0.0], [5.0, 0.0]]), steps=200).exp()
    >>> [round(total, 4) for total in plan_TE.sum(0).tolist()], [round(row[0], 2) for row in plan_TE.tolist()]
    ([2.0, 2.0], [0.38, 0.38, 0.62, 0.62])
    """
    check_eps(eps)
    check_steps(steps)
    scaled_TE = scores_TE / eps
    mass_1E, open_1E = _column_mass(scaled_TE)
    plan_TE = scaled_TE
    for _ in range(steps):
        column_1E = torch.logsumexp(plan_TE, dim=-2, keepdim=True)
        plan_TE = plan_TE + torch.where(open_1E, mass_1E.log() - column_1E, 0.0)
        plan_TE = plan_TE - torch.logsumexp(plan_TE, dim=-1, keepdim=True)
    return plan_TE


def sparse(scores_TE: Tensor, most: int, gamma: float = 1.0, rate: float = 1e-2, steps: int = 20) -> Tensor:
    """The plan that has the greatest Σ plan·score - gamma/2 · Σ plan², with at most ``most`` tokens in a column.

    A price for each token, which keeps rows at 1, is found by steps of Adam on the semi-dual; columns are solved in
    closed form at any prices (the best scores, projected on the simplex), so that each sums to T/E and is sparse after
    any number of steps.  Rows come nearer to 1 with each, as far as the limit lets them: the set of sparse
    plans is not convex, and at the best prices sums may still be off.

    Raises:
        BadInput: ``most`` is not between 1 and T, gamma or the rate are not above 0, or there are no steps.

    Reference: Liu, Puigcerver and Blondel 2023, "Sparsity-Constrained Optimal Transport".

    >>> plan_TE = sparse(torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]]), most=2)
    >>> (plan_TE > 0).int().tolist(), plan_TE.sum(0).tolist()
    ([[1, 0], [1, 0], [0, 1], [0, 1]], [2.0, 2.0])
    """
    tokens = scores_TE.shape[-2]
    if not 1 <= most <= max(tokens, 1):
        raise BadInput(f"most is {most}, and there are {tokens} tokens; an expert takes at least 1 and at most all")
    if not (gamma > 0 and rate > 0):
        raise BadInput(f"gamma is {gamma} and rate {rate}; both are above 0")
    check_steps(steps)
    most = min(most, tokens)
    mass_1E, open_1E = _column_mass(scores_TE)
    # A column that is left out has no mass; any finite scores do for it.
    scores_TE = torch.where(open_1E, scores_TE, 0.0)
    price_T1 = scores_TE.new_zeros(*scores_TE.shape[:-1], 1)
    mean_T1, square_T1 = torch.zeros_like(price_T1), torch.zeros_like(price_T1)
    for step in range(1, steps + 1):
        slope_T1 = 1.0 - _columns(scores_TE + price_T1, most, gamma, mass_1E).sum(-1, keepdim=True)
        mean_T1 = 0.9 * mean_T1 + 0.1 * slope_T1
        square_T1 = 0.999 * square_T1 + 0.001 * slope_T1.square()
        root_T1 = (square_T1 / (1 - 0.999**step)).sqrt() + 1e-8
        price_T1 = price_T1 + rate * mean_T1 / (1 - 0.9**step) / root_T1
    return _columns(scores_TE + price_T1, most, gamma, mass_1E)


def check_eps(eps: float) -> None:
    """Refuse a plan without entropy.

    Raises:
        BadInput: eps is not above 0.
    """
    if not eps > 0:
        raise BadInput(f"eps is {eps}; it weighs the plan's entropy, and so is above 0")


def check_steps(steps: int) -> None:
    """Refuse to stop before the first step.

    Raises:
        BadInput: there are no steps.
    """
    if steps < 1:
        raise BadInput(f"steps is {steps}; a plan takes at least 1")


def _columns(scores_TE: Tensor, most: int, gamma: float, mass_1E: Tensor) -> Tensor:
    """Of each column the ``most`` best scores, projected on what sums to its mass; 0 elsewhere."""
    best_CE, tokens_CE = (scores_TE / gamma).topk(most, dim=-2)
    count_C1 = torch.arange(1, most + 1, device=scores_TE.device)[:, None]
    level_CE = (best_CE.cumsum(-2) - mass_1E) / count_C1
    inside_1E = (best_CE > level_CE).sum(-2, keepdim=True).clamp(min=1)
    if not most:
        return torch.zeros_like(scores_TE)
    kept_CE = (best_CE - level_CE.gather(-2, inside_1E - 1)).clamp(min=0)
    return torch.zeros_like(scores_TE).scatter(-2, tokens_CE, kept_CE)


def _column_mass(scores_TE: Tensor) -> tuple[Tensor, Tensor]:
    """What each column sums to, and whether the expert is there at all, (…, 1, E)."""
    open_1E = ~torch.isneginf(scores_TE).all(-2, keepdim=True)
    count_11 = open_1E.sum(-1, keepdim=True).clamp(min=1)
    return open_1E * (scores_TE.shape[-2] / count_11), open_1E
