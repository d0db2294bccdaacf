"""The hierarchical router: what a question tells over its domain, each level by as much as there is evidence for it.

Claim: On no table is it significantly worse than the best of four other routers (best single model, domain, kNN,
ridge), chosen for that table in hindsight, and on some it is significantly better; on questions of a domain that it has
never seen the same holds.

Paper: Ours; there is none.

Tested: What `benchmarks/hierarchical.py` computes, with the defaults.  In distribution: every question of five tables
(RouterDC, RouterBench, LLMRouter, RouterArena, RouteLLM) is answered by a router that has not seen it, in five folds
(three of RouteLLM), near duplicates together.  New domains: whole groups are left out, in at most eight lots, of the
three tables that have more than two groups and at most 10,000 questions.  Free is the quality of the model that is
expected to be best, priced the mean of quality less price over sixty prices of the models.  The best other is the one
that earns most on the questions measured, for each measure by itself, which favours it.  Intervals of 95 % from
resampling the questions of each file; there are sixteen, and no allowance is made for their number.  It does not hold
if any interval of the gain over the best other lies wholly below 0; it holds if none does and at least one lies wholly
above; else it is undecided.  Quick: RouterBench and RouterArena only, which decides nothing.

Not tested: Tables that nobody has looked at: the defaults were chosen with these five in view, though all the same for
all.  Other encoders; real prices, for which the benchmark has AIQ; how results vary with the folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from claims import Finding, Options, run
from threadpoolctl import threadpool_limits

from hierarchical import MEASURES, OTHERS, OURS, compared, folds, groups, tables

TABLES = ("routerdc", "routerbench", "llmrouter", "routerarena", "routellm")
SMALL = ("routerbench", "routerarena")
LARGE = 10_000  # questions: three folds instead of five, and no lots of groups
WAYS = {"folds": "in distribution", "groups": "on new domains"}
SAID = {True: "it holds", False: "it does not", None: "it is undecided"}


def measure(options: Options) -> Finding:
    whole = options.data is not None and not options.quick
    values: dict[str, float] = {}
    baselines: dict[str, float] = {}
    bounds: dict[str, list[float]] = {}
    with threadpool_limits(1):
        for table in tables(options.data, SMALL if options.quick else TABLES):
            large = len(table.outcomes) > LARGE
            lots = {"folds": list(folds(table, 3 if large else 5))}
            if len(set(table.outcomes.groups)) > 2 and not large:
                lots["groups"] = list(groups(table, 8))
            for kept, tested in lots.items():
                by_way = {row["way"]: row for row in compared(table, kept, tested, {})}
                ours, place = by_way[OURS], f"{table.name}, {WAYS[kept]}"
                for kind in MEASURES[:2]:
                    values[f"{place}, {kind}"] = ours[kind]
                    baselines |= {f"{place}, {kind}: {other}": by_way[other][kind] for other in OTHERS}
                    gain, *bounds_2 = ours[f"{kind}_over_best"]
                    name = f"{place}, {kind}: gain over {ours[f'best_{kind}']}"
                    values[name], bounds[name] = gain, bounds_2
    return Finding(values, verdict(bounds) if whole else None, note(values, bounds, whole), baselines, bounds, [0])


def verdict(gains: Mapping[str, Sequence[float]]) -> bool | None:
    """False where any gain lies wholly below zero; True where none does and at least one lies above; else None."""
    if any(high < 0 for _, high in gains.values()):
        return False
    return True if any(low > 0 for low, _ in gains.values()) else None


def note(values: Mapping[str, float], bounds: Mapping[str, Sequence[float]], whole: bool) -> str:
    """For each way of keeping questions apart: how many gains lie on which side of zero, and which, in points."""
    told = []
    for way in WAYS.values():
        gains = {name: pair for name, pair in bounds.items() if way in name}
        if not gains:
            continue
        above = [_shown(name, values[name], *pair) for name, pair in gains.items() if pair[0] > 0]
        below = [_shown(name, values[name], *pair) for name, pair in gains.items() if pair[1] < 0]
        told.append(
            f"{way[0].upper()}{way[1:]} {SAID[verdict(gains)]}: of {len(gains)} gains over the best other, in points, "
            f"{_listed('better', above)}, {_listed('worse', below)}."
        )
    return " ".join([*told, *([] if whole else ["A run on fewer tables decides nothing."])])


def _listed(side: str, gains: Sequence[str]) -> str:
    return f"{len(gains)} {side} ({', '.join(gains)})" if gains else f"none {side}"


def _shown(name: str, gain: float, low: float, high: float) -> str:
    place, other = name.split(": gain over ")
    table, *_, kind = place.split(", ")
    return f"{table} {kind} {100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] on {other}"


if __name__ == "__main__":
    run(__doc__, measure, system="Hierarchical (ours)", routers=("hierarchical",))
