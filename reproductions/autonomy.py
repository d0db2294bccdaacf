"""Autonomy-of-Experts: experts rank themselves by how strongly they respond, with no gate beside them.

Claim: Experts that rank themselves by the length of their first, low-rank activations reach a lower loss than a linear
gate with as many weights does, and what is computed for ranking is used again, exactly.

Paper: Lv et al. 2025, arXiv 2501.13074: 44.46 points on average where the gate with its balancing loss has 43.68 (732
million weights), at 97 % to 90 % of its throughput.

Tested: A language model of two layers of eight experts each, two a token, of width 64, on words of Python's standard
library, 200 steps of 1,024 words.  The gate has SwiGLU experts of 64 hidden numbers; autonomous experts have a rank of
a third of the width and as many hidden numbers as make up for it (73).  Both with the balancing loss at 0.01.  Loss on
held-out words, eight seeds, paired, interval by Student's t.  Cached against naive: a trained layer against one that
computes each expert's low-rank activations anew.  Time: one forward and backward pass of a layer on 1,024 tokens, by
turns, at width 64 and at width 256 with 512 hidden numbers, median of the ratios; it decides nothing.  It holds
if the whole interval of the gain in loss lies above 0 and the cached path gives what the naive one gives; it does not
if the interval lies below 0 or the paths differ by more than 1e-6.

Not tested: Models of the paper's size, its benchmarks, memory, top-p and expert choice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Plan, Text, interval, loss_of, train, words
from torch import Tensor

from waypost.experts import Autonomous, Autonomy, MoE, Sorted, SwiGLU, TopK
from waypost.experts.autonomous import equal_hidden
from waypost.experts.grouped import grouped_linear

EXPERTS, CHOSEN, VOCABULARY, STEPS = 8, 2, 1000, 200


def gated(width: int, hidden: int = 64) -> MoE:
    return MoE(TopK(width, EXPERTS, CHOSEN), SwiGLU(width, hidden, EXPERTS))


def autonomous(width: int, hidden: int = 64) -> MoE:
    router = Autonomy(width, EXPERTS, CHOSEN)
    wide = equal_hidden(width, hidden, router.rank)
    return MoE(router, Autonomous(width, wide, EXPERTS, router.rank))


MODELS: dict[str, Callable[..., MoE]] = {"gate": gated, "autonomy": autonomous}


def naive(layer: MoE, x_TD: Tensor) -> Tensor:
    """The layer's output with each expert's low-rank activations computed anew from its tokens."""
    routing = layer.router(x_TD)
    moved = Sorted().dispatch(x_TD, routing._replace(shared_TER=None))
    shared_AR = grouped_linear(moved.rows_AD, layer.router.down_ERD, moved.groups)
    return Sorted().combine(layer.experts(moved.rows_AD, moved.groups, shared_AR), moved, routing)


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    text, seeds = words(VOCABULARY), range(2 if options.quick else 8)
    steps = STEPS // 2 if options.quick else STEPS
    each: dict[str, list[float]] = defaultdict(list)
    off = 0.0
    for seed in seeds:
        for name, make in MODELS.items():
            torch.manual_seed(seed)
            model = LanguageModel(VOCABULARY, make)
            train(model, text, Plan(steps, weights={"balance": 0.01}), seed)
            each[f"{name}: loss"].append(float(loss_of(model, text).mean()))
            each[f"{name}: experts in use"].append(in_use(model, text))
            if name == "autonomy":
                off = max(off, difference(model, seed))
    each["gain"] = [a - b for a, b in zip(each["gate: loss"], each["autonomy: loss"], strict=True)]
    rounds = 10 if options.quick else 60
    ratios = {
        f"time relative to the gate: width {width}": ratio(rounds, width, hidden)
        for width, hidden in ((64, 64), (256, 512))
    }
    weights = {name: sum(value.numel() for value in make(64).parameters()) for name, make in MODELS.items()}
    return finding(each, off, ratios, weights, list(seeds), options.quick)


@torch.no_grad()
def in_use(model: LanguageModel, text: Text) -> float:
    """How many experts are in use on held-out words: e to the entropy of their loads, mean over layers."""
    ids_BL = text.batch(torch.Generator().manual_seed(7), 32, 64, held_out=True)[:, :-1]
    shares = [routing.load_E.double() / routing.load_E.sum() for routing in model(ids_BL)[1]]
    return sum(math.exp(float(torch.special.entr(share_E).sum())) for share_E in shares) / len(shares)


@torch.no_grad()
def difference(model: LanguageModel, seed: int) -> float:
    """The greatest difference between the cached and the naive path, over layers, on random tokens."""
    x_TD = torch.randn(500, 64, generator=torch.Generator().manual_seed(seed))
    return max(float((block.moe(x_TD).y - naive(block.moe, x_TD)).abs().max()) for block in model.blocks)


def ratio(rounds: int, width: int, hidden: int) -> float:
    """How much longer a pass through the autonomous layer takes than through the gated one."""
    torch.manual_seed(0)
    layers = {name: make(width, hidden) for name, make in MODELS.items()}
    x_TD = torch.randn(1024, width)
    ratios = []
    for round_ in range(rounds + 3):
        seconds = {}
        for name, layer in layers.items():
            began = perf_counter()
            layer(x_TD).y.sum().backward()
            seconds[name] = perf_counter() - began
        if round_ >= 3:  # the first ones find memory
            ratios.append(seconds["autonomy"] / seconds["gate"])
    return round(median(ratios), 3)


def finding(
    each: Mapping[str, Sequence[float]],
    off: float,
    ratios: Mapping[str, float],
    weights: Mapping[str, int],
    seeds: Sequence[int],
    quick: bool,
) -> Finding:
    """What the numbers say."""
    means = {name: round(sum(list_) / len(list_), 5) for name, list_ in each.items()}
    bounds = {name: interval(list_) for name, list_ in each.items()}
    values = {
        **{name: value for name, value in means.items() if not name.startswith("gate")},
        "cached path: greatest difference from the naive one": off,
        **ratios,
        "weights of a layer": weights["autonomy"],
    }
    baselines = {name: value for name, value in means.items() if name.startswith("gate")}
    baselines["gate: weights of a layer"] = weights["gate"]
    return Finding(
        values, None if quick else verdict(bounds["gain"], off), note(values, bounds, off), baselines, bounds, seeds
    )


def verdict(gain: Sequence[float], off: float) -> bool | None:
    """True if the loss is lower and both paths are one, False if it is higher or they are not."""
    if off > 1e-6 or gain[1] < 0:
        return False
    return True if gain[0] > 0 else None


def note(values: Mapping[str, float], bounds: Mapping[str, Sequence[float]], off: float) -> str:
    """A sentence or two for the reader."""
    low, high = bounds["gain"]
    times = " and ".join(
        f"{values[f'time relative to the gate: width {width}']:.2f} times at width {width}" for width in (64, 256)
    )
    return (
        f"With as many weights the loss is lower by {values['gain']:+.4f} ({low:+.4f} to {high:+.4f}) nats a word than "
        f"with a gate; the cached path differs from the naive one by at most {off:.1e}; a pass through a layer takes "
        f"{times} as long as the gate's."
    )


if __name__ == "__main__":
    run(__doc__, measure, system="Autonomy-of-Experts")
