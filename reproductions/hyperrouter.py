"""HyperRouter: a router that a fixed random network makes from one learned embedding.

Claim: With the growing number of experts of SMoE-Dropout, a router made by a frozen hypernetwork is better than a
random one that never learns and than a learned one, at any number of active experts.

Paper: Do et al. 2023, EMNLP, "HyperRouter": better than existing routing over a range of tasks, and cheaper, with a
policy between learned and frozen; the authors' code trains Transformer-XL with 16 experts and k growing from 8 to 16.

Tested: A causal transformer of one layer and width 64 on words of Python's standard library, with 8 experts of 64
hidden units, 600 steps of 256 tokens; loss in nats on held-out files at k = 1, 2, 4 and 8.  Routers: hypernetwork of
64 hidden units, random, and learned with a balance loss of weight 0.01, all three with k growing linearly from 4 to 8,
and learned top-2 with its own fixed k.  The rate was chosen on training text with top-2.  Five seeds; intervals by
Student's t over seeds, paired, of the loss averaged over the four k.  It holds if the hypernetwork's is surely below
those of the others; it does not if it is surely above one of them.  Exactly: what has learned of the router after
training, number by number.

Not tested: The paper's models, sizes and data, and training to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Make, Plan, curve, mixture, over_seeds, train, words
from torch import Tensor

from waypost.experts import Hyper, Ramp, RandomFixed, Schedule, TopK

EXPERTS, WIDTH = 8, 64
KS = (1, 2, 4, 8)
HYPER, OTHERS = "hypernetwork", ("random", "learned", "learned top-2")


def arms(steps: int) -> dict[str, tuple[Make, Plan]]:
    """A router and how to train with it."""
    grows = Plan(steps=steps, sequences=4, rate=3e-3, schedule=Schedule(k=Ramp(EXPERTS // 2, EXPERTS, steps=steps)))
    even = {"balance": 0.01}
    return {
        HYPER: (lambda width: Hyper(width, EXPERTS), grows),
        "random": (lambda width: RandomFixed(width, EXPERTS), grows),
        "learned": (lambda width: TopK(width, EXPERTS), replace(grows, weights=even)),
        "learned top-2": (lambda width: TopK(width, EXPERTS), Plan(steps=steps, sequences=4, rate=3e-3, weights=even)),
    }


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    seeds = list(range(2 if options.quick else 5))
    text = words()
    losses: dict[str, list[list[float]]] = {}
    moved: dict[str, int] = {}
    for seed in seeds:
        for name, (make, plan) in arms(150 if options.quick else 600).items():
            torch.manual_seed(seed)
            model = LanguageModel(text.vocabulary, mixture(make), width=WIDTH, layers=1)
            before = routers(model)
            train(model, text, plan, seed)
            losses.setdefault(name, []).append(curve(model, text, KS, batches=2 if options.quick else 5))
            if name == HYPER:
                moved = changed(before, routers(model))
    return finding(losses, moved, seeds, options.quick)


def routers(model: LanguageModel) -> dict[str, Tensor]:
    """All numbers of all routers, learned or not."""
    return {name: value.clone() for name, value in model.state_dict().items() if ".router." in name}


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, int]:
    """How many numbers of a router are others than before, by their name in it."""
    counts: dict[str, int] = {}
    for name, value in before.items():
        last = name.rpartition(".")[2]
        counts[last] = counts.get(last, 0) + int((value != after[name]).sum())
    return counts


def finding(
    losses: Mapping[str, Sequence[Sequence[float]]],
    moved: Mapping[str, int],
    seeds: Sequence[int],
    quick: bool = False,
) -> Finding:
    """What the losses say: of each router, one curve over k a seed."""
    means = {
        name: [round(sum(column) / len(column), 4) for column in zip(*curves, strict=True)]
        for name, curves in losses.items()
    }
    shown = ", ".join(map(str, KS))
    measured: dict[str, object] = {f"{HYPER}: loss at k = {shown}": means[HYPER]}
    baselines = {f"{name}: loss at k = {shown}": means[name] for name in OTHERS}
    bounds: dict[str, list[float]] = {}

    def keep(name: str, of: Callable[[int], float]) -> str:
        measured[name], bounds[name] = over_seeds([of(s) for s in range(len(seeds))])
        return f"{measured[name]:+.3f} ({bounds[name][0]:+.3f} to {bounds[name][1]:+.3f})"

    def mean(name: str, s: int) -> float:
        return sum(losses[name][s]) / len(KS)

    told = [keep(f"less {name}, mean over k", lambda s, n=name: mean(HYPER, s) - mean(n, s)) for name in OTHERS]
    sides = [bounds[f"less {name}, mean over k"] for name in OTHERS]
    half = keep(
        "with half of the experts less with all", lambda s: losses[HYPER][s][KS.index(4)] - losses[HYPER][s][-1]
    )
    for name, count in moved.items():
        measured[f"numbers of {name} that training changed"] = count
    others = sum(count for name, count in moved.items() if name != "embedding_D")
    note = (
        f"The hypernetwork's loss less that of the random router: {told[0]} nats, of the learned one {told[1]}, of "
        f"learned top-2 {told[2]}; with half of its experts it loses {half} to all of them. Of its router training "
        f"changed {moved['embedding_D']} numbers of an embedding of {WIDTH} and {others} of everything else."
    )
    return Finding(measured, None if quick else better(sides), note, baselines, bounds, seeds)


def better(sides: Sequence[Sequence[float]]) -> bool | None:
    """Whether every difference is surely below 0."""
    return True if all(high < 0 for _, high in sides) else False if any(low > 0 for low, _ in sides) else None


if __name__ == "__main__":
    run(__doc__, measure, system="HyperRouter")
