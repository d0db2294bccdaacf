"""RouterBench: a cascade, models by ascending price, against the error of its judge.

Claim: A cascade does far better than the zero router while its judge errs in at most one answer in ten, and worse past
one in five.

Paper: Hu et al. 2024, arXiv 2403.12031; shown in figures of 11 models on 8 data sets, without intervals.

Tested: On RouterBench's rows of ARC-Challenge, MBPP and Winogrande (11 models), each data set by itself and all
together: AIQ of the cascade less that of the zero router, over a common range of costs, where the judge knows whether
an answer is right and says the contrary with probability 0 to 0.8.  Far better means that the whole interval lies above
0.02, two answers in a hundred, and worse that it lies below zero; an interval wholly on the other side speaks against
the claim, and any other decides nothing.  The claim holds where all say so, and does not where one speaks against it.
(The margin was set after a first run, which had asked for none.)  Numbers and intervals are made as in
`routerbench.py`.

Not tested: A judge that can be had, whose errors would fall on the hard questions; MMLU, HellaSwag, GSM8K and MT-Bench.
Questions on which some model was not measured are left out, as the paper's cascade does.
"""

from __future__ import annotations

import numpy as np
from claims import Finding, Options, run
from routerbench import MARGIN, Compared, Points, compared, limited, side, verdict

from waypost.outcomes import Outcomes
from waypost.types import Floats

GOOD, BETWEEN, BAD = (0.0, 0.01, 0.05, 0.1), (0.2,), (0.25, 0.3, 0.4, 0.6, 0.8)
BUDGETS = 20


def cascade(train: Outcomes, test: Outcomes, error: float) -> Points:
    """The exact expectation over the judge's errors, at budgets a question from one call to all of them.

    The first model is always asked; another only while its cost is below what is left of the budget.
    """
    means = train.means()
    order_M = sorted(range(len(test.models)), key=lambda m: means[test.models[m]][1])
    quality_NM, usd_NM = test.quality_NM[:, order_M], test.usd_NM[:, order_M]
    right_NM = quality_NM >= np.quantile(train.quality_NM[~np.isnan(train.quality_NM)], 0.95)
    stops_NM = np.where(right_NM, 1 - error, error)
    spent_NM = usd_NM.cumsum(axis=1)
    dearest = float(spent_NM[:, -1].max())
    budgets = np.append(np.geomspace(usd_NM[:, 0].mean(), dearest, BUDGETS - 1), 2 * dearest)
    columns = [_spend(quality_NM, usd_NM, stops_NM, budget) for budget in budgets]
    return Points(*(np.column_stack(part) for part in zip(*columns, strict=True)))


def _spend(quality_NM: Floats, usd_NM: Floats, stops_NM: Floats, budget: float) -> tuple[Floats, Floats]:
    """Expected USD and quality of each question within a budget."""
    before_NM = usd_NM.cumsum(axis=1) - usd_NM
    affordable_NM = usd_NM < budget - before_NM
    affordable_NM[:, 0] = True
    asked_NM = np.logical_and.accumulate(affordable_NM, axis=1)
    last_NM = asked_NM & ~np.pad(asked_NM[:, 1:], ((0, 0), (0, 1)))
    stops_NM = np.where(last_NM, 1.0, stops_NM)  # the last one's answer is given whatever the judge says
    passed_NM = np.cumprod(1 - stops_NM, axis=1)
    reached_NM = asked_NM * np.pad(passed_NM[:, :-1], ((0, 0), (1, 0)), constant_values=1.0)
    return (reached_NM * usd_NM).sum(axis=1), (reached_NM * stops_NM * quality_NM).sum(axis=1)


def measure(options: Options) -> Finding:
    """The cascade with each judge on every data set."""

    def ways(train: Outcomes, test: Outcomes) -> dict[str, Points]:
        return {_judge(error): cascade(train, test, error) for error in (*GOOD, *BETWEEN, *BAD)}

    found = compared(options, ways)
    return found.finding(*judgement(found, whole=options.folder("routerbench") is not None))


def judgement(found: Compared, whole: bool) -> tuple[bool | None, str]:
    """Whether the claim holds, and one sentence; without the rows of RouterBench (``whole``) nothing is claimed."""
    together = found.shown([f"all: {_judge(error)}" for error in (0.1, 0.2, 0.25, 0.3)])
    if not whole:
        return None, f"Its rows are needed to test it; on the shipped table, in AIQ over the zero router, {together}."
    good = [side(MARGIN, np.inf, found.bounds[name]) for name in found.ways if name.endswith(_ends(GOOD))]
    bad = [side(-np.inf, 0, found.bounds[name]) for name in found.ways if name.endswith(_ends(BAD))]
    return verdict([*good, *bad]), (
        f"In AIQ over the zero router, far better in {_counts(good)} with a judge that errs in at most one in ten, and "
        f"worse in {_counts(bad)} past one in five; {together}."
    )


def _counts(sides: list[bool | None]) -> str:
    said = f"{sides.count(True)} of {len(sides)} cases"
    others = {"not": sides.count(False), "cannot be told": sides.count(None)}
    rest = ", ".join(f"{count} {what}" for what, count in others.items() if count)
    return f"{said} ({rest})" if rest else said


def _ends(errors: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(_judge(error) for error in errors)


def _judge(error: float) -> str:
    return f"judge errs in {error:.0%}"


if __name__ == "__main__":
    run(__doc__, limited(measure), system="RouterBench: cascade", routers=("cascade",))
