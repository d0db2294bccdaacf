"""Routers that learn while they serve: regret on recorded traffic, with drift and with late feedback.

    python benchmarks/online.py --data FOLDER   # measure, append rows, draw the figure (about a quarter of an hour)
    python benchmarks/online.py --quick         # the shipped table only, two orders
    python benchmarks/online.py --show          # measure nothing: the table of docs/online.md, and the figure again

All routers start cold: they know the models' names and nothing else.  Money has a weight on RouterBench only (30 points
per USD), since the other tables have no prices or hardly any.  Traffic comes in a random order ("steady"), one group
after the other ("topics"), or in a random order with the best single model and the worst changing places half-way
("swap").  An outcome comes at once or 100 prompts later.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import rows
from waypost import embedded
from waypost.evaluation import online
from waypost.objective import Objective
from waypost.outcomes import Outcomes, readers
from waypost.routers import LinUCB, Thompson
from waypost.types import Floats, ModelCard

KEPT = rows.ROOT / "benchmarks" / "results" / "online.jsonl"
FIGURE = rows.ROOT / "docs" / "figures" / "online-regret.svg"
MOST = 3000  # prompts of a run
POINTS = 60  # of a curve in a row
DELAYS = (0, 100)
USD = {"routerbench": 30.0}
REFERENCES = ("best single", "linear", "oracle")
TITLES = {"shipped": "shipped table", "routerbench": "RouterBench, 30 points per USD", "routerdc": "RouterDC"}
COLOURS = {
    "lin_ucb": "#0072b2",
    "lin_ucb, memory 1000": "#56b4e9",
    "thompson": "#009e73",
    "epsilon-greedy": "#d55e00",
    "linear": "#999999",
    "random": "#cccccc",
}


@dataclass
class EpsilonGreedy(LinUCB):
    """The best by expectation, and one prompt in ten at random: exploring without asking where it is of use."""

    width: float = 0.0
    epsilon: float = 0.1


POLICIES: Mapping[str, Callable[[Mapping[str, ModelCard]], Any]] = {
    "lin_ucb": LinUCB.from_cards,
    "lin_ucb, memory 1000": lambda cards: LinUCB.from_cards(cards, memory=1000),
    "thompson": Thompson.from_cards,
    "epsilon-greedy": EpsilonGreedy.from_cards,
}


def tables(data: Path | None) -> Iterator[tuple[str, Outcomes]]:
    """The shipped table and, with a folder, public ones; only prompts on which every model was measured."""
    yield "shipped", readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")])[0]
    if data is not None:
        for name, ending in (("routerbench", "csv"), ("routerdc", "json")):
            files = sorted((data / name).glob(f"*.{ending}"))
            yield name, Outcomes.concat(readers.read(name, files, lambda _: None))


def traffic(table: Outcomes, objective: Objective, kind: str, seed: int) -> Outcomes:
    """The prompts in the order of one run."""
    few = online.shuffled(table, seed).select(np.arange(min(MOST, len(table))))
    if kind == "topics":
        return online.by_group(few, seed)
    if kind == "swap":
        mean_M = online.worth(few, objective).mean(axis=0)
        return online.swapped(few, few.models[mean_M.argmax()], few.models[mean_M.argmin()])
    return few


def measured(name: str, table: Outcomes, orders: int) -> Iterator[dict[str, Any]]:
    """A row for each kind of traffic, delay and policy."""
    objective = Objective(usd=USD.get(name, 0.0))
    cards = {model: ModelCard(model) for model in table.models}
    for kind in ("steady", "topics", "swap"):
        runs = [traffic(table, objective, kind, seed) for seed in range(orders)]
        known = [online.references(run, objective, LinUCB.from_cards(cards).context(run.prompts)) for run in runs]
        fixed = {one: [each[one] for each in known] for one in ("random", "linear")}
        for policy, earned in fixed.items():
            yield row(name, kind, None, policy, objective, known, earned)
        for delay in DELAYS:
            for policy, make in POLICIES.items():
                earned = [
                    online.play_online(make(cards), run, objective, delay=delay, seed=seed).earned_N
                    for seed, run in enumerate(runs)
                ]
                yield row(name, kind, delay, policy, objective, known, earned)


def row(
    name: str, kind: str, delay: int | None, policy: str, objective: Objective, known: list[dict[str, Floats]],
    earned: list[Floats],
) -> dict[str, Any]:  # fmt: skip
    """Regret against each reference at the end, and the curve against the best single model."""
    found: dict[str, Any] = {
        "table": name, "traffic": kind, "delay": delay, "policy": policy, "usd": objective.usd,
        "n": len(earned[0]), "orders": len(earned), "earned": round(float(np.mean(earned)), 4),
    }  # fmt: skip
    for reference in REFERENCES:
        regrets = [online.regret(each[reference], one) for each, one in zip(known, earned, strict=True)]
        curve = online.curve(regrets)
        found[f"regret to {reference}"] = [round(float(part[-1]), 1) for part in curve]
        if reference == "best single":
            places = np.linspace(0, len(curve.mean_N) - 1, POINTS).astype(int)
            found["curve"] = [places.tolist(), *(part[places].round(1).tolist() for part in curve)]
    return found


def latest() -> dict[tuple[Any, ...], dict[str, Any]]:
    """The last row of each measurement."""
    found = map(json.loads, KEPT.read_text().splitlines())
    return {(row["table"], row["traffic"], row["delay"], row["policy"]): row for row in found}


def shown() -> Iterator[str]:
    """The table of the page, as lines of Markdown."""
    rows_ = latest()
    names = [name for name in TITLES if any(key[0] == name for key in rows_)]
    yield f"| traffic | feedback | policy | {' | '.join(TITLES[name] for name in names)} |"
    yield "|---|---|---|" + "---|" * len(names)
    for kind in ("steady", "topics", "swap"):
        for delay in (None, *DELAYS):
            for policy in ("random", "linear", *POLICIES):
                if (names[0], kind, delay, policy) in rows_:
                    cells = [_cell(rows_[name, kind, delay, policy]["regret to best single"]) for name in names]
                    late = {None: "", 0: "at once", 100: "100 later"}[delay]
                    title = "linear, in hindsight" if policy == "linear" else policy
                    yield f"| {kind} | {late} | {title} | {' | '.join(cells)} |"


def _cell(regret: list[float]) -> str:
    mean, low, high = regret
    return f"{mean:+.0f} ({low:+.0f} to {high:+.0f})"


def draw() -> None:
    """The curves of cumulative regret where feedback comes at once."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same rows give the same file.
    mpl.rcParams.update(
        {
            "svg.hashsalt": "waypost",
            "svg.fonttype": "none",
            "font.size": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    from matplotlib import pyplot as plt

    rows_ = latest()
    names = [name for name in TITLES if any(key[0] == name for key in rows_)]
    figure, axes = plt.subplots(len(names), 3, figsize=(9, 2.4 * len(names)), squeeze=False, sharey="row")
    for name, line in zip(names, axes, strict=True):
        for kind, ax in zip(("steady", "topics", "swap"), line, strict=True):
            for policy, colour in COLOURS.items():
                found = rows_[name, kind, None if policy in ("random", "linear") else 0, policy]
                place, mean, low, high = found["curve"]
                ax.plot(place, mean, color=colour, label=policy, linewidth=1.2)
                ax.fill_between(place, low, high, color=colour, alpha=0.15, linewidth=0)
            ax.axhline(0, color="black", linewidth=0.5)
            ax.set_title(f"{TITLES[name]}: {kind}")
        line[0].set_ylabel("regret to best single")
    for ax in axes[-1]:
        ax.set_xlabel("prompts served")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(FIGURE, metadata={"Date": None})
    # The library ends lines with spaces, which no file of ours does.
    FIGURE.write_text("\n".join(line.rstrip() for line in FIGURE.read_text().splitlines()) + "\n")


def main() -> None:
    """Append a row for each measurement, draw the figure, and print the page's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="the folder with routerbench and routerdc; without it the shipped table"
    )
    parser.add_argument("--only", choices=TITLES, help="one of the tables")
    parser.add_argument("--orders", type=int, default=6, help="how many random orders")
    parser.add_argument("--quick", action="store_true", help="the shipped table, two orders, nothing is kept")
    parser.add_argument("--show", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    if not asked.show:
        with threadpool_limits(1, "blas"):
            for name, table in tables(None if asked.quick else asked.data):
                if asked.only not in (None, name):
                    continue
                for found in measured(name, online.complete(table), 2 if asked.quick else asked.orders):
                    if asked.quick:
                        print({key: value for key, value in found.items() if key != "curve"})
                    else:
                        rows.append("online", found)
    if not asked.quick:
        draw()
        print("\n".join(shown()))


if __name__ == "__main__":
    main()
