"""What it saves to know which model's prompt cache holds a conversation.

    python benchmarks/sessions.py           # measure and append rows (about two minutes)
    python benchmarks/sessions.py --quick   # some seconds, appends nothing
    python benchmarks/sessions.py --show    # measure nothing: the table of docs/traffic.md

Made-up conversations go through the gateway's own `Choosing` and `Sessions`; what they cost is counted apart from it,
by `waypost.evaluation.conversations.usd`, which knows exactly what a provider has cached of each model's prompts and
forgets it after five minutes.  A turn is easy, middling or hard, its message short or a pasted document, and every
model has an expected quality on it, which the router knows up to noise (0.05).  Turns are a minute apart in the mean.

- ``each turn alone`` decides by the turn's own cost, as a router does that sees prompts and no conversations;
- ``history, no caches`` counts what it costs to read the history, at the full price everywhere (`sessions` off);
- ``sessions`` knows what is cached where;
- ``first choice stays`` never switches; ``cheapest`` and ``best`` ask one model always.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import rows
from waypost.evaluation import conversations
from waypost.evaluation.conversations import Turn
from waypost.gateway.apis import CHAT
from waypost.gateway.ask import Ask
from waypost.gateway.choice.choosing import Choosing
from waypost.gateway.choice.sessions import Sessions
from waypost.objective import Objective
from waypost.strategies import Single
from waypost.types import Answer, Floats, ModelCard, Prediction, Query

KEPT = rows.ROOT / "benchmarks" / "results" / "sessions.jsonl"
NOISE = 0.05
WEIGHTS = (3.0, 10.0, 30.0)  # points per USD
PRICES = {"small": (0.25, 0.025, 2.0), "middle": (1.25, 0.125, 10.0), "large": (3.0, 0.3, 15.0)}
CARDS = {
    name: ModelCard(name, usd_in, out, usd_per_mtok_cached=cached) for name, (usd_in, cached, out) in PRICES.items()
}
# Expected quality of small, middle and large by difficulty, and how often turns are of each.
QUALITY = np.array([[0.93, 0.95, 0.96], [0.70, 0.84, 0.90], [0.30, 0.55, 0.75]])
SHARES = (0.5, 0.3, 0.2)
POOLS = (("small", "large"), ("small", "middle", "large"))
ROUTED = ("each turn alone", "history, no caches", "sessions")
POLICIES = (*ROUTED, "first choice stays", "cheapest", "best")
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262}


@dataclass(frozen=True)
class Said:
    """One turn: tokens of message and answer, when it is sent, what each model is worth on it."""

    message: int
    answer: int
    at: float
    quality_M: Floats
    told_M: Floats


@dataclass
class Knows:
    """The router: looks the prompt up by the number that it begins with."""

    models: tuple[str, ...]
    turns: Sequence[Said]

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What is known of each turn's own prompt; of the history it knows nothing."""
        turns = [self.turns[int(prompt.split(" ", 1)[0])] for prompt in prompts]
        places = [list(CARDS).index(name) for name in self.models]
        quality_NM = np.array([turn.told_M[places] for turn in turns])
        usd_NM = np.array([[CARDS[m].usd(turn.message, turn.answer) for m in self.models] for turn in turns])
        return Prediction(self.models, quality_NM, usd_NM, np.zeros_like(usd_NM), np.zeros_like(usd_NM))


def talks(n: int, rng: np.random.Generator) -> list[list[Said]]:
    found = []
    for _ in range(n):
        at, talk, hardness = 0.0, [], rng.choice(3, p=SHARES)
        for _ in range(int(rng.integers(3, 13))):
            if rng.random() < 0.5:  # else as hard as the turn before
                hardness = rng.choice(3, p=SHARES)
            quality_M = np.clip(QUALITY[hardness] + 0.05 * rng.normal(), 0, 1)
            told_M = np.clip(quality_M + NOISE * rng.normal(size=3), 0, 1)
            message = int(rng.integers(1500, 6000) if rng.random() < 0.2 else rng.integers(20, 300))
            talk.append(Said(message, int(rng.integers(100, 900)), at, quality_M, told_M))
            at += rng.exponential(60.0)
        found.append(talk)
    return found


def played(talk: Sequence[Said], policy: str, pool: tuple[str, ...], usd: float, choosing: Choosing) -> list[str]:
    """Who answers each turn."""
    if policy in ("cheapest", "best"):
        return [pool[0 if policy == "cheapest" else -1]] * len(talk)
    sessions = choosing.sessions
    now = 0.0
    if sessions is not None:
        sessions.clock = lambda: now
    turns: list[dict[str, str]] = []
    chosen: list[str] = []
    size = 0
    for number, turn in enumerate(talk):
        now = turn.at
        # As many bytes as tokens of four each, which is how the gateway estimates them.
        turns.append({"role": "user", "content": f"{number} ".ljust(4 * turn.message, "x")})
        if policy == "first choice stays" and chosen:
            chosen.append(chosen[0])
            continue
        query = Query(tuple(turns[-1:] if policy == "each turn alone" else turns))
        choice = choosing.choose(Ask(CHAT, {}, query, "auto", Objective(usd=usd), False), [], "tenant")
        model = choice.decision.model
        chosen.append(model)
        size += turn.message
        if sessions is not None and choice.session is not None:
            sessions.put(choice.session, CARDS[model], Answer(model, tokens_in=size, tokens_out=turn.answer))
        size += turn.answer
        turns.append({"role": "assistant", "content": "x" * (4 * turn.answer)})
    return chosen


def measured(n: int, seed: int, pool: tuple[str, ...], usd: float) -> Mapping[str, Mapping[str, float]]:
    """By policy: USD and expected quality a turn, points (quality less USD at its weight), and switches a turn."""
    found: dict[str, Any] = {policy: [] for policy in POLICIES}
    for talk in talks(n, np.random.default_rng(seed)):
        cards = {name: CARDS[name] for name in pool}
        strategy = Single(Knows(pool, talk), cards)  # type: ignore[arg-type]
        for policy in POLICIES:
            sessions = Sessions(conversations.TTL) if policy == "sessions" else None
            who = played(talk, policy, pool, usd, Choosing(strategy, cards, sessions=sessions))
            cost_T = conversations.usd(
                [Turn(m, t.message, t.answer, at=t.at) for m, t in zip(who, talk, strict=True)], cards
            )
            quality = [turn.quality_M[list(CARDS).index(m)] for m, turn in zip(who, talk, strict=True)]
            switches = [False, *(a != b for a, b in pairwise(who))]
            found[policy] += zip(cost_T, quality, switches, strict=True)
    means = {policy: np.mean(np.array(each, dtype=float), axis=0) for policy, each in found.items()}
    return {
        policy: {"usd": cost, "quality": good, "points": good - usd * cost, "switches": switched}
        for policy, (cost, good, switched) in means.items()
    }


def report(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    for pool in POOLS:
        for usd in WEIGHTS:
            runs = [measured(n, seed, pool, usd) for seed in range(seeds)]
            for policy in POLICIES:
                alone = [run["each turn alone"] for run in runs]
                mine = [run[policy] for run in runs]
                yield {
                    "pool": "+".join(pool),
                    "weight": usd,
                    "policy": policy,
                    "seeds": seeds,
                    "conversations": n,
                    **{name: round(float(np.mean([run[name] for run in mine])), 6) for name in mine[0]},
                    "saved_percent": spread(
                        [100 * (1 - m["usd"] / a["usd"]) for m, a in zip(mine, alone, strict=True)]
                    ),
                    "gain": spread([m["quality"] - a["quality"] for m, a in zip(mine, alone, strict=True)]),
                    "more_points": spread([m["points"] - a["points"] for m, a in zip(mine, alone, strict=True)]),
                }


def spread(values: Sequence[float]) -> list[float]:
    """Mean over seeds and its 95 % interval by Student's law."""
    mean, reach = np.mean(values), STUDENT[len(values) - 1] * np.std(values, ddof=1) / np.sqrt(len(values))
    return [round(float(number), 5) for number in (mean, mean - reach, mean + reach)]


def show() -> None:
    """The table of the latest rows."""
    latest = {(r["pool"], r["weight"], r["policy"]): r for r in map(json.loads, KEPT.read_text().splitlines())}
    print(
        "| pool | USD weight | policy | USD for 1,000 turns | expected quality | switches | cost saved | more points |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for (pool, weight, policy), row in latest.items():
        saved, low, high = row["saved_percent"]
        points = "{:+.4f} ({:+.4f} to {:+.4f})".format(*row["more_points"])
        print(
            f"| {pool} | {weight:g} | {policy} | {1000 * row['usd']:.2f} | {row['quality']:.3f} | "
            f"{row['switches']:.0%} | {saved:.1f} % ({low:.1f} to {high:.1f}) | {points} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    if arguments.show:
        show()
    elif arguments.quick:
        for row in report(5, 2):
            print(json.dumps(row))
    else:
        for row in report(40, 10):
            rows.append("sessions", row)


if __name__ == "__main__":
    main()
