"""Experts that go on from what `waypost.experts.Autonomy` has computed of them to rank them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from waypost.errors import BadInput
from waypost.experts.feed_forward import stacked
from waypost.experts.grouped import Groups, grouped_linear


class Autonomous(nn.Module):
    """A gated feed-forward an expert, whose gate goes on from the router's: (SiLU(shared·up) * (x·gated))·out.

    ``rank`` is the router's.  `equal_hidden` gives the hidden width that has as many weights as `SwiGLU` experts.

    Raises:
        BadInput: a size below 1; and, when called, nothing shared, or of another rank.

    Reference: Lv et al. 2025, "Autonomy-of-Experts Models".

    >>> import torch
    >>> from waypost.experts import Autonomy, MoE
    >>> layer = MoE(Autonomy(8, experts=4, k=2, rank=3), Autonomous(8, hidden=16, experts=4, rank=3))
    >>> layer(torch.randn(5, 8)).y.shape
    torch.Size([5, 8])
    """

    def __init__(self, width: int, hidden: int, experts: int, rank: int) -> None:
        super().__init__()
        self.width, self.experts, self.rank = width, experts, rank
        self.up_EHR = stacked(experts, rank, hidden)
        self.gated_EHD = stacked(experts, width, hidden)
        self.out_EDH = stacked(experts, hidden, width)

    def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
        """(A, D)."""
        if shared_AR is None:
            raise BadInput(
                "the router hands no activations on, and these experts go on from them; route with Autonomy, or take "
                "SwiGLU experts"
            )
        if shared_AR.shape[1] != self.rank:
            raise BadInput(f"the router's rank is {shared_AR.shape[1]}, the experts' {self.rank}; give both the same")
        gate_AH = F.silu(grouped_linear(shared_AR, self.up_EHR, groups))
        return grouped_linear(gate_AH * grouped_linear(rows_AD, self.gated_EHD, groups), self.out_EDH, groups)


def equal_hidden(width: int, hidden: int, rank: int) -> int:
    """The hidden width of `Autonomous` experts with as many weights as `SwiGLU` experts of ``hidden``, rounded down.

    A SwiGLU expert has 3·D·H weights; an autonomous one, with its share of the router, D·R + R·H' + 2·D·H'.

    Raises:
        BadInput: the low-rank map alone has as many weights.

    Reference: Lv et al. 2025, "Autonomy-of-Experts Models" (d_wide).

    >>> equal_hidden(768, 3072, 256)
    3840
    """
    left = width * (3 * hidden - rank)
    found = left // (rank + 2 * width)
    if found < 1:
        raise BadInput(
            f"a rank of {rank} leaves no weights for experts as large as SwiGLU with {hidden} hidden numbers; take a "
            "lower rank"
        )
    return found
