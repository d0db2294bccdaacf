"""A small report: three ways of choosing on a table with costs, and on the same one without, where questions leak."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.evaluation.report.findings import Findings
from waypost.evaluation.report.measure import Measuring, part
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table
from waypost.outcomes.leaks import find
from waypost.routers import make
from waypost.types import ModelCard

HOSTILE = ("</script><script>alert(1)</script>", "$x$ <b>%{y}", "var(--c1)\u2028")


def renamed(table, names):
    return replace(table, models=names)


def without_costs(table):
    return replace(table, usd_NM=np.full(table.usd_NM.shape, np.nan))


@pytest.fixture(scope="session")
def measured():
    """Findings of the named routers, and of their trade-off, on a training and several test tables."""

    def measure(train, tests, routers=("domain", "best_single", "random"), **objective):
        wanted = Objective(**objective)
        cards = {name: ModelCard(name) for name in train.models}
        made = {name: make(name).fit(train) for name in routers}
        measuring = Measuring(made, dict.fromkeys(made, wanted), cards, train, wanted.weights, resamples=200)
        return Findings(
            version="1.2.3",
            command="waypost report out.html",
            seed=0,
            resamples=200,
            weights=wanted.weights,
            budget=wanted.budget,
            train=part("training", train),
            tests=tuple(
                measuring.tested(name, table, find(table.prompts, train.prompts)) for name, table in tests.items()
            ),
        )

    return measure


@pytest.fixture(scope="session")
def tables():
    """Training, and test questions of which thirty are also in training."""
    train, fresh = example_table(300, seed=1).split(0.7)
    return train, Outcomes.concat([fresh, train.select(np.arange(30))])


@pytest.fixture(scope="session")
def findings(measured, tables):
    train, test = tables
    return measured(train, {"priced": test, "unpriced": without_costs(test)}, usd=100.0)


@pytest.fixture(scope="session")
def hostile(measured):
    """Model names, groups and prompts that would be markup, script or a formula."""
    table = renamed(example_table(200, seed=2), HOSTILE)
    words = tuple(f"{prompt} </title><script>alert({n})</script>" for n, prompt in enumerate(table.prompts))
    table = replace(table, prompts=words, groups=tuple(f"<i>{group}\ud800" for group in table.groups))
    return measured(table.select(np.arange(150)), {"<img src=x onerror=alert(2)>": table.select(np.arange(100, 200))})
