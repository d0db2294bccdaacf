"""An experiment's runs: routers × seeds × splits, each measured once, kept as a row, and found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.cli import measured, origin, output, talks

if TYPE_CHECKING:
    from waypost.cli.measured import Data
    from waypost.evaluation import Comparison, Earned, Line
    from waypost.evaluation.experiment import Row, Rows
    from waypost.evaluation.spread import Spread
    from waypost.objective import Objective


@dataclass(frozen=True)
class Plan:
    """What a command line asks to be run; ``read`` gives the tables of a split by its seed.

    ``split`` says that the test questions are a part of one table, so that there are other splits.
    """

    read: Callable[[int], Data]
    split: bool
    routers: list[str]
    strategies: list[str]
    trade_off: Objective
    config: Path | None
    seed: int
    seeds: int
    splits: int
    resamples: int
    commit: str | None

    def run(self, rows: Rows) -> dict[str, Found]:
        """All comparisons by test; what ``rows`` lack is measured and appended to them.

        Raises:
            BadInput: something cannot be measured; the sentence names the router and the test.
        """
        first = _Split(self, rows, self.seed)
        seeds = range(self.seed, self.seed + self.seeds)
        made = [(seed, measured.made(first.data, self.routers, self.strategies, seed)) for seed in seeds]
        # Before anything is fitted, as a fit may load more modules.
        parts = {spec: origin.parameters(spec, one) for spec, one in made[0][1].items()}
        splits = [first, *(_Split(self, rows, self.seed + s, first) for s in range(1, self.splits))]
        return {
            test: Found(
                first.tested(test),
                [[split.compared(test, *each, parts) for each in made] for split in splits],
                first.data.dropped.get(test, 0),
            )
            for test in first.data.tests
        }


@dataclass(frozen=True)
class Found:
    """The comparisons of one test by split and seed, and the share of its table's questions that a split tests.

    ``dropped`` questions of the test are also in training and were left out.
    """

    tested: float
    runs: list[list[Comparison]]
    dropped: int

    def spread(self) -> list[tuple[Spread, list[Line]]]:
        """What the gain of each line varies by, and the lines of all runs; only what was asked is corrected."""
        from waypost.evaluation.spread import spread

        flat = list(chain(*self.runs))
        everywhere = set.intersection(*({(line.kind, line.name) for line in one.lines} for one in flat))
        lines = {
            (line.kind, line.name): [one.line(line.name, line.kind) for one in flat]
            for line in flat[0].lines
            if (line.kind, line.name) in everywhere and line.name != "zero"  # which has another cost in each run
        }
        asked = {name: self._gains(same) for (kind, name), same in lines.items() if kind == "asked"}
        found = [(one, lines["asked", one.router]) for one in spread(asked, self.tested)]
        for (kind, name), same in lines.items():
            if kind != "asked":
                found.append((spread({name: self._gains(same)}, self.tested)[0], same))
        return found

    def _gains(self, lines: Sequence[Line]) -> tuple[Any, Any]:
        """Gains and their standard errors, (S, R)."""
        import numpy as np

        gain_SR, se_SR = np.array([(line.gain, line.gain_se) for line in lines]).T.reshape(2, len(self.runs), -1)
        return gain_SR, se_SR


class _Split:
    """One split of the tables, which is read when something is to be measured on it."""

    def __init__(self, plan: Plan, rows: Rows, seed: int, first: _Split | None = None) -> None:
        self.plan, self.rows, self.seed, self.first = plan, rows, seed, first or self
        self.fitted: dict[tuple[str, int], Any] = {}

    @cached_property
    def data(self) -> Data:
        return self.plan.read(self.seed)

    @cached_property
    def cards(self) -> Mapping[str, Any]:
        return measured.cards(self.data, self.plan.config, self.plan.trade_off)

    def tested(self, test: str) -> float:
        """The share of a table's questions that one split tests; a test file is tested whole."""
        train, n = self.data.train, len(self.data.tests[test])
        return n / (n + len(train)) if self.plan.split and train is not None else 1.0

    def compared(self, test: str, seed: int, made: Mapping[str, Any], parts: Mapping[str, Any]) -> Comparison:
        """The comparison of what was made of its ``parts``, from rows that are found or measured now."""
        from waypost.evaluation import experiment

        table = self.first.data.tests[test]
        beside = [("model", name) for name in table.models] + [("bound", "chance"), ("bound", "oracle")]
        keys = [self._key(test, kind, name, {}, None) for kind, name in beside]
        self._measure(test, keys, dict)
        for spec, one in made.items():
            drawn = seed if origin.draws(spec, one) else None
            key = self._key(test, "asked", spec, parts[spec], drawn)
            self._measure(test, [key], partial(self._earned, test, spec, one, seed))
            keys.append(key)
        return experiment.comparison(row for key in keys if (row := self.rows.find(key)))

    def _measure(self, test: str, keys: Sequence[Row], earn: Callable[[], Mapping[str, Earned] | None]) -> None:
        """Compare what is earned, if anything, and keep its rows, unless they are there."""
        from waypost.evaluation import compare, experiment

        if all(self.rows.find(key) for key in keys) or (earned := earn()) is None:
            return
        table = self.data.tests[test]
        found = compare(
            table,
            earned,
            bounds=talks.bounds(table, self.data.prices),
            train=self.data.train,
            clusters_N=self._clusters(test),
            resamples=self.plan.resamples,
            seed=self.plan.seed,
        )
        for key in keys:
            if not self.rows.find(key):
                self.rows.append(key, experiment.figures(found, found.line(key["router"], key["kind"])))

    def _earned(self, test: str, spec: str, made: Any, seed: int) -> dict[str, Earned] | None:
        """What a router earns on the whole test, None if it was left out; it is fitted once for all of a split."""
        from waypost.evaluation import play
        from waypost.evaluation.experiment import blamed

        table, train = self.data.tests[test], self.data.train
        with blamed(spec, test):
            if (spec, seed) not in self.fitted:
                wanted = [*self.plan.routers, *self.plan.strategies]
                self.fitted[spec, seed] = measured.tried(spec, deepcopy(made), train, wanted)
            fitted = self.fitted[spec, seed]
            if fitted is None:
                return None
            trade_off = measured.solved(spec, fitted, self.plan.trade_off, train, self.cards)
            with output.step(f"measuring {spec} on {test}, {len(table):,} questions"):
                return {spec: talks.charge(play(fitted, table, trade_off, self.cards), table, self.data.prices)}

    def _clusters(self, test: str) -> Any:
        from waypost.outcomes.leaks import clusters

        table = self.data.tests[test]
        return clusters(table.prompts, table.sources)

    def _key(self, test: str, kind: str, router: str, parameters: Mapping[str, Any], seed: int | None) -> Row:
        """All that a row depends on.  A split is told by the tables of the first and its own seed."""
        plan, data = self.plan, self.first.data
        config = {"config": origin.digest([plan.config])} if plan.config else {}
        talk = {} if data.prices is None else {"conversations": True}
        return {
            "kind": kind,
            "router": router,
            "parameters": parameters,
            "test": test,
            "data": data.tests[test].digest[:16],
            "train": None if data.train is None else data.train.digest[:16],
            "split": self.seed if plan.split else None,
            "seed": seed,
            "objective": asdict(plan.trade_off) | config | talk,
            "bootstrap": {"resamples": plan.resamples, "seed": plan.seed},
            "version": origin.version(),
            "commit": plan.commit,
        }
