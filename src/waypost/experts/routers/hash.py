"""Experts by a fixed random hash of a token's id: nothing is learned, and nothing is scored."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.gate import best, check_sizes, choices, exact
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing

MASK = 0xFFFFFFFF


class Hash(nn.Module):
    """Sends each token to k different experts that a hash of its id names, with weight 1/k each.

    Each expert hashes the id with a key of its own, drawn once and saved; the k with the greatest hashes have the
    token (rendezvous hashing).  So no vocabulary needs to be known, a greater k keeps the experts of a smaller one, and
    where an expert is not allowed, only its tokens go elsewhere.  Frequent ids make frequent experts: loads are as even
    as the text.

    Losses: none; there is nothing to teach.

    Raises:
        BadInput: k is not between 1 and the number of experts; and, when called, no ids, or not one for each token.

    Reference: Roller et al. 2021, "Hash Layers for Large Sparse Models", random hash, with several experts a token.

    >>> router = Hash(8, experts=4, k=2)
    >>> first, second, third = router(torch.randn(3, 8), context=Context(ids_T=torch.tensor([5, 9, 5]))).experts_TK
    >>> torch.equal(first, third)
    True
    """

    causal: ClassVar[bool] = True
    keys_E: Tensor

    def __init__(self, width: int, experts: int, k: int = 1) -> None:
        super().__init__()
        check_sizes(experts, k)
        self.experts, self.k = experts, k
        self.register_buffer("keys_E", torch.randint(MASK, (experts,)))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens by ``context.ids_T`` (T,)."""
        k = choices(control, self.k, self.experts)
        ids_T = _checked(context.ids_T, len(x_TD))
        hashes_TE = _mixed(_mixed(ids_T)[:, None] ^ self.keys_E)
        if control.allowed_E is not None:
            hashes_TE = hashes_TE.masked_fill(~control.allowed_E, -1)
        experts_TK = best(hashes_TE, k)[1]
        weights_TK = torch.full_like(experts_TK, 1 / k, dtype=exact(x_TD[:0]).dtype)
        return Routing.of(weights_TK, experts_TK, experts=self.experts)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"k": 2}]


def _checked(ids_T: Tensor | None, tokens: int) -> Tensor:
    if ids_T is None:
        raise BadInput("a hash needs the tokens' ids; give them as Context(ids_T=ids.flatten())")
    if ids_T.shape != (tokens,) or ids_T.is_floating_point():
        raise BadInput(
            f"ids_T has shape {tuple(ids_T.shape)} and type {ids_T.dtype}; it is one whole number for each of the "
            f"{tokens} tokens"
        )
    return ids_T.long()


def _mixed(values: Tensor) -> Tensor:
    """Whole numbers scattered over 0 to 2^32 - 1, so that near ones come out far apart; below 2^32 no two meet."""
    for _ in range(2):
        values = ((values >> 16) ^ values) * 0x45D9F3B & MASK
    return (values >> 16) ^ values
