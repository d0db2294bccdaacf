"""Losses that keep experts in use, each with the value that it has when all is even.

Over several processes each counts the global batch: even loads on every machine are more than training needs, and what
one machine sees is not what experts get.  Every process has the same value then, and averaging gradients over processes
(as data-parallel training does) gives the gradient of that value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
    return _variation(summed(probabilities_TE, across))


def load(logits_TE: Tensor, clean_TE: Tensor, noise: float, k: int, across: ProcessGroup | None = None) -> Tensor:
    """Squared coefficient of variation of the experts' expected loads; 0 when they are even.

    ``logits_TE`` are scores with normal noise of standard deviation ``noise``, ``clean_TE`` without: a token goes to an
    expert if a new draw of its noise lifts it above the k-th best of the others.

    Reference: Shazeer et al. 2017, appendix A; Riquelme et al. 2021, appendix A.
    """
    threshold_T1 = logits_TE.topk(k, dim=-1).values[:, -1:]
    chance_TE = 0.5 * (1 + torch.erf((clean_TE - threshold_T1) / (noise * math.sqrt(2))))
    return _variation(summed(chance_TE, across))


def balance(probabilities_TE: Tensor, load_E: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """E · Σ share of assignments · mean probability, over all experts and not only the chosen; 1 when they are even.

    Reference: Fedus et al. 2022, "Switch Transformers", equations 4 to 6; for k above 1 the shares still sum to 1.

    >>> balance(torch.full((8, 4), 0.25), torch.tensor([2, 2, 2, 2])).item()
    1.0
    """
    total_E = summed(probabilities_TE, across)
    counts_E = _global(load_E.to(total_E.dtype), across)
    experts = load_E.shape[0]
    return experts * (counts_E / counts_E.sum().clamp(min=1)) @ (total_E / total_E.sum().clamp(min=1e-9))


def z(logits_TE: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """Mean squared log of the summed exponentials, which keeps scores small; (log E)² when all of them are 0.

    Reference: Zoph et al. 2022, "ST-MoE", equation 5.

    >>> round(z(torch.zeros(8, 4)).item(), 6) == round(math.log(4) ** 2, 6)
    True
    """
    return mean(torch.logsumexp(logits_TE, dim=-1).square(), across)


def entropy(probabilities_TE: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """Mean entropy of a token's probabilities in nats; log E when they are even, 0 when each is sure of one expert.

    >>> round(entropy(torch.full((8, 4), 0.25)).item(), 6) == round(math.log(4), 6)
    True
    """
    return mean(-_own_log(probabilities_TE).sum(-1), across)


def locality(
    probabilities_TE: Tensor,
    nodes_T: Tensor,
    nodes: int,
    across: ProcessGroup | None = None,
    floor: float = 1e-6,
) -> Tensor:
    """KL(mean probability of each expert ‖ the same if tokens used experts on their own machine alone), in nats.

    ``nodes_T`` is each token's machine; experts lie on the ``nodes`` machines in order, equally many on each.  Tokens
    of each machine are compared by themselves, and machines weigh as their tokens do: over all together, tokens that
    change places would count as at home.  It is 0 when no probability leaves its machine.  The second distribution is
    kept above ``floor``, since the divergence would be infinite where it is 0.

    Reference: Li et al. 2024, "LocMoE", equation 8, which each machine computes of its own tokens.

    >>> at_home = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> [round(locality(at_home, torch.tensor(nodes), nodes=2).item(), 3) for nodes in ([0, 1], [1, 0])]
    [0.0, 13.816]
    """
    experts = probabilities_TE.shape[1]
    machines_N = torch.arange(nodes, device=nodes_T.device)
    mine_TN = (nodes_T[:, None] == machines_N).to(probabilities_TE.dtype)
    near_NE = torch.arange(experts, device=nodes_T.device) // (experts // nodes) == machines_N[:, None]
    inside_TE = probabilities_TE * (mine_TN @ near_NE.to(mine_TN.dtype))
    inside_TE = inside_TE / inside_TE.sum(-1, keepdim=True).clamp(min=floor)
    current_NE = _global(mine_TN.T @ probabilities_TE, across)
    goal_NE = _global(mine_TN.T @ inside_TE, across)
    share_N = current_NE.sum(-1) / current_NE.sum().clamp(min=floor)
    current_NE = current_NE / current_NE.sum(-1, keepdim=True).clamp(min=floor)
    goal_NE = (goal_NE / goal_NE.sum(-1, keepdim=True).clamp(min=floor)).clamp(min=floor)
    return share_N @ (_own_log(current_NE) - current_NE * goal_NE.log()).sum(-1)


def mean(values_T: Tensor, across: ProcessGroup | None = None) -> Tensor:
    """The mean over tokens, for losses of a router's own.

    >>> mean(torch.tensor([1.0, 3.0])).item()
    2.0
    """
    # A product, for a new tensor of the number would fix an exported graph to it.
    count = _global(values_T.new_ones(()) * values_T.shape[0], across)
    return _global(values_T.sum(), across) / count.clamp(min=1)


class Asked(Mapping[str, Tensor]):
    """Losses that are computed when they are asked for, once, with gradients if there were any to be had then.

    Where a model only answers nobody asks, and for a single token they would take as long as its experts.  To keep or
    send them, make a ``dict`` of them.

    >>> losses = Asked(z=lambda: z(torch.zeros(8, 4)))
    >>> list(losses), losses["z"] is losses["z"]
    (['z'], True)
    """

    def __init__(self, **make: Callable[[], Tensor]) -> None:
        self._make = make
        self._made: dict[str, Tensor] = {}
        self._grad = torch.is_grad_enabled()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            with torch.set_grad_enabled(self._grad):
                self._made[name] = self._make[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)

    def __repr__(self) -> str:
        return f"Asked({', '.join(self._make)})"

    def __contains__(self, name: object) -> bool:
        return name in self._make


def when_asked(across: ProcessGroup | None, **make: Callable[[], Tensor]) -> Mapping[str, Tensor]:
    """Losses that are computed when one asks for them, or now where they would be missed later.

    Processes that sum over one another must do so at the same time, whether they want the sum or not; and a graph that
    is compiled has what it has at its end.

    >>> sorted(when_asked(None, balance=lambda: torch.ones(()), z=lambda: torch.zeros(())))
    ['balance', 'z']
    """
    if across is None and not torch.compiler.is_compiling():
        return Asked(**make)
    return {name: compute() for name, compute in make.items()}


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


def _own_log(values: Tensor) -> Tensor:
    """x·log x, 0 at 0, with a gradient that is finite there: experts that are not allowed have probability 0."""
    return values * values.clamp(min=torch.finfo(values.dtype).tiny).log()


def _variation(total_E: Tensor) -> Tensor:
    return total_E.var(unbiased=False) / total_E.mean().square().clamp(min=1e-18)


def summed(values_TE: Tensor, across: ProcessGroup | None) -> Tensor:
    """Over tokens, those of all processes.

    >>> summed(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), None).tolist()
    [4.0, 6.0]
    """
    return _global(values_TE.sum(0), across)


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
