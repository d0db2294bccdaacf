"""How long is one decision on one core, and how many prompts a second go through in a batch?

One decision is: encode a prompt of 500 characters, predict for 10 models, choose; ``predict_p50_ms`` is without the
choice.  Prompts come from the project's own generators, and no router is asked one twice, as some encoders remember
what they have read; so a batch is not timed with these.  The outcomes that the routers are fitted on follow a law by
group, so that what a router chooses by itself (the neighbours of `knn`) is as with real ones.  Everything runs in one
thread, but MiniLM, which takes up to two.

    python benchmarks/decision.py                                   # appends to results/decision.jsonl
    python benchmarks/decision.py --quick                           # only prints
    python benchmarks/decision.py --rows 20000 --router knn,ridge   # fitted on more rows; some routers only
    python benchmarks/decision.py --encoder minilm --cores 2 --rows 500 --router knn,ridge,domain
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

import rows
from waypost import ModelCard, Query, encoders, routers
from waypost.embedded.prompts import generate
from waypost.errors import NotInstalled
from waypost.objective import Objective
from waypost.outcomes import Outcomes

MODELS = tuple(f"model-{m}" for m in range(10))
CARDS = {name: ModelCard(name, 0.1 * (m + 1), 0.4 * (m + 1)) for m, name in enumerate(MODELS)}
OBJECTIVE = Objective(usd=100)


def table(prompts: Sequence[str], groups: Sequence[str]) -> Outcomes:
    """A table of ten models, each with its own chance of a right answer in every group, and random costs."""
    rng = np.random.default_rng(0)
    names = sorted(set(groups))
    chance_GM = rng.uniform(0.1, 0.9, (len(names), len(MODELS)))
    chance_NM = chance_GM[[names.index(group) for group in groups]]
    quality_NM = (rng.random(chance_NM.shape) < chance_NM).astype(float)
    costs_NM = rng.uniform(1e-5, 1e-3, chance_NM.shape)
    ids = tuple(str(n) for n in range(len(prompts)))
    return Outcomes(ids, tuple(prompts), tuple(groups), MODELS, quality_NM, costs_NM, costs_NM * 1000)


def long_prompts(prompts: Sequence[str], count: int, size: int = 500, seed: int = 0) -> list[str]:
    """Prompts of exactly ``size`` characters, each of other prompts in another order."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(prompts), size=(count, size // 10))
    return [" ".join(prompts[n] for n in row)[:size] for row in drawn]


def decide(router: routers.Router, prompt: str) -> str:
    """What the gateway does for each request."""
    return OBJECTIVE.choose(router.predict([prompt]), CARDS, Query.of(prompt), "bench").model


def milliseconds(ask: Callable[[str], object], prompts: Sequence[str]) -> list[float]:
    """The time of asking each prompt by itself, after a few to warm up."""
    for prompt in prompts[:50]:
        ask(prompt)
    times = []
    for prompt in prompts[50:]:
        start = perf_counter()
        ask(prompt)
        times.append((perf_counter() - start) * 1e3)
    return times


def per_second(router: routers.Router, prompts: Sequence[str]) -> float:
    """Prompts a second through one batch: encode, predict, choose; the best of three, for what the machine can do."""
    times = []
    for _ in range(3):
        start = perf_counter()
        OBJECTIVE.choose_many(router.predict(prompts), CARDS)
        times.append(perf_counter() - start)
    return len(prompts) / min(times)


def main() -> None:
    """Measure routers of the registry: those asked for, or all that can be fitted here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts, and no row is kept")
    parser.add_argument("--rows", type=int, default=2000, help="to fit on; default: 2000")
    # Those that have a language model read every prompt take a tenth of a second each.
    quick_ones = [name for name, kind in routers.ROUTERS.items() if "local" not in getattr(kind, "needs", ())]
    parser.add_argument("--router", default=",".join(quick_ones), help="default: all but those that read for long")
    parser.add_argument("--encoder", default="static-256", help="of the routers that have one")
    parser.add_argument("--cores", type=int, default=1, help="to run on; default: one")
    asked = parser.parse_args()
    threadpool_limits(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-asked.cores :])
    batch, decisions = (1000, 300) if asked.quick else (10_000, 2000)
    if asked.encoder != "static-256":  # a thousand times as slow
        decisions = 200
    known = generate(asked.rows, seed=0)
    trained_on = table([sample.prompt for sample in known], [sample.group for sample in known])
    own = [sample.prompt for sample in generate(batch, seed=1)]
    remembers = asked.encoder != "static-256"
    for number, name in enumerate(asked.router.split(",")):
        long = long_prompts(own, batch + 2 * (decisions + 50), seed=number)
        try:
            router = made(name, asked.encoder).fit(trained_on)
        except NotInstalled as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        half = decisions + 50
        times = milliseconds(partial(decide, router), long[:half])
        predicting = milliseconds(lambda prompt, router=router: router.predict([prompt]), long[half : 2 * half])
        figures = {
            "router": name,
            "encoder": asked.encoder,
            "cores": asked.cores,
            "models": len(MODELS),
            "trained_on": asked.rows,
            "p50_ms": round(float(np.percentile(times, 50)), 4),
            "p95_ms": round(float(np.percentile(times, 95)), 4),
            "predict_p50_ms": round(float(np.percentile(predicting, 50)), 4),
            "batch": batch,
            "own_prompts_per_s": None if remembers else round(per_second(router, own)),
            "500_chars_per_s": None if remembers else round(per_second(router, long[-batch:])),
        }
        print(json.dumps(figures)) if asked.quick else rows.append("decision", figures)


def made(name: str, encoder: str) -> routers.Router:
    """A router to be fitted, with this encoder where it has one."""
    has_one = any(field.name == "encoder" for field in fields(routers.ROUTERS[name]))
    return routers.make(name, **({"encoder": encoders.named(encoder)} if has_one else {}))


if __name__ == "__main__":
    main()
