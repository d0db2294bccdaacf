"""LinUCB and Thompson sampling: learning which model to ask from the outcomes of those that were asked.

Claim: Learning only from the chosen model's outcome, the regret to the best single model in hindsight is below that of
choosing at random, and grows more slowly than linearly.

Paper: Li et al. 2010, arXiv 1003.0146, and Agrawal and Goyal 2013, arXiv 1209.3352: bounds of the order of the square
root of the number of rounds, up to logarithms, on the regret to the best linear policy, where outcomes are linear in
what is looked at; no number on such tables.

Tested: Both routers with their defaults start cold, from the models' names alone, and play the shipped table and
RouterBench (30 points per USD) in ten random orders, the outcome of the chosen model coming at once.  Regret is summed
over the whole table; growth is its amount per 1,000 prompts in the first half less that in the second.  Beside them
random, epsilon-greedy with the same regression, and the linear policy fitted on all outcomes in hindsight; random's
growth shows what the halves themselves differ by.  Intervals of 95 % by Student's t over the orders, paired.  It holds
if, for both routers and tables, both the regret saved over random and the growth lost lie wholly above 0; it does not
if one lies wholly below; else it is undecided.  Quick: three orders, which decide nothing.

Not tested: The order of the square root, since the regret to one model may fall below zero, where it has none; other
questions than these (an order is of the same ones); traffic that drifts and feedback that is late, where learning costs
more (`benchmarks/online.py`).  The ridge and the components that are looked at were chosen on these tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from claims import Finding, Options, run
from scipy.special import stdtrit
from threadpoolctl import threadpool_limits

from online import POLICIES, USD, tables
from waypost.evaluation.online import complete, play_online, references, regret, shuffled
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import LinUCB
from waypost.types import Floats, ModelCard

TABLES = ("shipped", "routerbench")
OURS = ("lin_ucb", "thompson")
LEARNING = (*OURS, "epsilon-greedy")
SAVED, LESS = "saved over random", "first half less second, per 1,000 prompts"


def measure(options: Options) -> Finding:
    whole = options.data is not None and not options.quick
    orders = range(3 if options.quick else 10)
    values: dict[str, float] = {}
    baselines: dict[str, float] = {}
    bounds: dict[str, list[float]] = {}
    with threadpool_limits(1, "blas"):
        for name, table in tables(options.data):
            if name not in TABLES:
                continue
            found = [played(name, complete(table), order) for order in orders]
            for what in found[0]:
                kept = values if what.startswith(OURS) else baselines
                kept[f"{name}: {what}"], bounds[f"{name}: {what}"] = interval([one[what] for one in found])
    deciding = {name: pair for name, pair in bounds.items() if name in values and name.endswith((SAVED, LESS))}
    return Finding(
        values, verdict(deciding) if whole else None, note(values, baselines, bounds), baselines, bounds, list(orders)
    )


def played(name: str, table: Outcomes, order: int) -> dict[str, float]:
    """What each way of choosing regrets to the best single model in one order of the table."""
    objective = Objective(usd=USD.get(name, 0.0))
    cards = {model: ModelCard(model) for model in table.models}
    run_ = shuffled(table, order)
    known = references(run_, objective, LinUCB.from_cards(cards).context(run_.prompts))
    earned = {"random": known["random"], "linear in hindsight": known["linear"]}
    for policy in LEARNING:
        earned[policy] = play_online(POLICIES[policy](cards), run_, objective, seed=order).earned_N
    total = {way: regret(known["best single"], earned_N) for way, earned_N in earned.items()}
    found = {}
    for way, regret_N in total.items():
        found[f"{way}, regret"] = float(regret_N[-1])
        found[f"{way}, {LESS}"] = slowed(regret_N)
        if way != "random":
            found[f"{way}, {SAVED}"] = float(total["random"][-1] - regret_N[-1])
    return found


def slowed(regret_N: Floats) -> float:
    """The growth of cumulative regret per 1,000 prompts in the first half less that in the second."""
    half = len(regret_N) // 2
    first, both = regret_N[half - 1], regret_N[-1]
    return float(1000 * (first / half - (both - first) / (len(regret_N) - half)))


def interval(each: Sequence[float]) -> tuple[float, list[float]]:
    """The mean over orders, and its interval by Student's t."""
    mean, error = float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(len(each)))
    wide = float(stdtrit(len(each) - 1, 0.975)) * error
    return round(mean, 1), [round(mean - wide, 1), round(mean + wide, 1)]


def verdict(gains: Mapping[str, Sequence[float]]) -> bool | None:
    """True where all lie wholly above zero, False where one lies wholly below, else None."""
    if any(high < 0 for _, high in gains.values()):
        return False
    return True if all(low > 0 for low, _ in gains.values()) else None


def note(values: Mapping[str, float], baselines: Mapping[str, float], bounds: Mapping[str, Sequence[float]]) -> str:
    """For each table and router the regret, and by how much its growth has slowed."""
    told = []
    for name in dict.fromkeys(key.split(": ")[0] for key in values):
        ways = []
        for way in OURS:
            of_all, of_growth = f"{name}: {way}, regret", f"{name}: {way}, {LESS}"
            ways.append(f"{way} {values[of_all]:+.0f}, growth less by {values[of_growth]:+.0f} "
                        f"({bounds[of_growth][0]:+.0f} to {bounds[of_growth][1]:+.0f})")  # fmt: skip
        told.append(f"{name}: {'; '.join(ways)}; random {baselines[f'{name}: random, regret']:+.0f}")
    return f"Regret in answers, and its growth per 1,000 prompts from half to half. {'. '.join(told)}."


if __name__ == "__main__":
    run(__doc__, measure, system="LinUCB and Thompson sampling", routers=OURS)
