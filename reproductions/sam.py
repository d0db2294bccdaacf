"""SAM: a switch takes one group of experts, a mixture several experts of it.

Claim: At equal compute more and smaller experts a token lower the loss, and since all of them are in one group, which
is one machine, a token crosses between machines no more often than with one expert.

Paper: Jiang et al. 2021, arXiv 2110.07431: more activated experts help, the more so the sparser the model is, at equal
compute and communication (abstract; we have not seen the tables).

Tested: A two-layer language model of width 64 on the words of Python's standard library, 80 steps, k = 1, 2 and 4: 8k
experts in four groups, each of hidden width 64/k, so that the multiplications and the weights of experts are the same
for every k.  Beside it the flat router that takes the k best of the same experts.  Loss on held-out text, seed by seed;
the weights of all losses, 0.01, were set beforehand.  Crossings: each sequence lies on one of four machines, each group
on its own; the bytes of float32 tokens of width 64 that leave for another machine, counted on held-out text, straight
(once an expert) and in two levels (once a machine), ids and weights left out.  It holds if the whole interval of the
loss at k = 2 and at k = 4 less that at k = 1 lies below 0; it does not if one lies above.

Not tested: The paper's model and data; its alignment loss as it is written, of which we have two forms of our own and
use the first; several machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Plan, interval, loss_of, mixture, train, words
from torch import Tensor

from waypost.experts import Router, Routing, SwitchMixture, TopK

GROUPS, WIDTH, LENGTH = 4, 64, 64
CHOICES = (1, 2, 4)
WEIGHTS = {
    "SAM": {"balance": 0.01, "balance_experts": 0.01, "alignment": 0.01},
    "flat": {"balance": 0.01},
}


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    seeds = list(range(2 if options.quick else 5))
    steps = 20 if options.quick else 80
    losses: dict[str, list[float]] = {}
    crossed: dict[str, float] = {}
    for k in CHOICES:
        for name in WEIGHTS:
            models = [learned(name, k, seed, steps) for seed in seeds]
            losses[f"{name}, k={k}"] = [float(loss_of(model, words()).mean()) for model in models]
            crossed |= crossings(f"{name}, k={k}", models)
    values, bounds = {}, {}
    pairs = {f"SAM, k={k} less SAM, k=1": (f"SAM, k={k}", "SAM, k=1") for k in CHOICES[1:]}
    pairs |= {f"SAM less flat, k={k}": (f"SAM, k={k}", f"flat, k={k}") for k in CHOICES}
    columns = {f"held-out loss, {name}": each for name, each in losses.items()}
    for name, (one, other) in pairs.items():
        columns[f"loss, {name}"] = [a - b for a, b in zip(losses[one], losses[other], strict=True)]
    for name, each in columns.items():
        values[name], bounds[name] = round(sum(each) / len(each), 5), interval(each)
    values |= {name: round(value, 2) for name, value in crossed.items()}
    baselines = {name: values.pop(name) for name in list(values) if ", flat, " in name}
    told = "; ".join(
        f"k = {k}: {values[f'loss, SAM, k={k} less SAM, k=1']:+.4f} "
        f"({bounds[f'loss, SAM, k={k} less SAM, k=1'][0]:+.4f} to {bounds[f'loss, SAM, k={k} less SAM, k=1'][1]:+.4f})"
        for k in CHOICES[1:]
    )
    note = (
        f"Loss against k = 1 at equal compute and weights: {told}. At k = 4 a token sends "
        f"{values['bytes to other machines a token, two levels, SAM, k=4']:.0f} bytes to other machines, the flat "
        f"router {baselines['bytes to other machines a token, two levels, flat, k=4']:.0f} if it sends a token once to "
        f"each machine and {baselines['bytes to other machines a token, straight, flat, k=4']:.0f} straight; SAM's "
        f"loss less the flat router's is then {values['loss, SAM less flat, k=4']:+.4f}."
    )
    return Finding(values, verdict(bounds), note, baselines, bounds, seeds)


def verdict(bounds: Mapping[str, Sequence[float]]) -> bool | None:
    """Whether both larger k have a lower loss."""
    sides = [bounds[f"loss, SAM, k={k} less SAM, k=1"] for k in CHOICES[1:]]
    if any(low > 0 for low, _ in sides):
        return False
    return True if all(high < 0 for _, high in sides) else None


def learned(name: str, k: int, seed: int, steps: int) -> LanguageModel:
    def make(width: int) -> Router:
        return SwitchMixture(width, 8 * k, k, groups=GROUPS) if name == "SAM" else TopK(width, 8 * k, k)

    torch.manual_seed(seed)
    model = LanguageModel(words().vocabulary, mixture(make, hidden=WIDTH // k), width=WIDTH)
    return train(model, words(), Plan(steps=steps, weights=WEIGHTS[name]), seed)


@torch.no_grad()
def crossings(name: str, models: Sequence[LanguageModel]) -> dict[str, float]:
    """The mean bytes a token sends to other machines in a layer, once an expert and once a machine."""
    ids_BL = words().batch(torch.Generator().manual_seed(54321), 32, LENGTH, held_out=True)[:, :-1]
    home_T = (torch.arange(len(ids_BL)) % GROUPS).repeat_interleave(LENGTH)
    found = [away(routing, home_T) for model in models for routing in model(ids_BL)[1]]
    straight, once = (sum(part) / len(part) * WIDTH * 4 for part in zip(*found, strict=True))
    return {
        f"bytes to other machines a token, straight, {name}": straight,
        f"bytes to other machines a token, two levels, {name}": once,
    }


def away(routing: Routing, home_T: Tensor) -> tuple[float, float]:
    """How many experts, and how many machines, that are not its own a token goes to."""
    machine_TK = routing.experts_TK // (routing.load_E.shape[0] // GROUPS)
    there_TG = torch.nn.functional.one_hot(machine_TK, GROUPS).sum(1)
    there_TG.scatter_(1, home_T[:, None], 0)
    tokens = len(home_T)
    return float(there_TG.sum()) / tokens, float((there_TG > 0).sum()) / tokens


if __name__ == "__main__":
    run(__doc__, measure, system="SAM")
