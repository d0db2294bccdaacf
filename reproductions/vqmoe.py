"""VQMoE: discrete codes route beside a continuous path, and noise moves tokens to other experts less.

Claim: Where the nearest code of a learned codebook decides the expert, noise in what a layer sees changes a token's
expert less often than where a linear gate decides, by both estimators of the gradient (the paper's and the code's).

Paper: Do et al. 2024, "On the Role of Discrete Representation in Sparse Mixture of Experts", arXiv 2411.19402: 28 %
better robustness than other sparse mixtures of experts (from its abstract).

Tested: A language model of two layers and eight experts each, of width 64, on words of Python's standard library, 200
steps of 1,024 words.  VQMoE has one expert by Switch's gate and one by its codes, as many codes as experts, the losses'
weights of the authors' code (0.08, 0.02; balance 0.01), and codes that nobody uses are moved every 10 steps of the
first three quarters, which is ours.  The other model has the two best experts of a linear gate.  On held-out words
Gaussian noise of standard deviation 0.3 is added to what each layer sees, whose numbers have 1.  Counted is the share
of tokens that change their (first) expert, as a share of what unrelated tokens would: 1 - sum of squared shares of the
experts, so that a router that has collapsed onto one expert gains nothing by it.  Five seeds, paired; intervals by
Student's t.  It holds if codes change less than the gate of the other model by both estimators; it does not if they
change more by one.  Beside it: losses without noise, and how much noise raises them.

Not tested: Models of the paper's size, fine-tuning by the discrete branch alone, noise in the text itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Plan, Text, interval, loss_of, mixture, train, words
from torch import Tensor, nn

from waypost.experts import DiscreteMoE, FeedForward, Routing, Switch, TopK, VectorQuantised, perplexity

EXPERTS, VOCABULARY, STEPS, NOISE = 8, 1000, 200, 0.3
OURS = ("paper", "code")
WEIGHTS = {"balance": 0.01, "codebook": 0.08, "commitment": 0.02}


def discrete(width: int, estimator: str) -> DiscreteMoE:
    codebook = VectorQuantised(width, EXPERTS, estimator=estimator)
    return DiscreteMoE(Switch(width, EXPERTS), codebook, FeedForward(width, 64, EXPERTS))


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "top-2": mixture(lambda width: TopK(width, EXPERTS, k=2)),
    **{name: partial(discrete, estimator=name) for name in OURS},
}


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    text, seeds = words(VOCABULARY), range(2 if options.quick else 5)
    steps = STEPS // 4 if options.quick else STEPS
    each: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in MODELS}
    for seed in seeds:
        for name, make in MODELS.items():
            torch.manual_seed(seed)
            model = LanguageModel(VOCABULARY, make)
            train(model, text, plan(model, text, name, steps, seed), seed)
            for what, value in measured(model.eval(), text, seed).items():
                each[name][what].append(value)
    return finding(each, list(seeds), options.quick)


def plan(model: LanguageModel, text: Text, name: str, steps: int, seed: int) -> Plan:
    """How to train: a codebook has losses of its own, and dead codes are moved in the first three quarters."""
    if name == "top-2":
        return Plan(steps, weights={"balance": WEIGHTS["balance"]})
    drawn = torch.Generator().manual_seed(1000 + seed)

    def moved(step: int, routings: list[Routing]) -> None:
        if step % 10 == 9 and step < 0.75 * steps:
            seen = entering(model, text.batch(drawn, 16, 64)[:, :-1])
            for block, x_TD in zip(model.blocks, seen, strict=True):
                block.moe.codebook.restart(x_TD, drawn)

    return Plan(steps, weights=WEIGHTS, watch=moved)


@torch.no_grad()
def entering(model: LanguageModel, ids_BL: Tensor) -> list[Tensor]:
    """What each mixture sees of a text."""
    seen: list[Tensor] = []
    hooks = [block.moe.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for block in model.blocks]
    model(ids_BL)
    for hook in hooks:
        hook.remove()
    return [x_BLD.flatten(0, 1) for x_BLD in seen]


@torch.no_grad()
def measured(model: LanguageModel, text: Text, seed: int) -> dict[str, float]:
    """Of one trained model: loss, what noise adds to it, and what it does to each router, means over layers."""
    drawn = torch.Generator().manual_seed(2000 + seed)
    ids_BL = text.batch(torch.Generator().manual_seed(7), 64, 64, held_out=True)[:, :-1]
    found: dict[str, list[float]] = defaultdict(list)
    for block, x_TD in zip(model.blocks, entering(model, ids_BL), strict=True):
        noisy_TD = x_TD + NOISE * torch.randn(x_TD.shape, generator=drawn)
        routers = {"gate": block.moe.router} if not isinstance(block.moe, DiscreteMoE) else {
            "codes": block.moe.codebook, "gate": block.moe.continuous.router}  # fmt: skip
        for name, router in routers.items():
            before_T, after_T = (router(seen_TD).experts_TK[:, 0] for seen_TD in (x_TD, noisy_TD))
            found[f"{name}: changed"].append(float((before_T != after_T).double().mean()))
            found[f"{name}: changed, of chance"].append(of_chance(before_T, after_T))
            found[f"{name}: experts in use"].append(float(perplexity(before_T, EXPERTS)))
        y_TD, noisy_y_TD = block.moe(x_TD).y, block.moe(noisy_TD).y
        found["output: error"].append(float((noisy_y_TD - y_TD).square().sum() / y_TD.square().sum()))
    values = {name: sum(each) / len(each) for name, each in found.items()}
    loss = float(loss_of(model, text).mean())

    def noise(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0] + NOISE * torch.randn(given[0].shape, generator=drawn), *given[1:])

    hooks = [block.moe.register_forward_pre_hook(noise) for block in model.blocks]
    values |= {"loss": loss, "loss: rise by noise": float(loss_of(model, text).mean()) - loss}
    for hook in hooks:
        hook.remove()
    return values


def of_chance(before_T: Tensor, after_T: Tensor) -> float:
    """The share that has changed, as a share of what it would be between unrelated tokens; 1 if there is one expert."""
    share_E = torch.bincount(before_T, minlength=EXPERTS).double() / len(before_T)
    chance = float(1 - share_E.square().sum())
    return float((before_T != after_T).double().mean()) / chance if chance > 1e-9 else 1.0


def finding(each: Mapping[str, Mapping[str, Sequence[float]]], seeds: Sequence[int], quick: bool) -> Finding:
    """What the numbers say."""
    ours = {f"{name}: {what}": list_ for name in OURS for what, list_ in each[name].items()}
    base = {f"top-2: {what}": list_ for what, list_ in each["top-2"].items()}
    for name in OURS:
        ours[f"{name}: fewer changes than top-2"] = less(base["top-2: gate: changed, of chance"],
                                                         ours[f"{name}: codes: changed, of chance"])  # fmt: skip
        for what in ("loss", "loss: rise by noise"):
            ours[f"{name}: {what}, lower than top-2"] = less(base[f"top-2: {what}"], ours[f"{name}: {what}"])
    values, baselines = ({name: round(sum(list_) / len(list_), 5) for name, list_ in group.items()}
                         for group in (ours, base))  # fmt: skip
    bounds = {name: interval(list_) for name, list_ in (ours | base).items()}
    return Finding(
        values, None if quick else verdict(bounds), note(values, baselines, bounds), baselines, bounds, seeds
    )


def less(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(theirs, ours, strict=True)]


def verdict(bounds: Mapping[str, Sequence[float]]) -> bool | None:
    """True if noise changes codes less by both estimators, False if more by one."""
    sides = [bounds[f"{name}: fewer changes than top-2"] for name in OURS]
    if any(high < 0 for _, high in sides):
        return False
    return True if all(low > 0 for low, _ in sides) else None


def note(values: Mapping[str, float], baselines: Mapping[str, float], bounds: Mapping[str, Sequence[float]]) -> str:
    """A few sentences for the reader: what codes do, and what the model is worth beside."""
    told = []
    for name in OURS:
        codes = f"{name}: codes"
        low, high = bounds[f"{name}: loss, lower than top-2"]
        told.append(
            f"by the {name}'s estimator {values[f'{codes}: changed']:.1%} "
            f"({values[f'{codes}: changed, of chance']:.2f} of chance, "
            f"{values[f'{codes}: experts in use']:.1f} experts in use), and the loss differs by "
            f"{-values[f'{name}: loss, lower than top-2']:+.3f} ({-high:+.3f} to {-low:+.3f}) nats from top-2's, and "
            f"noise raises it by {values[f'{name}: loss: rise by noise']:.3f}"
        )
    return (
        f"Noise changes the first expert of {baselines['top-2: gate: changed']:.1%} of tokens by the gate of a top-2 "
        f"model ({baselines['top-2: gate: changed, of chance']:.2f} of chance, "
        f"{baselines['top-2: gate: experts in use']:.1f} experts in use), and raises its loss by "
        f"{baselines['top-2: loss: rise by noise']:.3f}; {'; '.join(told)}."
    )


if __name__ == "__main__":
    run(__doc__, measure, system="VQMoE")
