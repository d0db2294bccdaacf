"""What is measured for a report on one test table.  Shape suffixes: N questions, M models, P points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.evaluation.confusion import Confusion, choices, confusion
from waypost.evaluation.experiment import blamed
from waypost.evaluation.measures import curves, zero_router
from waypost.evaluation.metrics import Earned, mean
from waypost.evaluation.parts import compare_parts, parts
from waypost.evaluation.play import play
from waypost.evaluation.reliability import Reliability, reliability
from waypost.evaluation.report.findings import Leaking, Method, Part, Points, Tested, Twin
from waypost.evaluation.report.human import clean, shortened
from waypost.evaluation.report.worth import worths
from waypost.evaluation.sweep import sweep
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.outcomes.leaks import Leaks
from waypost.routers import Head
from waypost.types import Floats, ModelCard, Prediction

_EXAMPLES = 10
_DRAWN = 200
_MOST_GROUPS = 40


@dataclass(frozen=True)
class Measuring:
    """What all measurements of one report share: the ways of choosing and their trade-offs by name, and the chances.

    ``weights`` is the trade-off as asked for, before a budget is solved for each way.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> train, test = example_table(400).split()
    >>> cards = {name: ModelCard(name) for name in test.models}
    >>> made = {"domain": make("domain").fit(train)}
    >>> found = Measuring(made, {"domain": Objective()}, cards, train, {"quality": 1.0}, 100).tested("mine", test)
    >>> found.found.line("domain").verdict, found.method("domain").domains.agreement
    ('beats', 1.0)
    """

    made: Mapping[str, Any]
    objectives: Mapping[str, Objective]
    cards: Mapping[str, ModelCard]
    train: Outcomes | None
    weights: Mapping[str, float]
    resamples: int = 2000
    seed: int = 0

    def tested(
        self, name: str, table: Outcomes, leaks: Leaks | None = None, clusters_N: NDArray[np.intp] | None = None
    ) -> Tested:
        """Measure everything on one test table; questions that leak are played too, and compared apart.

        Raises:
            BadInput: too few questions are not in training, or a router does not fit the table.
        """
        earned = {spec: self._played(spec, name, table) for spec in self.made}
        masks = parts(table, None if leaks is None else leaks.leaked_N)
        if "leaked" in masks and "clean" not in masks:
            raise BadInput(f"too few questions of {name} are not in training to measure every model on them")
        chances: dict[str, Any] = {"resamples": self.resamples, "seed": self.seed}
        found = compare_parts(table, earned, masks, train=self.train, clusters_N=clusters_N, **chances)
        kept_N = next(iter(masks.values()))
        kept = _Kept(
            table.select(kept_N),
            {spec: one.select(kept_N) for spec, one in earned.items()},
            {"clusters_N": None if clusters_N is None else clusters_N[kept_N], **chances},
        )
        zero = Points(*map(_numbers, zero_router(kept.table)[:2]))
        swept = {spec: self._swept(spec, name, kept.table, bool(zero.usd)) for spec in self.made}
        drawn = [path for _, path in swept.values() if path is not None]
        span = _common([zero, *drawn]) if drawn else None
        worthiest, worth = worths(kept.table, kept.earned, self.weights, **kept.chances)
        return Tested(
            part=part(name, kept.table),
            found=next(iter(found.values())),
            with_leaks=found["all"] if "clean" in found else None,
            on_leaks=found.get("leaked"),
            leaks=_leaking(leaks, table, self.train) if leaks and self.train and "clean" in found else None,
            zero=zero,
            aiq=_aiq(zero, span),
            aiq_range=span,
            worthiest=worthiest,
            worths=worth,
            methods=tuple(self._method(spec, kept, *swept[spec], span) for spec in self.made),
        )

    def _played(self, spec: str, test: str, table: Outcomes) -> Earned:
        with blamed(spec, test):
            return play(self.made[spec], table, self.objectives[spec], self.cards)

    def _swept(self, spec: str, test: str, table: Outcomes, priced: bool) -> tuple[Prediction | None, Points | None]:
        """What is predicted, and what that earns at every price of quality; a strategy predicts no final answer."""
        made = self.made[spec]
        if isinstance(made, Head) or not callable(getattr(made, "predict", None)):
            return None, None
        with blamed(spec, test):
            predicted: Prediction = made.predict(table.prompts)
            if not priced or np.isnan(predicted.usd_NM).all():
                return predicted, None
            curve = sweep(predicted, table, name=spec, cards=self.cards, base=self.objectives[spec])
        known_P = np.isfinite(curve.usd_P) & np.isfinite(curve.quality_P)
        return predicted, _path(curve.usd_P[known_P], curve.quality_P[known_P]) if known_P.any() else None

    def _method(
        self,
        spec: str,
        kept: _Kept,
        predicted: Prediction | None,
        path: Points | None,
        span: tuple[float, float] | None,
    ) -> Method:
        table, earned, domain = kept.table, kept.earned[spec], getattr(self.made[spec], "domain", None)
        quality, usd, expected, seen = _calibration(kept, earned, predicted)
        return Method(
            name=spec,
            curve=path,
            aiq=_aiq(path, span),
            groups=_by_group(table, earned),
            choices=choices(table, earned),
            domains=_domains(table.groups, domain(table.prompts)) if callable(domain) else None,
            quality=quality,
            usd=usd,
            expected=expected,
            seen=seen,
        )


@dataclass(frozen=True)
class _Kept:
    """The questions that count, what was earned on them, and how they are resampled."""

    table: Outcomes
    earned: Mapping[str, Earned]
    chances: Mapping[str, Any]


def part(name: str, table: Outcomes) -> Part:
    """The facts of a table.

    >>> from waypost.outcomes import example_table
    >>> part("mine", example_table(60)).rows
    60
    """
    scored_NM = ~np.isnan(table.quality_NM)
    return Part(
        name=name,
        rows=len(table),
        models=table.models,
        groups=dict(sorted(Counter(map(clean, table.groups)).items())),
        scored=float(scored_NM.mean()),
        priced=float((~np.isnan(table.usd_NM[scored_NM])).mean()),
        fingerprint=table.fingerprint,
    )


def _calibration(
    kept: _Kept, earned: Earned, predicted: Prediction | None
) -> tuple[Reliability | None, Reliability | None, float, float]:
    """The calibration of quality and of cost; and the mean quality expected and seen of the one model called."""
    if predicted is None:
        return None, None, float("nan"), float("nan")
    seen_NM = kept.table.quality_NM
    quality_NM, usd_NM = (_aligned(kept.table, predicted, array) for array in (predicted.quality_NM, predicted.usd_NM))
    chosen_NM = (earned.calls_NM > 0) & (earned.calls_NM.sum(axis=1, keepdims=True) == 1)
    both_NM = chosen_NM & ~np.isnan(quality_NM + seen_NM)
    costs = reliability(usd_NM, kept.table.usd_NM, quantiles=True, **kept.chances)
    return (
        reliability(quality_NM, seen_NM, **kept.chances),
        costs if costs.n else None,
        mean(quality_NM[both_NM]),
        mean(seen_NM[both_NM]),
    )


def _leaking(leaks: Leaks, table: Outcomes, train: Outcomes) -> Leaking:
    # The least alike first: an exact copy convinces anybody, what is only near has to be seen.
    pairs = sorted(leaks.pairs, key=lambda pair: pair[2])[:_EXAMPLES]
    return Leaking(
        exact=int(leaks.exact_N.sum()),
        near=int((leaks.near_N & ~leaks.exact_N).sum()),
        leaked=int(leaks.leaked_N.sum()),
        examples=tuple(Twin(shortened(table.prompts[n]), shortened(train.prompts[k]), float(s)) for n, k, s in pairs),
    )


def _by_group(table: Outcomes, earned: Earned) -> dict[str, dict[str, float]]:
    """Share of the calls by group and model."""
    labels = _labels(table.groups)
    label_N = np.array([labels[name] for name in table.groups])
    return {label: dict(earned.select(label_N == label).share) for label in sorted(set(labels.values()))}


def _domains(groups: Sequence[str], said: Sequence[str]) -> Confusion:
    """Which domain was said of the questions of each group."""
    labels = _labels(groups)
    return confusion([labels[name] for name in groups], [labels.get(name) or clean(name) for name in said])


def _labels(groups: Sequence[str]) -> dict[str, str]:
    """What to call each group: its name, or of more than forty groups for all but the largest how many these are."""
    counts = Counter(groups)
    if len(counts) <= _MOST_GROUPS:
        return {name: clean(name) or "no group" for name in counts}
    large = {name for name, _ in counts.most_common(_MOST_GROUPS - 1)}
    rest = f"the {len(counts) - len(large)} smaller groups"
    return {name: (clean(name) or "no group") if name in large else rest for name in counts}


def _aligned(table: Outcomes, predicted: Prediction, values_NK: Floats) -> Floats:
    """What was predicted in the order of the table's models; NaN where a model was not."""
    values_NM = np.full(table.quality_NM.shape, np.nan)
    values_NM[:, [table.models.index(name) for name in predicted.models]] = values_NK
    return values_NM


def _path(usd_P: Floats, quality_P: Floats) -> Points:
    """The points by rising cost; of very many those that a drawing can tell apart."""
    order_P = np.argsort(usd_P, kind="stable")
    usd_P, quality_P = usd_P[order_P], quality_P[order_P]
    if len(usd_P) > _DRAWN:
        wanted = np.linspace(usd_P[0], usd_P[-1], _DRAWN)
        kept = np.unique([0, len(usd_P) - 1, *np.searchsorted(usd_P, wanted)])
        usd_P, quality_P = usd_P[kept], quality_P[kept]
    return Points(_numbers(usd_P), _numbers(quality_P))


def _numbers(values: Floats) -> tuple[float, ...]:
    return tuple(map(float, values))


def _common(paths: list[Points]) -> tuple[float, float] | None:
    low, high = curves.common_range([np.array(path.usd) for path in paths])
    return (low, high) if low < high else None


def _aiq(path: Points | None, span: tuple[float, float] | None) -> float:
    if path is None or span is None:
        return float("nan")
    return curves.aiq(np.array(path.usd), np.array(path.quality), *span)
