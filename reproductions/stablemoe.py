"""StableMoE: the router is distilled into words and frozen, so that no token changes its expert any more.

Claim: While a router learns, the same token goes now to one expert and now to another; once a light copy that knows
words alone is frozen, no token changes its expert, and the language model reaches a lower loss in the same steps than
with Switch's router or with a fixed hash of words.

Paper: Dai et al. 2022, arXiv 2204.08396: perplexity 18.93 where Switch has 19.20 and Hash Layer 19.25 (base model,
60,000 steps, the first 6,000 of them stage 1).

Tested: A language model of two layers and eight experts each, of width 64, on words of Python's standard library, 600
steps of 512 words; stage 2 from step 300 on, later than in the paper, since so few steps leave a light router little to
learn from.  The paper's losses and their weights of 0.3; Switch with its balance at 0.01; the hash is a word's rank by
frequency modulo eight, which is even.  Every 20 steps 2,048 held-out words are routed, and the share counted whose
expert is another than 20 steps before; its fall is the mean of the first half of stage 1 less that of the second half.
Five seeds, paired; intervals by Student's t.  It holds if the share falls within stage 1, is exactly 0 in stage 2 for
every seed, and both losses are higher than StableMoE's; it does not if one of these is the other way round beyond its
interval.

Not tested: Models and texts of the paper's size, translation, the light routers that see more than one word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Make, Plan, Text, interval, loss_of, mixture, train, words
from torch import Tensor, nn

from waypost.experts import Context, Control, Routing, Schedule, Stable, Switch

EXPERTS, VOCABULARY = 8, 1000
STEPS, SECOND, EVERY = 600, 300, 20
WEIGHTS = {"stable": {"balance": 0.3, "distil": 0.3}, "switch": {"balance": 0.01}, "hash": {}}


class WordHash(nn.Module):
    """A word's rank by frequency modulo the number of experts; weight 1."""

    causal = True

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.experts = experts

    def forward(self, x_TD: Tensor, control: Control, context: Context) -> Routing:
        """Route words."""
        experts_TK = context.ids_T[:, None] % self.experts
        return Routing.of(torch.ones(experts_TK.shape), experts_TK, experts=self.experts)


ROUTERS: dict[str, Make] = {
    "stable": lambda width: Stable(width, EXPERTS, vocabulary=VOCABULARY),
    "switch": lambda width: Switch(width, EXPERTS),
    "hash": lambda width: WordHash(EXPERTS),
}


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    text, seeds = words(VOCABULARY), range(2 if options.quick else 5)
    steps, second = (STEPS // 5, SECOND // 5) if options.quick else (STEPS, SECOND)
    schedule = Schedule(stages=(second,))
    losses: dict[str, list[float]] = defaultdict(list)
    shares: dict[str, list[list[float]]] = defaultdict(list)
    between: list[float] = []
    for seed in seeds:
        for name, make in ROUTERS.items():
            torch.manual_seed(seed)
            model = LanguageModel(VOCABULARY, mixture(make))
            watched = Watched(model, text, schedule)
            train(model, text, Plan(steps, 8, weights=WEIGHTS[name], schedule=schedule, watch=watched), seed)
            losses[name].append(float(loss_of(model, text, schedule.at(steps)).mean()))
            shares[name].append(watched.changed)
            if name == "stable":
                between += watched.between
    return finding(losses, shares, between, second // EVERY - 1, list(seeds), options.quick)


class Watched:
    """Routes the same held-out words every so many steps, and keeps the share that goes elsewhere than before.

    Where a stage ends they are routed by the rules of both stages, and what that changes is kept apart.
    """

    def __init__(self, model: LanguageModel, text: Text, schedule: Schedule) -> None:
        self.model, self.schedule = model, schedule
        self.ids_BL = text.batch(torch.Generator().manual_seed(7), 32, 64, held_out=True)[:, :-1]
        self.before: Tensor | None = None
        self.changed: list[float] = []
        self.between: list[float] = []

    def __call__(self, step: int, routings: list[Routing]) -> None:
        """After a step of training."""
        if (step + 1) % EVERY:
            return
        now = self._routed(self.schedule.at(step))
        if self.before is not None:
            self.changed.append(_share(self.before, now))
        self.before = now
        if self.schedule.at(step + 1).stage > self.schedule.at(step).stage:
            self.before = self._routed(self.schedule.at(step + 1))
            self.between.append(_share(now, self.before))

    @torch.no_grad()
    def _routed(self, control: Control) -> Tensor:
        return torch.stack([routing.experts_TK for routing in self.model(self.ids_BL, control)[1]])


def _share(before: Tensor, now: Tensor) -> float:
    return float((before != now).double().mean())


def finding(
    losses: Mapping[str, Sequence[float]],
    shares: Mapping[str, Sequence[Sequence[float]]],
    between: Sequence[float],
    first: int,
    seeds: Sequence[int],
    quick: bool,
) -> Finding:
    """What the numbers say; ``first`` is how many of the shares are those of stage 1."""
    ours, theirs = ([_parts(one, first) for one in shares[name]] for name in ("stable", "switch"))
    each = {
        "loss": losses["stable"],
        "changed, first half of stage 1": [one["early"] for one in ours],
        "changed, second half of stage 1": [one["late"] for one in ours],
        "fall within stage 1": [one["early"] - one["late"] for one in ours],
        "changed, from rule to rule": between,
        "changed, most in stage 2": [one["most after"] for one in ours],
        **{f"gain over {name}": _gain(losses, name) for name in ("switch", "hash")},
    }
    base = {
        "switch: loss": losses["switch"],
        "hash: loss": losses["hash"],
        "switch: changed, first quarter of steps": [one["early"] for one in theirs],
        "switch: changed, second quarter": [one["late"] for one in theirs],
        "switch: changed, second half": [one["after"] for one in theirs],
    }
    values, baselines = ({name: round(_mean(list_), 5) for name, list_ in group.items()} for group in (each, base))
    bounds = {name: interval(list_) for name, list_ in (each | base).items()}
    holds = None if quick else verdict(bounds, max(each["changed, most in stage 2"]))
    return Finding(values, holds, note(values, baselines, bounds), baselines, bounds, seeds)


def _parts(shares: Sequence[float], first: int) -> dict[str, float]:
    """The means of the two halves of stage 1, and mean and greatest of what comes after it."""
    half, after = first // 2, shares[first:]
    return {
        "early": _mean(shares[:half]),
        "late": _mean(shares[half:first]),
        "after": _mean(after),
        "most after": max(after),
    }


def _gain(losses: Mapping[str, Sequence[float]], name: str) -> list[float]:
    return [theirs - ours for theirs, ours in zip(losses[name], losses["stable"], strict=True)]


def _mean(each: Sequence[float]) -> float:
    return sum(each) / len(each)


def verdict(bounds: Mapping[str, Sequence[float]], most: float) -> bool | None:
    """True if shares fall, then are 0, and both losses are higher; False if one is the other way round."""
    sides = [bounds[name] for name in ("fall within stage 1", "gain over switch", "gain over hash")]
    if most > 0 or any(high < 0 for _, high in sides):
        return False
    return True if all(low > 0 for low, _ in sides) else None


def note(values: Mapping[str, float], baselines: Mapping[str, float], bounds: Mapping[str, Sequence[float]]) -> str:
    """One sentence or two for the reader."""
    gains = "; ".join(
        f"over {name} {values[f'gain over {name}']:+.3f} ({bounds[f'gain over {name}'][0]:+.3f} to "
        f"{bounds[f'gain over {name}'][1]:+.3f})"
        for name in ("switch", "hash")
    )
    early, late, after = (
        f"{values[f'changed, {part}']:.1%}"
        for part in ("first half of stage 1", "second half of stage 1", "most in stage 2")
    )
    return (
        f"Within 20 steps {early} of words change their expert in the first half of stage 1, {late} in the second, and "
        f"{after} in stage 2, where of Switch's still {baselines['switch: changed, second half']:.1%} do; "
        f"{values['changed, from rule to rule']:.1%} change as the distilled router takes over. Gain in loss, nats a "
        f"word: {gains}."
    )


if __name__ == "__main__":
    run(__doc__, measure, system="StableMoE")
