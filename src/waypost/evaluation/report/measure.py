"""What is measured for a report on one test table.  Shape suffixes: N questions, M models, P points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.evaluation.compare import compare
from waypost.evaluation.confusion import Confusion, choices, confusion
from waypost.evaluation.measures import curves
from waypost.evaluation.metrics import Earned, mean
from waypost.evaluation.play import play
from waypost.evaluation.reliability import Reliability, reliability
from waypost.evaluation.report.findings import Leaking, Method, Part, Points, Tested, Twin
from waypost.evaluation.report.human import shortened
from waypost.evaluation.sweep import sweep
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.outcomes.leaks import Leaks
from waypost.routers import Escalation
from waypost.types import Floats, ModelCard, Prediction

_EXAMPLES = 10
_DRAWN = 200
_MOST_GROUPS = 40


@dataclass(frozen=True)
class Measuring:
    """What all measurements of one report share: the ways of choosing and their trade-offs by name, and the chances."""

    made: Mapping[str, Any]
    objectives: Mapping[str, Objective]
    cards: Mapping[str, ModelCard]
    train: Outcomes | None
    resamples: int = 2000
    seed: int = 0

    def tested(
        self, name: str, table: Outcomes, leaks: Leaks | None, clusters_N: NDArray[np.intp] | None = None
    ) -> Tested:
        """Measure everything on one test table; questions that leak are played too, and counted apart."""
        earned = {spec: play(made, table, self.objectives[spec], self.cards) for spec, made in self.made.items()}
        kept_N = np.ones(len(table), dtype=bool) if leaks is None else ~leaks.leaked_N
        if not kept_N.any():
            raise BadInput(f"every question of {name} is also in training, so that nothing is left to measure on")
        leaking = leaks is not None and not kept_N.all()
        clean = table.select(kept_N)
        kept_clusters_N = None if clusters_N is None else clusters_N[kept_N]
        kept = {spec: one.select(kept_N) for spec, one in earned.items()}
        zero = Points(*map(_numbers, curves.zero_router(clean)))
        priced = bool(zero.usd)
        swept = {spec: self._swept(spec, clean, priced) for spec in self.made}
        drawn = {spec: path for spec, (_, path) in swept.items() if path is not None}
        span = _common([zero, *drawn.values()]) if drawn else None
        return Tested(
            part=part(name, clean),
            found=compare(
                clean, kept, train=self.train, clusters_N=kept_clusters_N, resamples=self.resamples, seed=self.seed
            ),
            with_leaks=compare(
                table, earned, train=self.train, clusters_N=clusters_N, resamples=self.resamples, seed=self.seed
            )
            if leaking
            else None,
            leaks=_leaking(leaks, table, self.train) if leaking and leaks and self.train is not None else None,
            zero=zero,
            aiq=_aiq(zero, span),
            aiq_range=span,
            methods=tuple(
                self._method(spec, clean, kept[spec], *swept[spec], span, kept_clusters_N) for spec in self.made
            ),
        )

    def _swept(self, spec: str, table: Outcomes, priced: bool) -> tuple[Prediction | None, Points | None]:
        """What is predicted, and what that earns at every price of quality; a strategy predicts no final answer."""
        made = self.made[spec]
        if isinstance(made, Escalation) or not callable(getattr(made, "predict", None)):
            return None, None
        predicted: Prediction = made.predict(table.prompts)
        if not priced or np.isnan(predicted.usd_NM).all():
            return predicted, None
        curve = sweep(predicted, table, name=spec, cards=self.cards, base=self.objectives[spec])
        known_P = np.isfinite(curve.usd_P) & np.isfinite(curve.quality_P)
        return predicted, _path(curve.usd_P[known_P], curve.quality_P[known_P]) if known_P.any() else None

    def _method(
        self,
        spec: str,
        table: Outcomes,
        earned: Earned,
        predicted: Prediction | None,
        path: Points | None,
        span: tuple[float, float] | None,
        clusters_N: NDArray[np.intp] | None,
    ) -> Method:
        domain = getattr(self.made[spec], "domain", None)
        quality, usd, expected, seen = self._calibration(table, earned, predicted, clusters_N)
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

    def _calibration(
        self, table: Outcomes, earned: Earned, predicted: Prediction | None, clusters_N: NDArray[np.intp] | None
    ) -> tuple[Reliability | None, Reliability | None, float, float]:
        if predicted is None:
            return None, None, float("nan"), float("nan")
        quality_NM, usd_NM = (_aligned(table, predicted, array) for array in (predicted.quality_NM, predicted.usd_NM))
        chosen_NM = np.where(earned.calls_NM.sum(axis=1, keepdims=True) == 1, earned.calls_NM > 0, False)
        both_NM = chosen_NM & ~np.isnan(quality_NM + table.quality_NM)
        shared: dict[str, Any] = {"clusters_N": clusters_N, "resamples": self.resamples, "seed": self.seed}
        costs = reliability(usd_NM, table.usd_NM, quantiles=True, **shared)
        return (
            reliability(quality_NM, table.quality_NM, **shared),
            costs if costs.n else None,
            mean(quality_NM[both_NM]),
            mean(table.quality_NM[both_NM]),
        )


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
        groups=dict(sorted(Counter(table.groups).items())),
        scored=float(scored_NM.mean()),
        priced=float((~np.isnan(table.usd_NM[scored_NM])).mean()),
        fingerprint=table.fingerprint,
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
    return confusion([labels[name] for name in groups], [labels.get(name, name) for name in said])


def _labels(groups: Sequence[str]) -> dict[str, str]:
    """What to call each group: its name, or of more than forty groups for all but the largest how many these are."""
    counts = Counter(groups)
    if len(counts) <= _MOST_GROUPS:
        return {name: name or "no group" for name in counts}
    large = {name for name, _ in counts.most_common(_MOST_GROUPS - 1)}
    rest = f"the {len(counts) - len(large)} smaller groups"
    return {name: (name or "no group") if name in large else rest for name in counts}


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
