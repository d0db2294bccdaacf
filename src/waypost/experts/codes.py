"""What a codebook makes of tokens, and how many of its codes are in use."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from waypost.experts.routing import Routing


class Quantised(NamedTuple):
    """What a codebook makes of tokens: their nearest codes, what stands for them, and where they go."""

    codes_T: Tensor
    quantised_TD: Tensor
    routing: Routing


def usage(codes_T: Tensor, codes: int) -> Tensor:
    """How many tokens each code stands for, (C,).

    >>> usage(torch.tensor([0, 2, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    return torch.bincount(codes_T, minlength=codes)


def perplexity(codes_T: Tensor, codes: int) -> Tensor:
    """How many codes are in use: e to the entropy of their shares; 1 when all tokens have one, ``codes`` when even.

    >>> perplexity(torch.tensor([0, 1, 2, 3]), 4).item(), perplexity(torch.tensor([3, 3]), 4).item()
    (4.0, 1.0)
    """
    count_C = usage(codes_T, codes).float()
    found: Tensor = torch.special.entr(count_C / count_C.sum().clamp(min=1)).sum().exp()
    return found
