"""The nearest code of a codebook decides the expert (the discrete branch of VQMoE)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from waypost.errors import BadInput
from waypost.experts.codes import Quantised, usage
from waypost.experts.gate import best, check_sizes, choices, governed, logits_of
from waypost.experts.losses import mean
from waypost.experts.routing import AS_IS, UNKNOWN, Context, Control, Routing


class VectorQuantised(nn.Module):
    """Sends each token to the expert of its nearest code: code c is expert c modulo the number of experts.

    The weight of one expert is 1.  With k above 1, which is ours, an expert is as near as the nearest of its codes, and
    weights are the softmax of -distance² over those chosen.  Experts get the token as it is; the layer that gives them
    its code instead is `waypost.experts.DiscreteMoE`, which calls `quantise`.

    ``estimator`` says what stands for a token x with the nearest code q, in value and in gradient:

    - "paper": x + (q - x).detach(), whose value is q and whose gradient is that of x;
    - "code": x·(1 - r) + (q - x).detach()·r, as the authors' code has it, whose value is x·(1 - 2r) + r·q; r is
      ``rate``.

    Losses, means over tokens and their numbers: ``codebook`` draws codes to tokens, ``commitment`` tokens to codes.
    The authors weigh them by 0.08 and 0.02.

    Raises:
        BadInput: fewer codes than experts, an estimator that does not exist, or a rate that is not between 0 and 1.

    Reference: Do et al. 2024, "On the Role of Discrete Representation in Sparse Mixture of Experts" (VQMoE); van den
    Oord et al. 2017, "Neural Discrete Representation Learning", equation 3.

    >>> router = VectorQuantised(8, experts=4, codes=16)
    >>> x_TD = torch.randn(3, 8)
    >>> codes_T, quantised_TD, routing = router.quantise(x_TD)
    >>> bool((routing.experts_TK[:, 0] == codes_T % 4).all()), sorted(routing.losses)
    (True, ['codebook', 'commitment'])
    """

    causal: ClassVar[bool] = True
    # Codes do not learn from the output, and tokens learn from the losses what their values do not say.
    straight_through: ClassVar[bool] = True

    def __init__(
        self,
        width: int,
        experts: int,
        k: int = 1,
        *,
        codes: int | None = None,
        estimator: Literal["paper", "code"] = "paper",
        rate: float = 0.05,
    ) -> None:
        super().__init__()
        check_sizes(experts, k)
        codes = experts if codes is None else codes
        if codes < experts:
            raise BadInput(f"codes is {codes}, and there are {experts} experts; each expert needs at least 1 code")
        if estimator not in ("paper", "code"):
            raise BadInput(f"estimator is {estimator!r}; it is 'paper' or 'code'")
        if not 0 <= rate <= 1:
            raise BadInput(f"rate is {rate}; it is the share of the code in the token, from 0 to 1")
        self.experts, self.k = experts, k
        self.estimator, self.rate = estimator, rate
        self.codes_CD = nn.Parameter(torch.empty(codes, width).normal_(std=0.02))

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        return self.quantise(x_TD, control, context).routing

    def quantise(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Quantised:
        """The nearest code of each token, what stands for it, (T, D) in its own type, and its routing."""
        k = choices(control, self.k, self.experts)
        # A frozen codebook learns nothing from its losses either; a layer that calls this by itself relies on it.
        codes_CD = self.codes_CD.detach() if control.frozen else self.codes_CD
        # -distance² without the part that all codes share.
        near_TC = logits_of(x_TD, 2 * codes_CD, -codes_CD.square().sum(-1))
        of_C = torch.arange(len(codes_CD), device=x_TD.device) % self.experts
        if control.allowed_E is not None:
            near_TC = near_TC.masked_fill(~control.allowed_E[of_C], -torch.inf)
        codes_T = best(near_TC, 1)[1][:, 0]
        if k == 1:
            experts_TK = of_C[codes_T][:, None]
            weights_TK = torch.ones_like(experts_TK, dtype=near_TC.dtype)
        else:
            near_TE = near_TC.new_full((len(x_TD), self.experts), -torch.inf)
            near_TE = near_TE.scatter_reduce(1, of_C.expand(len(x_TD), -1), near_TC, "amax")
            logits_TK, experts_TK = best(governed(near_TE, control), k)
            weights_TK = logits_TK.softmax(-1)
        exact_TD = x_TD.to(near_TC.dtype)
        code_TD = codes_CD.to(near_TC.dtype)[codes_T]
        off_TD = (code_TD - exact_TD).detach()
        losses = {
            "codebook": mean((code_TD - exact_TD.detach()).square().mean(-1), context.across),
            "commitment": mean((exact_TD - code_TD.detach()).square().mean(-1), context.across),
        }
        if self.estimator == "paper":
            quantised_TD = exact_TD + off_TD
        else:
            quantised_TD = exact_TD * (1 - self.rate) + off_TD * self.rate
        routing = Routing.of(weights_TK, experts_TK, experts=self.experts, losses=losses)
        return Quantised(codes_T, quantised_TD.to(x_TD.dtype), routing)

    @torch.no_grad()
    def restart(self, x_TD: Tensor, generator: torch.Generator | None = None, share: float = 0.1) -> Tensor:
        """Move every code that is the nearest of none of these tokens to where tokens are.

        Call it now and then while training, with many tokens; a code that nobody uses has no gradient, and never would
        be used again.  For each a token is drawn, and the code put at ``share`` of the way from that token's code to
        the token: near the code it takes a part of its tokens, where upon the token (1, the usual form) it may be the
        nearest of that one alone.  Gives which codes were moved, (C,) of bool.

        Raises:
            BadInput: no token.

        >>> router, x_TD = VectorQuantised(8, experts=4), torch.randn(50, 8)
        >>> router.codes_CD.data[2] = 1000.0
        >>> router.restart(x_TD).tolist()[2], bool((router.quantise(x_TD).codes_T == 2).any())
        (True, True)
        """
        if not len(x_TD):
            raise BadInput("no tokens came; a code is moved to where tokens are")
        codes_T = self.quantise(x_TD).codes_T
        dead_C = usage(codes_T, len(self.codes_CD)) == 0
        drawn = torch.randint(len(x_TD), (int(dead_C.sum()),), generator=generator, device=x_TD.device)
        codes_CD = self.codes_CD
        codes_CD[dead_C] = torch.lerp(codes_CD[codes_T[drawn]], x_TD[drawn].to(codes_CD.dtype), share)
        return dead_C

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Settings to try in `waypost.experts.checks`."""
        return [{}, {"codes": 9}, {"k": 2, "codes": 9}, {"estimator": "code"}]
