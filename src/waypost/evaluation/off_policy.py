"""What another router would have earned, from the decisions of the one that was there.

Shape suffixes: N decisions, M models, K columns, B resamples.

A log says what came of the model that was chosen, never of the others.  When it was chosen by chance, with a known
propensity above zero for every model that another router would choose, that router's value can be estimated: decisions
on which the two agree stand for those on which they do not, by the weight ``w = target / propensity`` of what was
chosen.  Four ways, all here for quality and for USD:

- ``ips``, inverse propensity: mean of w·r.  Unbiased; wide where weights are large.
- ``snips``, self-normalised: sum of w·r over sum of w.  Nearly unbiased, mostly narrower, and shifts with the reward.
- ``direct``: mean of what a model of the outcome expects of the target's choice.  Narrow, and as wrong as the model;
  its interval knows nothing of that.
- ``doubly robust``: direct plus mean of w·(r − expected).  Unbiased if the propensities are right, and narrow if the
  model is good.

Where target and log agree on few decisions, these may all have gone well by luck, and a bootstrap that only ever draws
them again is then certain.  So the intervals of quality, which lies between known bounds, are those of the log with two
made-up decisions more on which the two agree: one of quality 0 and one of quality 1, of as much weight as the agreeing
decisions have on the average (by effective sample).  With equal weights and answers that are right or wrong this adds
one success and one failure, as Agresti and Caffo do where they compare two proportions.

Sources: Horvitz and Thompson 1952; Dudik, Langford and Li, Doubly Robust Policy Evaluation and Learning, 2011;
Swaminathan and Joachims, The Self-Normalized Estimator for Counterfactual Learning, 2015; for cross-fitting
Chernozhukov et al., Double/debiased machine learning, 2018; for the effective sample Kish, Survey Sampling, 1965, and
in intervals of proportions Korn and Graubard, Confidence intervals for proportions with small expected number of
positive counts, 1998; Agresti and Caffo, Simple and effective confidence intervals for proportions, 2000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.evaluation.bootstrap import resample
from waypost.evaluation.logged import Logged
from waypost.objective import Objective
from waypost.outcomes.leaks import clusters
from waypost.routers import Router
from waypost.types import Floats, ModelCard, Prediction

FEW = 100.0  # an effective sample below this is too small for a verdict
_FAR = 4.0  # standard errors that the mean weight may be from 1


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate and its 95 % interval."""

    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of a policy by one estimator, ``gain`` and ``extra_usd`` being the differences to what was served."""

    name: str
    quality: Figure
    usd: Figure
    gain: Figure
    extra_usd: Figure


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """What was ``served``, and what the target would have earned by each estimator.

    ``effective`` is the effective sample size, (sum w)² / sum w², of ``n`` decisions, where the weights of one source
    are added up first, as its rows say much the same.  ``supported`` is the share of the target's choices whose
    propensity the log states (and so is known to be above zero); of the others it is only known that the model was
    chosen somewhere.  ``doubts`` are sentences on what makes the estimates doubtful.
    """

    n: int
    effective: float
    supported: float
    served: Estimate
    estimates: tuple[Estimate, ...]
    doubts: tuple[str, ...]

    @property
    def best(self) -> Estimate:
        """The estimator to believe: doubly robust, or self-normalised where no model of the outcome could say."""
        last = self.estimates[-1]
        return last if last.name == "doubly robust" and np.isfinite(last.quality.value) else self.estimate("snips")

    @property
    def verdict(self) -> str:
        """Whether the target is better or worse than what was served, by the interval of the gain in quality.

        Of an effective sample below `FEW` it cannot be told.
        """
        low, high = self.best.gain.ci95 if self.effective >= FEW else (-np.inf, np.inf)
        return "better" if low > 0 else "worse" if high < 0 else "cannot tell"

    def estimate(self, name: str) -> Estimate:
        """The estimate of that name.

        Raises:
            BadInput: there is none.
        """
        for one in self.estimates:
            if one.name == name:
                return one
        raise BadInput(f"no estimate '{name}'; there are {', '.join(one.name for one in self.estimates)}")


def policy(
    router: Router, logged: Logged, objective: Objective, cards: Mapping[str, ModelCard] | None = None
) -> Floats:
    """What a fitted router would choose for each logged prompt, as probabilities (N, M) of 0 and 1.

    Raises:
        BadInput: it would choose a model that the log does not know.
    """
    prediction = router.predict(logged.prompts)
    known = cards or {name: ModelCard(name) for name in prediction.models}
    wanted = [prediction.models[m] for m in objective.choose_many(prediction, known)]
    unknown = Counter(name for name in wanted if name not in logged.models)
    _refuse(unknown, unknown.total(), logged)
    return np.eye(len(logged.models))[[logged.models.index(name) for name in wanted]]


def cross_fitted(logged: Logged, make: Callable[[], Router], *, folds: int = 5, seed: int = 0) -> Prediction:
    """What a model of the outcome expects of every logged prompt, fitted each time on the others.

    The log is cut into ``folds``; duplicates of a prompt and rows of one source stay together, so that no prediction
    is of a row that it was fitted on.  A model that the other folds never chose is NaN.

    Raises:
        BadTable: the log chose one model only.
        BadInput: there are fewer prompts (or sources) than folds.
    """
    _, cluster_N = np.unique(clusters(logged.prompts, logged.sources), return_inverse=True)
    total = int(cluster_N.max()) + 1
    if total < folds:
        raise BadInput(f"{total} different prompts or sources cannot be cut into {folds} folds; log more")
    fold_N = (np.random.default_rng(seed).permutation(total) % folds)[cluster_N]
    values_4NM = np.full((4, len(logged), len(logged.models)), np.nan)
    for fold in range(folds):
        rows = np.flatnonzero(fold_N == fold)
        prediction = make().fit(logged.select(fold_N != fold).outcomes()).predict([logged.prompts[n] for n in rows])
        column = [logged.models.index(name) for name in prediction.models]
        values_4NM[:, rows[:, None], column] = prediction[1:]
    return Prediction(logged.models, *values_4NM)


def estimate(
    logged: Logged, target_NM: Floats, expected: Prediction | None = None, *, resamples: int = 2000, seed: int = 0
) -> OffPolicy:
    """The value of a policy that chooses each model with probability ``target_NM``.

    ``expected`` is the prediction of a model of the outcome that has not seen these rows (`cross_fitted` makes one),
    its models in any order; without it there is no direct and no doubly robust estimate.  Intervals are percentiles of
    the bootstrap over decisions, rows of one source drawn together, two made-up decisions among them (see above).
    Where a cost that counts is unknown, so is the mean.

    Raises:
        BadInput: the target's probabilities are none, it would choose what the log could not have chosen, or
            ``expected`` is of other models or decisions.

    >>> rng = np.random.default_rng(0)
    >>> rows = [{"prompt": f"{n}", "model": m, "propensity": 0.5, "quality": float(m == "b" or n % 2), "usd": 0.01}
    ...         for n, m in enumerate(rng.choice(["a", "b"], 1000))]
    >>> found = estimate(Logged.from_rows(rows), np.tile([0.0, 1.0], (1000, 1)))
    >>> found.estimate("snips").quality.value, found.verdict, round(found.effective)
    (1.0, 'better', 537)
    """
    _check_target(logged, target_NM)
    _check_support(logged, target_NM)
    weight_N = target_NM[np.arange(len(logged)), logged.chosen_N] / logged.own_N
    if not weight_N.any():
        raise BadInput(
            f"the target never chooses what was chosen in any of the {len(logged)} decisions, so none says how it "
            f"would fare; log more decisions, or more of the models that it prefers"
        )
    expected = None if expected is None else _in_order(expected, logged)
    columns = {
        name: _columns(logged, target_NM, weight_N, reward_N, expected, name)
        for name, reward_N in (("quality", logged.quality_N), ("usd", logged.usd_N))
    }
    together_N = _drawn_together(logged)
    drawn_BK = resample(np.hstack(list(columns.values())), clusters_N=together_N, resamples=resamples, seed=seed)
    drawn = dict(zip(columns, np.split(drawn_BK, 2, axis=1), strict=True))
    drawn["quality"] = _hedged(drawn["quality"], weight_N, together_N, seed)
    values = {name: _values(part_NK.mean(axis=0, keepdims=True)) for name, part_NK in columns.items()}
    draws = {name: _values(part_BK) for name, part_BK in drawn.items()}
    served, *others = (_estimate(name, values, draws) for name in values["quality"])
    effective = float(weight_N.sum() / _size(weight_N, together_N))
    return OffPolicy(
        n=len(logged),
        effective=effective,
        supported=float((target_NM * (logged.propensity_NM > 0)).sum() / len(logged)),
        served=served,
        estimates=tuple(others),
        doubts=tuple(_doubts(logged, target_NM, weight_N, effective)),
    )


def _columns(
    logged: Logged, target_NM: Floats, weight_N: Floats, reward_N: Floats, expected: Prediction | None, name: str
) -> Floats:
    """What the estimators are means of, (N, 3) or (N, 5): the reward, w, w·r, direct and doubly robust terms."""
    # Where the weight is zero the reward does not count, known or not.
    columns = [reward_N, weight_N, _product(weight_N, reward_N)]
    if expected is not None:
        found_NM = expected.quality_NM if name == "quality" else expected.usd_NM
        direct_N = _product(target_NM, found_NM).sum(axis=1)
        error_N = reward_N - found_NM[np.arange(len(logged)), logged.chosen_N]
        columns += [direct_N, direct_N + _product(weight_N, error_N)]
    columns_NK = np.column_stack(columns)
    # A mean over some of the decisions would be of another population, so one gap makes the whole unknown.
    columns_NK[:, np.isnan(columns_NK).any(axis=0)] = np.nan
    return columns_NK


def _product(weights: Floats, values: Floats) -> Floats:
    return np.where(weights > 0, weights * values, 0.0)


def _values(means_BK: Floats) -> dict[str, Floats]:
    """Each estimator's value, (B,), from the means of its columns."""
    served_B, weight_B, weighted_B, *modelled = means_BK.T
    snips_B = np.divide(weighted_B, weight_B, out=np.full(len(weight_B), np.nan), where=weight_B > 0)
    named = zip(("direct", "doubly robust"), modelled, strict=False)
    return {"served": served_B, "ips": weighted_B, "snips": snips_B, **dict(named)}


def _estimate(
    name: str, values: Mapping[str, Mapping[str, Floats]], draws: Mapping[str, Mapping[str, Floats]]
) -> Estimate:
    own = [_figure(values[reward][name], draws[reward][name]) for reward in values]
    more = [_figure(*(means[reward][name] - means[reward]["served"] for means in (values, draws))) for reward in values]
    return Estimate(name, *own, *more)


def _figure(value_1: Floats, drawn_B: Floats) -> Figure:
    known_B = drawn_B[~np.isnan(drawn_B)]
    low, high = np.quantile(known_B, (0.025, 0.975)) if len(known_B) else (np.nan, np.nan)
    return Figure(float(value_1[0]), (float(low), float(high)))


def _hedged(means_BK: Floats, weight_N: Floats, together_N: NDArray[np.intp], seed: int) -> Floats:
    """The resampled means of the columns of quality, with two decisions more on which target and log agree.

    One has quality 0 and one quality 1, and they are drawn as often as any other: Poisson with mean one.  To what was
    served such a decision adds itself, and to the others the decisions that it stands for; what a model of the outcome
    expects is left as it is.
    """
    bad_B, good_B = np.random.default_rng([seed, 1]).poisson(1.0, (2, len(means_BK)))
    weight, agreeing = (_size(each_N, together_N) for each_N in (weight_N, (weight_N > 0).astype(np.float64)))
    added_K = np.array([agreeing, weight, weight, 0.0, weight])[: means_BK.shape[1]]
    sums_BK = np.column_stack([good_B, bad_B + good_B, good_B, good_B, good_B])[:, : means_BK.shape[1]]
    n, drawn_B1 = len(weight_N), (bad_B + good_B)[:, None]
    hedged_BK: Floats = (n * means_BK + added_K * sums_BK) / (n + added_K * drawn_B1)
    return hedged_BK


def _size(weight_N: Floats, together_N: NDArray[np.intp]) -> float:
    """What one of the decisions drawn together weighs, the heavy ones counting more: sum w² / sum w."""
    weight_C = np.bincount(together_N, weight_N)
    return float(np.square(weight_C).sum() / weight_C.sum())


def _in_order(expected: Prediction, logged: Logged) -> Prediction:
    """The prediction with its models in the order of the log's."""
    missing = [name for name in logged.models if name not in expected.models]
    if missing or len(expected.quality_NM) != len(logged):
        raise BadInput(
            f"what is expected is of {len(expected.quality_NM):,} prompts and {', '.join(expected.models)}, the log of "
            f"{len(logged):,} decisions and {', '.join(logged.models)}; give the prediction of each logged prompt"
        )
    column = [expected.models.index(name) for name in logged.models]
    return Prediction(logged.models, *(values_NM[:, column] for values_NM in expected[1:]))


def _drawn_together(logged: Logged) -> NDArray[np.intp]:
    """A number for each decision, equal for rows of one source; a row without a source stands alone."""
    names = [(source, 0 if source else n) for n, source in enumerate(logged.sources)]
    number = {name: c for c, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.intp)


def _check_target(logged: Logged, target_NM: Floats) -> None:
    if target_NM.shape != logged.propensity_NM.shape:
        expected = logged.propensity_NM.shape
        raise BadInput(f"the target has shape {target_NM.shape}, expected (decisions, models) = {expected}")
    if not ((target_NM >= 0).all() and np.allclose(target_NM.sum(axis=1), 1)):
        raise BadInput("the target must give each decision's models probabilities from 0 that sum to 1")


def _check_support(logged: Logged, target_NM: Floats) -> None:
    """Refuse where the target would choose what the log never could."""
    never_M = np.bincount(logged.chosen_N, minlength=len(logged.models)) == 0
    impossible_NM = (logged.propensity_NM == 0) | (np.isnan(logged.propensity_NM) & never_M)
    wanted_NM = (target_NM > 0) & impossible_NM
    found = Counter(
        {name: int(count) for name, count in zip(logged.models, wanted_NM.sum(axis=0), strict=True) if count}
    )
    _refuse(found, int(wanted_NM.any(axis=1).sum()), logged)


def _refuse(wanted: Mapping[str, int], prompts: int, logged: Logged) -> None:
    if not wanted:
        return
    which = ", ".join(f"{name} in {count:,}" for name, count in sorted(wanted.items(), key=lambda item: -item[1]))
    certain = " Every choice in it was certain, so it explored nothing." if (logged.own_N == 1).all() else ""
    raise BadInput(
        f"in {prompts:,} of {len(logged):,} decisions the target would choose a model that the log could not have "
        f"chosen there ({which}), and no weighting of the log says how that would have gone.{certain} Log decisions "
        f"in which every model has a propensity above zero (such as a twentieth of the traffic at random), keep the "
        f"target to models that the log explored (objective 'allowed'), or measure them with `waypost collect`"
    )


def _doubts(logged: Logged, target_NM: Floats, weight_N: Floats, effective: float) -> Iterator[str]:
    if effective < FEW:
        yield (
            f"the effective sample is {effective:.0f} of {len(logged):,} decisions, below {FEW:.0f}, and that few tell "
            f"nothing certain: the target seldom does what was logged"
        )
    error = weight_N.std() / np.sqrt(len(logged))
    if abs(weight_N.mean() - 1) > _FAR * error + 1e-9:
        yield (
            f"the weights' mean is {weight_N.mean():.2f} and would be about 1: the propensities are wrong, or the "
            f"target chooses what the log could not"
        )
    if unknown := int(np.isnan(logged.usd_N[weight_N > 0]).sum()):
        yield f"{unknown:,} decisions that count for the target have no cost, so its cost is unknown"
    unstated = np.isnan(logged.propensity_NM[target_NM > 0]).mean()
    if unstated:
        yield (
            f"of {unstated:.0%} of the target's choices the log does not state the propensity; that they had a chance "
            f"is taken for granted"
        )
