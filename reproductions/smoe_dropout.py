"""SMoE-Dropout: a random router that never learns, and a number of experts that grows while training.

Claim: A model trained with a fixed random router and a growing number of experts gets better with every expert that is
active in use (it is "self-slimmable"), and one with a learned top-2 router does not.

Paper: Chen et al. 2023, arXiv 2303.01610: quality that rises smoothly with the number of active experts, where learned
routing overfits to the number that it was trained with; Transformer-XL, BERT and RoBERTa, and k growing while training.

Tested: A causal transformer of one layer and width 64 on words of Python's standard library, with 8 experts of 64
hidden units, 600 steps of 256 tokens; loss in nats on held-out files at every k from 1 to 8.  Routers: random with k
growing linearly from 1 to 8, learned top-2 with a balance loss of weight 0.01, and, to tell the schedule from the
router, learned with the same schedule and random with k = 2.  The rate was chosen on training text with top-2.  Five
seeds; intervals by Student's t over seeds, paired.  It holds if every step of k lowers the loss of the first and some
step raises that of learned top-2, each with its whole interval; it does not if one step surely raises the first, or all
surely lower the second.

Not tested: The paper's models, sizes and data, the fine-tuned tasks, and training to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Make, Plan, curve, mixture, over_seeds, train, words

from waypost.experts import Ramp, RandomFixed, Schedule, TopK

EXPERTS = 8
KS = range(1, EXPERTS + 1)
RANDOM, LEARNED = "random, k grows", "learned top-2"


def arms(steps: int) -> dict[str, tuple[Make, Plan]]:
    """A router and how to train with it."""
    fixed = Plan(steps=steps, sequences=4, rate=3e-3)
    grows = replace(fixed, schedule=Schedule(k=Ramp(1, EXPERTS, steps=steps)))
    even = {"balance": 0.01}
    return {
        RANDOM: (lambda width: RandomFixed(width, EXPERTS), grows),
        LEARNED: (lambda width: TopK(width, EXPERTS), replace(fixed, weights=even)),
        "learned, k grows": (lambda width: TopK(width, EXPERTS), replace(grows, weights=even)),
        "random, k = 2": (lambda width: RandomFixed(width, EXPERTS), fixed),
    }


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    seeds = list(range(2 if options.quick else 5))
    text = words()
    losses: dict[str, list[list[float]]] = {}
    for seed in seeds:
        for name, (make, plan) in arms(150 if options.quick else 600).items():
            torch.manual_seed(seed)
            model = train(LanguageModel(text.vocabulary, mixture(make), layers=1), text, plan, seed)
            losses.setdefault(name, []).append(curve(model, text, KS, batches=2 if options.quick else 5))
    return finding(losses, seeds, options.quick)


def finding(losses: Mapping[str, Sequence[Sequence[float]]], seeds: Sequence[int], quick: bool = False) -> Finding:
    """What the losses say: of each router, one curve over k a seed."""
    means = {
        name: [round(sum(column) / len(column), 4) for column in zip(*curves, strict=True)]
        for name, curves in losses.items()
    }
    measured: dict[str, object] = {f"{RANDOM}: loss at k = 1…{EXPERTS}": means[RANDOM]}
    baselines = {f"{name}: loss at k = 1…{EXPERTS}": mean for name, mean in means.items() if name != RANDOM}
    bounds: dict[str, list[float]] = {}

    def keep(name: str, of: Callable[[int], float]) -> list[float]:
        measured[name], bounds[name] = over_seeds([of(s) for s in range(len(seeds))])
        return bounds[name]

    gained = {
        name: [keep(f"{name}: lower by, k = {k} → {k + 1}", lambda s, c=losses[name], k=k: c[s][k - 1] - c[s][k])
               for k in KS[:-1]]
        for name in losses if name in (RANDOM, LEARNED)
    }  # fmt: skip
    last = f"{RANDOM}, at all experts, less {LEARNED} at 2"
    keep(last, lambda s: losses[RANDOM][s][-1] - losses[LEARNED][s][1])
    sides = [falls(gained[RANDOM]), rises(gained[LEARNED])]
    holds = False if False in sides else None if None in sides else True
    best = {name: 1 + min(range(EXPERTS), key=mean.__getitem__) for name, mean in means.items()}
    note = (
        f"From k = 1 to {EXPERTS} the loss goes from {means[RANDOM][0]:.3f} to {means[RANDOM][-1]:.3f} with the random "
        f"router, whose best k is {best[RANDOM]}, and from {means[LEARNED][0]:.3f} to {means[LEARNED][-1]:.3f} with "
        f"learned top-2, whose best k is {best[LEARNED]}; learned with the same schedule has its best at "
        f"{best['learned, k grows']}, random without at {best['random, k = 2']}. Random with all experts less learned "
        f"with 2: {measured[last]:+.3f} nats ({bounds[last][0]:+.3f} to {bounds[last][1]:+.3f})."
    )
    return Finding(measured, None if quick else holds, note, baselines, bounds, seeds)


def falls(gains: Sequence[Sequence[float]]) -> bool | None:
    """Whether every step of k lowers the loss."""
    return True if all(low > 0 for low, _ in gains) else False if any(high < 0 for _, high in gains) else None


def rises(gains: Sequence[Sequence[float]]) -> bool | None:
    """Whether some step of k raises the loss."""
    return True if any(high < 0 for _, high in gains) else False if all(low > 0 for low, _ in gains) else None


if __name__ == "__main__":
    run(__doc__, measure, system="SMoE-Dropout")
