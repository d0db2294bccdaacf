"""Yuan 2.0-M32's attention router: experts' scores attend to one another.

Claim: An attention router chooses experts better than a linear router does.

Paper: Wu et al. 2024, arXiv 2405.17976: accuracy higher by 3.8 % than with a classical router, in a model of 32 experts
of which 2 are active, trained without a balance loss.

Tested: A causal transformer of one layer and width 64 on words of Python's standard library, with 8 experts of 64
hidden units of which 2 are active, 600 steps of 256 tokens, without a balance loss as in the paper; loss in nats and
share of words told right on held-out files.  Three routers: attention (1,536 numbers), linear with a bottleneck of
three numbers an expert (1,728), and plain linear (512); queries, keys, values and the others' scores all begin with a
variance of about 1.  The rate was chosen on training text with a top-2 router.  Five seeds; intervals by Student's t
over seeds, paired.  It holds if the loss of attention is surely below that of the bottleneck, which has no fewer
parameters; it does not if it is surely above.

Not tested: The paper's model, sizes, data and tasks, more experts, and training to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Make, Plan, Text, mixture, over_seeds, train, words
from torch import Tensor, nn

from waypost.experts import Attention, Context, Control, Routing, TopK
from waypost.experts.gate import logits_of
from waypost.experts.routing import AS_IS, UNKNOWN

EXPERTS = 8
ATTENTION, EQUAL, LINEAR = "attention", "linear, bottleneck", "linear"


class Bottleneck(nn.Module):
    """A linear gate by way of three numbers an expert: the parameters of an attention router, and no attention."""

    causal: ClassVar[bool] = True

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.experts = experts
        self.down_RD = nn.Parameter(torch.empty(3 * experts, width).normal_(std=width**-0.5))
        self.gate = linear(3 * experts, experts)

    def forward(self, x_TD: Tensor, control: Control = AS_IS, context: Context = UNKNOWN) -> Routing:
        """Route tokens."""
        routing: Routing = self.gate(logits_of(x_TD, self.down_RD), control, context)
        return routing


def linear(width: int, experts: int) -> TopK:
    """A linear gate whose scores of normalised tokens have a variance of 1, as attention's values have."""
    gate = TopK(width, experts)
    nn.init.normal_(gate.weight_ED, std=width**-0.5)
    return gate


ARMS: dict[str, Make] = {
    ATTENTION: lambda width: Attention(width, EXPERTS),
    EQUAL: lambda width: Bottleneck(width, EXPERTS),
    LINEAR: lambda width: linear(width, EXPERTS),
}


class Scored(NamedTuple):
    """What a trained model does on held-out words."""

    loss: float
    right: float  # share of words whose most probable guess is right
    in_use: float  # experts, by the exponential of their loads' entropy; the mean of layers


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    seeds = list(range(2 if options.quick else 5))
    text = words()
    scores: dict[str, list[Scored]] = {}
    sizes: dict[str, int] = {}
    for seed in seeds:
        for name, make in ARMS.items():
            torch.manual_seed(seed)
            model = LanguageModel(text.vocabulary, mixture(make), layers=1)
            sizes[name] = sum(value.numel() for value in model.blocks[0].moe.router.parameters())
            train(model, text, Plan(sequences=4, rate=3e-3, steps=150 if options.quick else 600), seed)
            scores.setdefault(name, []).append(scored(model, text, batches=2 if options.quick else 10))
    return finding(scores, sizes, seeds, options.quick)


@torch.no_grad()
def scored(model: LanguageModel, text: Text, batches: int) -> Scored:
    """The same held-out batches for everyone."""
    drawn = torch.Generator().manual_seed(12345)
    model.eval()
    found = []
    for _ in range(batches):
        ids_BL = text.batch(drawn, 32, 64, held_out=True)
        logits_BLV, routings = model(ids_BL[:, :-1])
        loss = nn.functional.cross_entropy(logits_BLV.flatten(0, 1), ids_BL[:, 1:].flatten())
        right = (logits_BLV.argmax(-1) == ids_BL[:, 1:]).float().mean()
        shares = [routing.load_E / routing.load_E.sum() for routing in routings]
        in_use = torch.stack([torch.special.entr(share_E).sum().exp() for share_E in shares]).mean()
        found.append(torch.stack([loss, right, in_use]))
    return Scored(*torch.stack(found).mean(0).tolist())


def finding(
    scores: Mapping[str, Sequence[Scored]], sizes: Mapping[str, int], seeds: Sequence[int], quick: bool = False
) -> Finding:
    """What the losses say."""
    measured: dict[str, float] = {}
    baselines: dict[str, float] = {}
    bounds: dict[str, list[float]] = {}

    def keep(into: dict[str, float], name: str, of: Callable[[int], float]) -> str:
        into[name], bounds[name] = over_seeds([of(s) for s in range(len(seeds))])
        return f"{into[name]:+.4f} ({bounds[name][0]:+.4f} to {bounds[name][1]:+.4f})"

    for name, one in scores.items():
        into = measured if name == ATTENTION else baselines
        keep(into, f"{name}: loss", lambda s, one=one: one[s].loss)
        keep(into, f"{name}: words told right", lambda s, one=one: one[s].right)
        keep(into, f"{name}: experts in use, of {EXPERTS}", lambda s, one=one: one[s].in_use)
        into[f"{name}: parameters of a router"] = sizes[name]

    def less(name: str, what: str) -> str:
        def difference(s: int) -> float:
            return float(getattr(scores[ATTENTION][s], what) - getattr(scores[name][s], what))

        return keep(measured, f"{what}: attention less {name}", difference)

    equal, plain = less(EQUAL, "loss"), less(LINEAR, "loss")
    right = less(EQUAL, "right")
    low, high = bounds[f"loss: attention less {EQUAL}"]
    holds = True if high < 0 else False if low > 0 else None
    word = {True: "Better than noise", False: "Worse than noise", None: "Within noise"}[holds]
    note = (
        f"{word}: the loss of the attention router less that of a linear one of as many parameters is {equal} nats, "
        f"and less that of a plain one {plain}; of words told right, {right} against the first."
    )
    return Finding(measured, None if quick else holds, note, baselines, bounds, seeds)


if __name__ == "__main__":
    run(__doc__, measure, system="Yuan 2.0-M32")
