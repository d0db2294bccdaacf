"""SMILE: first a machine, then an expert on it, instead of one choice among all.

Claim: Choosing a machine by one softmax and an expert on it by another learns as well as one flat softmax over all
experts (Switch) does, and makes the exchange of tokens cheaper as machines are added.

Paper: He et al. 2022, arXiv 2212.05191: 2.5 times the throughput of Switch in pre-training on C4, at the same
convergence (abstract; we have not seen the rest).

Tested: Learning: a two-layer language model of width 64 on the words of Python's standard library, 8 experts, top-1,
after 150 steps; the held-out loss of two-level routing (2 machines of 4) less that of Switch, seed by seed, beside one
expert for all and experts that are drawn once a token's id (`hash`); the losses' weights, 0.01 for Switch and 0.005 for
each level, were set beforehand.  Alike means that the whole interval lies within 1 % of Switch's loss.  The exchange:
four real processes, as two machines of two, with 1,024 tokens each, forward and backward, against one process that has
all tokens; the bytes and messages that they hand to the all-to-all.  It holds if learning is alike and every output and
gradient is that of one process within float32's rounding.  The model of a cluster (latency and bandwidth, 8 processes a
machine) gives the ratio of times by number of machines; it is a model, and does not count for the verdict.

Not tested: Throughput, which takes several machines; GPUs; the paper's model and its data.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from claims import Finding, Options, run
from small_lm import LanguageModel, Plan, interval, loss_of, mixture, train, words
from torch import Tensor

from waypost.experts import Bilevel, FeedForward, Hash, MoE, Router, Switch, TopK
from waypost.experts.cluster import Cluster, Link, by_nodes
from waypost.experts.parallel import Exchange, Shard, TwoLevel, average_gradients, levels

WORLD, NODES, EXPERTS, WIDTH = 4, 2, 8, 64
BAR = 0.01  # of the flat router's loss
#: A machine's link to others and a process's to its neighbours; set by us, in the order of today's clusters.
BETWEEN, INSIDE = Link(latency=1e-5, bandwidth=50e9), Link(latency=2e-6, bandwidth=300e9)
LEARNERS = {
    "Switch": (lambda width: Switch(width, EXPERTS), {"balance": 0.01}),
    "two levels": (
        lambda width: Bilevel(width, EXPERTS, nodes=NODES),
        {"balance_nodes": 0.005, "balance_local": 0.005},
    ),
    "hash": (lambda width: Hash(width, EXPERTS, k=1), {}),
    "one expert": (lambda width: TopK(width, 1, k=1), {}),
}


def measure(options: Options) -> Finding:
    torch.set_num_threads(1)
    seeds = list(range(2 if options.quick else 5))
    values, bounds = exchanged(), {}
    errors = max(value for name, value in values.items() if "error" in name)
    losses = {name: [learned(name, seed, 30 if options.quick else 150) for seed in seeds] for name in LEARNERS}
    for name, each in losses.items():
        values[f"held-out loss, {name}"] = sum(each) / len(each)
        bounds[f"held-out loss, {name}"] = interval(each)
    less = [two - flat for two, flat in zip(losses["two levels"], losses["Switch"], strict=True)]
    values["loss, two levels less Switch"] = sum(less) / len(less)
    bounds["loss, two levels less Switch"] = interval(less)
    values |= modelled()
    margin = BAR * values["held-out loss, Switch"]
    low, high = bounds["loss, two levels less Switch"]
    note = (
        f"Two levels less Switch: {values['loss, two levels less Switch']:+.4f} nats ({low:+.4f} to {high:+.4f}), "
        f"where {margin:.3f} is 1 %. Over four processes outputs and gradients are those of one within {errors:.1g} of "
        f"the largest; at k = 2 a token sends {values['bytes between machines a token, two levels, k=2']:.0f} bytes to "
        f"other machines where the flat router sends {values['bytes between machines a token, flat, k=2']:.0f}, at "
        f"k = 1 {values['bytes between machines a token, two levels, k=1']:.0f} where it sends "
        f"{values['bytes between machines a token, flat, k=1']:.0f}. In a model of a cluster, not measured, the "
        f"straight exchange takes {values['MODEL: flat over two levels, 16 machines, 1,024 tokens a process']:.2f} "
        f"times as long on 16 machines with 1,024 tokens a process, and "
        f"{values['MODEL: flat over two levels, 16 machines, 16,384 tokens a process']:.2f} times with 16,384."
    )
    baselines = {name: values.pop(name) for name in list(values) if name.endswith(("Switch", "hash", "one expert"))
                 and name.startswith("held-out")}  # fmt: skip
    rounded = {name: round(value, 6) for name, value in values.items()}
    return Finding(rounded, verdict((low, high), margin, errors), note, baselines, bounds, seeds)


def verdict(less: Sequence[float], margin: float, error: float) -> bool | None:
    """Whether learning is alike, and the exchange that of one process."""
    low, high = less
    if error > 1e-4 or low > margin:
        return False
    return True if high < margin and low > -margin else None


def learned(name: str, seed: int, steps: int) -> float:
    """The held-out loss of a model with one of the routers."""
    make, weights = LEARNERS[name]
    torch.manual_seed(seed)
    text = words()
    model = LanguageModel(text.vocabulary, mixture(make), width=WIDTH)
    return float(loss_of(train(model, text, Plan(steps=steps, weights=weights), seed), text).mean())


def modelled() -> dict[str, float]:
    """The ratio of times by number of machines; tokens of 768 numbers of two bytes."""
    found = {}
    for rows in (1024, 16384):
        for one in by_nodes(Cluster(1, 8, INSIDE, BETWEEN), (1, 2, 4, 8, 16, 32), rows, 1536):
            found[f"MODEL: flat over two levels, {one.nodes} machines, {rows:,} tokens a process"] = one.modelled_ratio
    return found


def exchanged() -> dict[str, float]:
    """What four processes find, each of its own tokens: the largest error of all, and the mean of what they send."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        started = [context.Process(target=process, args=(rank, folder)) for rank in range(WORLD)]
        for one in started:
            one.start()
        for one in started:
            one.join()
        rows = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(WORLD)]
    return {
        name: max(row[name] for row in rows) if "error" in name else sum(row[name] for row in rows) / WORLD
        for name in rows[0]
    }


def process(rank: int, folder: str) -> None:
    """One of the four."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD, timeout=timedelta(seconds=120)
    )
    found: dict[str, float] = {}
    for k in (1, 2):
        straight, two = Exchange(None, EXPERTS, per_node=WORLD // NODES), TwoLevel(levels(NODES), EXPERTS)
        found |= alike(f"flat, k={k}", TopK(WIDTH, EXPERTS, k), straight, rank)
        found |= alike(f"two levels, k={k}", Bilevel(WIDTH, EXPERTS, k, nodes=NODES), two, rank)
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def alike(name: str, router: Router, exchange: Any, rank: int) -> dict[str, float]:
    """How far a layer over processes is from one in a process, and what it sends."""
    torch.manual_seed(0)
    for value in router.parameters():
        value.data.normal_()
    whole = MoE(router, FeedForward(WIDTH, WIDTH, EXPERTS))
    mine = MoE(router, Shard(whole.experts, rank, WORLD), dispatcher=exchange)
    batches = torch.randn(WORLD, 1024, WIDTH)
    here_TD, all_TD = batches[rank].clone().requires_grad_(), batches.flatten(0, 1).requires_grad_()
    y_TD, routing = mine(here_TD)
    y_TD.square().sum().backward()
    average_gradients(mine)
    gradients = {"router": [value.grad.clone() for value in router.parameters()]}
    gradients["experts"] = [value.grad for value in mine.experts.parameters()]
    router.zero_grad()
    y_AD = whole(all_TD).y
    (y_AD.square().sum() / WORLD).backward()
    held = EXPERTS // WORLD
    own = slice(rank * held, (rank + 1) * held)
    pairs = [(y_TD, y_AD.view_as(batches)[rank]), (here_TD.grad / WORLD, all_TD.grad.view_as(batches)[rank])]
    pairs += zip(gradients["router"], (value.grad for value in router.parameters()), strict=True)
    pairs += zip(gradients["experts"], (value.grad[own] for value in whole.experts.parameters()), strict=True)
    sent = exchange.dispatch(here_TD.detach(), routing).own.sent
    return {
        f"error, {name}": max(far(one, other) for one, other in pairs),
        f"bytes between machines a token, {name}": sent.between / 1024,
        f"bytes inside a machine a token, {name}": sent.inside / 1024,
        f"messages between machines a process, {name}": sent.messages_between,
    }


def far(one: Tensor, other: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return float((one - other).detach().abs().max() / other.detach().abs().max())


if __name__ == "__main__":
    run(__doc__, measure, system="SMILE")
