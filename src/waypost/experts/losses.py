"""Losses that keep experts in use, each with the value that it has when all is even.

Over several processes each counts the global batch: even loads on every machine are more than training needs, and what
one machine sees is not what experts get.  Every process has the same value then, and averaging gradients over processes
(as data-parallel training does) gives the gradient of that value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from waypost.errors import BadInput

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def importance(probabilities_TE: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """Squared coefficient of variation of the experts' summed probabilities; 0 when they are even.

    Reference: Shazeer et al. 2017, "Outrageously Large Neural Networks", equation 6.

    >>> importance(torch.full((8, 4), 0.25)).item()
    0.0
    """
    return _variation(_summed(probabilities_TE, across))


def load(logits_TE: Tensor, clean_TE: Tensor, noise: float, k: int, across: ProcessGroup | None = None) -> Tensor:
    """Squared coefficient of variation of the experts' expected loads; 0 when they are even.

    ``logits_TE`` are scores with normal noise of standard deviation ``noise``, ``clean_TE`` without: a token goes to an
    expert if a new draw of its noise lifts it above the k-th best of the others.

    Reference: Shazeer et al. 2017, appendix A; Riquelme et al. 2021, appendix A.
    """
    threshold_T1 = logits_TE.topk(k, dim=-1).values[:, -1:]
    chance_TE = 0.5 * (1 + torch.erf((clean_TE - threshold_T1) / (noise * math.sqrt(2))))
    return _variation(_summed(chance_TE, across))


def balance(probabilities_TE: Tensor, load_E: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """E · Σ share of assignments · mean probability, over all experts and not only the chosen; 1 when they are even.

    Reference: Fedus et al. 2022, "Switch Transformers", equations 4 to 6; for k above 1 the shares still sum to 1.

    >>> balance(torch.full((8, 4), 0.25), torch.tensor([2, 2, 2, 2])).item()
    1.0
    """
    total_E = _summed(probabilities_TE, across)
    counts_E = _global(load_E.to(total_E.dtype), across)
    experts = load_E.shape[0]
    return experts * (counts_E / counts_E.sum().clamp(min=1)) @ (total_E / total_E.sum().clamp(min=1e-9))


def z(logits_TE: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """Mean squared log of the summed exponentials, which keeps scores small; (log E)² when all of them are 0.

    Reference: Zoph et al. 2022, "ST-MoE", equation 5.

    >>> round(z(torch.zeros(8, 4)).item(), 6) == round(math.log(4) ** 2, 6)
    True
    """
    return _mean(torch.logsumexp(logits_TE, dim=-1).square(), across)


def entropy(probabilities_TE: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """Mean entropy of a token's probabilities in nats; log E when they are even, 0 when each is sure of one expert.

    >>> round(entropy(torch.full((8, 4), 0.25)).item(), 6) == round(math.log(4), 6)
    True
    """
    return _mean(torch.special.entr(probabilities_TE).sum(-1), across)


def locality(
    probabilities_TE: Tensor, local_TE: Tensor, across: ProcessGroup | None = None, floor: float = 1e-6
) -> Tensor:
    """KL(mean probability of each expert ‖ that of tokens that go to experts on their own machine), in nats.

    ``local_TE`` (bool) says which experts are on a token's machine.  It is 0 when no probability leaves its machine.
    The second distribution is kept above ``floor``, since the divergence would be infinite where it is 0.

    Reference: Li et al. 2024, "LocMoE", equation 8.
    """
    current_E = _summed(probabilities_TE, across)
    inside_TE = probabilities_TE * local_TE
    inside_TE = inside_TE / inside_TE.sum(-1, keepdim=True).clamp(min=floor)
    goal_E = _summed(inside_TE, across)
    current_E = current_E / current_E.sum().clamp(min=floor)
    goal_E = (goal_E / goal_E.sum().clamp(min=floor)).clamp(min=floor)
    return (torch.xlogy(current_E, current_E) - current_E * goal_E.log()).sum()


def weighed(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """What to add to the task's loss: those losses that have a weight, each times it.

    Raises:
        BadInput: a weight for a loss that the router does not have.

    >>> weighed({"balance": torch.tensor(2.0), "z": torch.tensor(1.0)}, {"balance": 0.01}).item()
    0.019999999552965164
    """
    unknown = sorted(weights.keys() - losses.keys())
    if unknown:
        raise BadInput(f"the router has no loss {', '.join(unknown)}; it has {', '.join(sorted(losses)) or 'none'}")
    return sum((weight * losses[name] for name, weight in weights.items()), torch.zeros(()))


def _variation(total_E: Tensor) -> Tensor:
    return total_E.var(unbiased=False) / total_E.mean().square().clamp(min=1e-18)


def _summed(values_TE: Tensor, across: ProcessGroup | None) -> Tensor:
    return _global(values_TE.sum(0), across)


def _mean(values_T: Tensor, across: ProcessGroup | None) -> Tensor:
    count = _global(values_T.new_tensor(float(values_T.shape[0])), across)
    return _global(values_T.sum(), across) / count.clamp(min=1)


def _global(value: Tensor, across: ProcessGroup | None) -> Tensor:
    """Summed over processes, and so that gradients flow back to each."""
    if across is None:
        return value
    total: Tensor = _Total.apply(value, across)  # type: ignore[no-untyped-call]
    return total


class _Total(torch.autograd.Function):
    """torch's own sum with gradients warns at each call that it will go."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, across: ProcessGroup) -> Tensor:
        ctx.across = across
        total = value.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total, group=across)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total: Tensor = _Total.apply(grad, ctx.across)  # type: ignore[no-untyped-call]
        return total, None
