"""One job, many ways: given which experts each token goes to and with what weight, compute the weighed sum.

Every path gets the same tokens, the same decision and the same weights, so that dispatch and experts are compared and
nothing else.  `dense` is the yardstick: a plain feed-forward with as many multiplications as the chosen experts have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import peers
from waypost.experts import FeedForward, MoE, Routing, SwiGLU, TopK, native
from waypost.experts.losses import weighed

WIDTH, HIDDEN = 256, 512


@dataclass(frozen=True)
class Point:
    """What is measured: so many tokens, experts and choices, spread evenly or by Zipf's law."""

    tokens: int
    experts: int
    k: int
    load: str = "even"
    dtype: str = "float32"
    threads: int = 1


@dataclass(frozen=True)
class Work:
    """Tokens and where they go."""

    x_TD: Tensor
    experts_TK: Tensor
    weights_TK: Tensor


#: From work to the tokens' outputs.
Path = Callable[[Work], Tensor]


@dataclass(frozen=True)
class Bench:
    """The paths of a point, and what each is compared with."""

    paths: dict[str, Path]
    yardstick: dict[str, str]
    experts: dict[str, nn.Module]  # whose weights a path shares, where it computes with weights of ours
    parameters: list[nn.Parameter]


def works(point: Point, count: int) -> list[Work]:
    """Several inputs, so that a single token does not always meet the experts that are in the cache."""
    drawn = torch.Generator().manual_seed(0)
    dtype = getattr(torch, point.dtype)
    made = []
    for _ in range(count):
        x_TD = torch.randn(point.tokens, WIDTH, generator=drawn).to(dtype)
        weights_TK = torch.rand(point.tokens, point.k, generator=drawn).softmax(-1)
        made.append(Work(x_TD, _experts(point, drawn), weights_TK))
    return made


def _experts(point: Point, drawn: torch.Generator) -> Tensor:
    tokens, experts, k = point.tokens, point.experts, point.k
    if point.load == "even":
        start = int(torch.randint(experts, (1,), generator=drawn))
        first_T = (torch.randperm(tokens, generator=drawn) + start) % experts
        return (first_T[:, None] + torch.arange(k)) % experts
    scores_E = -torch.arange(1, experts + 1).log()
    gumbel_TE = -torch.rand(tokens, experts, generator=drawn).log().neg().log()
    return (scores_E + gumbel_TE).topk(k, dim=-1).indices


def bench(point: Point) -> Bench:
    """All paths of a point."""
    torch.manual_seed(0)
    dtype = getattr(torch, point.dtype)
    gelu = FeedForward(WIDTH, HIDDEN, point.experts).to(dtype)
    swiglu = SwiGLU(WIDTH, HIDDEN, point.experts).to(dtype)
    layer = MoE(TopK(WIDTH, point.experts, point.k), gelu)
    gated_layer = MoE(layer.router, swiglu)
    plain = _Dense(point.k, gated=False).to(dtype)
    gated = _Dense(point.k, gated=True).to(dtype)
    theirs_too = _Transposed(gelu)
    up_EDH, down_EHD = theirs_too.up_EDH, theirs_too.down_EHD
    paths: dict[str, Path] = {
        "dense": lambda work: plain(work.x_TD),
        "ours": lambda work: _ours(layer, work),
        "loop": lambda work: _loop(up_EDH, down_EHD, work),
        "segments": lambda work: _segments(up_EDH, down_EHD, work),
        "grouped_mm": lambda work: _grouped(up_EDH, down_EHD, work),
        "one_hot": lambda work: _one_hot(up_EDH, down_EHD, work),
        "ours_torch": lambda work: _ours_torch(layer, work),
        "ours_layer": lambda work: _layer(layer, work),
        "dense_swiglu": lambda work: gated(work.x_TD),
        "ours_swiglu": lambda work: _ours(gated_layer, work),
    }
    theirs = peers.mixtral(swiglu, point.k, point.tokens)
    paths |= theirs
    if point.k == 2:
        paths |= peers.lucidrains(WIDTH, HIDDEN, point.experts, dtype)
    yardstick = {name: "dense_swiglu" if "swiglu" in name or name in theirs else "dense" for name in paths}
    shared: dict[str, nn.Module] = dict.fromkeys(("ours", "ours_torch"), gelu)
    shared |= dict.fromkeys(("loop", "segments", "grouped_mm", "one_hot"), theirs_too)
    shared |= dict.fromkeys(("ours_swiglu", *theirs), swiglu)
    parameters = [
        *plain.parameters(),
        *theirs_too.parameters(),
        *gated.parameters(),
        *layer.parameters(),
        *swiglu.parameters(),
    ]
    return Bench(paths, yardstick, shared, parameters)


class _Transposed(nn.Module):
    """The same weights as others keep them, and torch's grouped product wants them: (experts, inner, outer)."""

    def __init__(self, experts: FeedForward) -> None:
        super().__init__()
        self.up_EDH = nn.Parameter(experts.up_EHD.detach().mT.contiguous())
        self.down_EHD = nn.Parameter(experts.down_EDH.detach().mT.contiguous())


class _Dense(nn.Module):
    """A feed-forward as wide as k experts together."""

    def __init__(self, k: int, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.up = nn.Linear(WIDTH, (1 + gated) * k * HIDDEN, bias=False)
        self.down = nn.Linear(k * HIDDEN, WIDTH, bias=False)

    def forward(self, x_TD: Tensor) -> Tensor:
        up = self.up(x_TD)
        if not self.gated:
            return self.down(F.gelu(up))
        gate, up = up.chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


def _ours(layer: MoE, work: Work) -> Tensor:
    """Counting included."""
    return layer.computed(work.x_TD, Routing.of(work.weights_TK, work.experts_TK, experts=layer.router.experts))


def _ours_torch(layer: MoE, work: Work) -> Tensor:
    """As where the products in C cannot be built."""
    built, native.library = native.library, lambda: None
    try:
        return _ours(layer, work)
    finally:
        native.library = built


def _layer(layer: MoE, work: Work) -> Tensor:
    """In training with a loss of the router, as one would."""
    y_TD, routing = layer(work.x_TD)
    return y_TD + weighed(routing.losses, {"balance": 0.01}).to(y_TD.dtype) if torch.is_grad_enabled() else y_TD


def reference(experts: Any, work: Work) -> Tensor:
    """Choice by choice, without any grouping."""
    tokens, parts = [], []
    each = {name[:-4]: stacked.unbind(0) for name, stacked in experts.named_parameters()}
    turned = isinstance(experts, _Transposed)
    for k in range(work.experts_TK.shape[1]):
        for e in work.experts_TK[:, k].unique().tolist():
            weights = {name: (one[e].T if turned else one[e]).double() for name, one in each.items()}
            mine_T = (work.experts_TK[:, k] == e).nonzero().flatten()
            x = work.x_TD[mine_T].double()
            hidden = F.linear(x, weights["up"])
            hidden = F.silu(F.linear(x, weights["gate"])) * hidden if "gate" in weights else F.gelu(hidden)
            tokens.append(mine_T)
            parts.append(work.weights_TK[mine_T, k, None].double() * F.linear(hidden, weights["down"]))
    return torch.zeros_like(work.x_TD, dtype=torch.float64).index_add(0, torch.cat(tokens), torch.cat(parts))


def _loop(up_EDH: Tensor, down_EHD: Tensor, work: Work) -> Tensor:
    """Each expert looks for its tokens."""
    out_TD = torch.zeros_like(work.x_TD)
    for e in range(up_EDH.shape[0]):
        token_A, choice_A = torch.where(work.experts_TK == e)
        if len(token_A):
            made_AD = F.gelu(work.x_TD[token_A] @ up_EDH[e]) @ down_EHD[e]
            weights_A1 = work.weights_TK[token_A, choice_A, None].to(made_AD.dtype)
            out_TD = out_TD.index_add(0, token_A, made_AD * weights_A1)
    return out_TD


def _sorted(work: Work, experts: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    experts_A = work.experts_TK.flatten()
    order_A = experts_A.argsort()
    token_A = order_A // work.experts_TK.shape[1]
    weights_A1 = work.weights_TK.flatten()[order_A, None].to(work.x_TD.dtype)
    return work.x_TD[token_A], token_A, weights_A1, experts_A.bincount(minlength=experts)


def _segments(up_EDH: Tensor, down_EHD: Tensor, work: Work) -> Tensor:
    """Sorted once, then a slice for each expert."""
    rows_AD, token_A, weights_A1, load_E = _sorted(work, up_EDH.shape[0])
    parts = [
        F.gelu(rows @ up_EDH[e]) @ down_EHD[e] for e, rows in enumerate(rows_AD.split(load_E.tolist())) if rows.shape[0]
    ]
    return torch.zeros_like(work.x_TD).index_add(0, token_A, torch.cat(parts) * weights_A1)


def _grouped(up_EDH: Tensor, down_EHD: Tensor, work: Work) -> Tensor:
    """Sorted once, then torch's own grouped multiplication."""
    rows_AD, token_A, weights_A1, load_E = _sorted(work, up_EDH.shape[0])
    ends_E = load_E.cumsum(0).to(torch.int32)
    made_AD = F.grouped_mm(F.gelu(F.grouped_mm(rows_AD, up_EDH, offs=ends_E)), down_EHD, offs=ends_E)
    return torch.zeros_like(work.x_TD).index_add(0, token_A, made_AD * weights_A1)


def _one_hot(up_EDH: Tensor, down_EHD: Tensor, work: Work) -> Tensor:
    """Tokens are multiplied into slots and back (Shazeer et al. 2018); what is beyond 1.25 times the mean is lost."""
    (tokens, k), experts = work.experts_TK.shape, up_EDH.shape[0]
    slots = max(1, int(1.25 * tokens * k / experts))
    one_AE = F.one_hot(work.experts_TK.flatten(), experts)
    place_A = (one_AE.cumsum(0) * one_AE).sum(-1) - 1
    one_AS = F.one_hot(place_A.clamp(max=slots), slots + 1)[:, :slots]
    one_TKES = torch.einsum("ae,as->aes", one_AE.to(work.x_TD.dtype), one_AS.to(work.x_TD.dtype)).unflatten(0, (-1, k))
    dispatch_TES = one_TKES.sum(1)
    combine_TES = torch.einsum("tk,tkes->tes", work.weights_TK.to(work.x_TD.dtype), one_TKES)
    rows_ESD = torch.einsum("tes,td->esd", dispatch_TES, work.x_TD)
    return torch.einsum("tes,esd->td", combine_TES, torch.bmm(F.gelu(torch.bmm(rows_ESD, up_EDH)), down_EHD))
