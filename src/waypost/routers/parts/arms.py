"""What the routers that learn while they serve share: one Bayesian linear regression a model, kept up to date.

Each model (arm) has its own regression of quality, USD and seconds on a short context x of the prompt: A = ridge·I + Σ
x x', b = Σ x y, theta = A⁻¹ b.  An outcome changes A by one product, so A⁻¹ is kept by the formula of Sherman and
Morrison in D² steps.  Forgetting multiplies the sums (not the ridge) by a factor once a block of outcomes, as in
discounted LinUCB (Russac et al. 2019, arXiv 1909.09146), after which A⁻¹ is computed anew; so it is always the inverse
of A but for rounding.

Shape suffixes: N prompts, M models, F features of a prompt, D numbers of its context, T = 3 targets.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput, UnknownModel
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers.cheapest import Cheapest
from waypost.routers.parts.added import measured
from waypost.routers.parts.features import features
from waypost.routers.parts.targets import Targets, check_prompts, column_means, prediction, targets
from waypost.types import Encoder, Floats, ModelCard, Prediction, Query

# One lock for all: it is held for microseconds, and a router with a lock of its own could not be copied.
_LOCK = threading.RLock()

_BLOCKS = 20  # a memory is forgotten in so many steps
_ROWS = 256  # prompts looked at at once, so that what is in between stays small
_FRESH = 1000  # outcomes after which inverses are computed anew where nothing is forgotten: rounding adds up
_FARTHEST = 6.0  # no number of a context is beyond: one strange prompt must not outweigh a hundred
_ONE = 5.0  # the number that stands for the intercept: with the usual ridge its prior is worth four outcomes
_PRIOR_VARIANCE, _PRIOR_WEIGHT = 0.25, 10.0  # of an outcome in 0..1, as if seen ten times
_TOLERANCE = 0.25  # the mean error, in standard deviations, that the detector puts up with
_SHOCK = 3.0  # no single error counts for more: one outcome is no change, however sure the router was
_KEPT = 0.05  # what an alarm leaves of an arm's outcomes
# Where there are no prompts to take them from: rough means and deviations of `surface` in common prompts.
_SURFACE_MEAN = np.array([4.5, 2.8, 0.05, 0.02, 0.0, 0.05, 0.7, 0.5])
_SURFACE_DEVIATION = np.array([1.2, 1.2, 0.1, 0.05, 0.2, 0.1, 0.8, 0.5])


class Known(NamedTuple):
    """What the arms expect: quality (N, M), costs (N, 2M), and the standard error of quality (N, M)."""

    quality_NM: Floats
    costs_NK: Floats
    error_NM: Floats


def _none() -> Floats:
    return np.empty(0)


@dataclass
class Arms:
    """The state of all arms; `gram_MDD`, `sums_MDT`, `square_M` and `weight_M` are sums over (discounted) outcomes.

    ``center_MT`` is what is expected before any outcome, ``up_M`` and ``down_M`` are the detector's sums, ``alarms_M``
    its alarms so far; ``seen`` counts outcomes, ``aged`` those since the last block.
    """

    gram_MDD: Floats = field(default_factory=_none, init=False)
    inverse_MDD: Floats = field(default_factory=_none, init=False)
    sums_MDT: Floats = field(default_factory=_none, init=False)
    theta_MDT: Floats = field(default_factory=_none, init=False)
    center_MT: Floats = field(default_factory=_none, init=False)
    square_M: Floats = field(default_factory=_none, init=False)
    weight_M: Floats = field(default_factory=_none, init=False)
    up_M: Floats = field(default_factory=_none, init=False)
    down_M: Floats = field(default_factory=_none, init=False)
    alarms_M: Floats = field(default_factory=_none, init=False)
    seen: int = field(default=0, init=False)
    aged: int = field(default=0, init=False)

    @classmethod
    def fresh(cls, center_MT: Floats, d: int, ridge: float) -> Self:
        """Arms that have seen nothing."""
        m, arms = len(center_MT), cls()
        arms.gram_MDD, arms.inverse_MDD = np.zeros((m, d, d)), np.tile(np.eye(d) / ridge, (m, 1, 1))
        arms.sums_MDT, arms.theta_MDT = np.zeros((m, d, 3)), np.zeros((m, d, 3))
        arms.center_MT = np.array(center_MT)
        arms.square_M, arms.weight_M, arms.up_M, arms.down_M, arms.alarms_M = np.zeros((5, m))
        return arms

    @property
    def sigma_M(self) -> Floats:
        """The standard deviation of one outcome about what is expected: the mean of its posterior, (M,)."""
        rest_M = self.square_M - (self.theta_MDT[:, :, 0] * self.sums_MDT[:, :, 0]).sum(axis=1)
        total_M = _PRIOR_WEIGHT * _PRIOR_VARIANCE + np.maximum(rest_M, 0)
        sigma_M: Floats = np.sqrt(total_M / (_PRIOR_WEIGHT + self.weight_M))
        return sigma_M

    def __call__(self, x_ND: Floats) -> Known:
        """What is expected of every arm."""
        with _LOCK:
            parts = [self._known(x_ND[start : start + _ROWS]) for start in range(0, max(len(x_ND), 1), _ROWS)]
        return Known(*map(np.concatenate, zip(*parts, strict=True)))

    def _known(self, x_ND: Floats) -> Known:
        values_MNT = x_ND @ self.theta_MDT + self.center_MT[:, None]
        leverage_MN = ((x_ND @ self.inverse_MDD) * x_ND).sum(axis=2)
        error_MN = np.sqrt(np.maximum(leverage_MN, 0)) * self.sigma_M[:, None]
        return Known(values_MNT[:, :, 0].T, np.hstack([values_MNT[:, :, 1].T, values_MNT[:, :, 2].T]), error_MN.T)

    def warm(self, x_ND: Floats, table: Targets, ridge: float, memory: int | None) -> None:
        """Take a table into account: each model the rows on which it was measured, as at most ``memory`` outcomes."""
        m, eye_DD = len(table.models), np.eye(x_ND.shape[1])
        for k in range(3 * m):
            arm, target = k % m, k // m
            known_N = ~np.isnan(table.values_NK[:, k])
            weight_N = table.weight_N * known_N
            if memory is not None and (total := weight_N.sum()) > memory:
                weight_N = weight_N * (memory / total)
            y_N = np.where(known_N, table.values_NK[:, k] - self.center_MT[arm, target], 0.0)
            if target == 0:
                self.gram_MDD[arm] = (x_ND * weight_N[:, None]).T @ x_ND
                self.inverse_MDD[arm] = np.linalg.inv(self.gram_MDD[arm] + ridge * eye_DD)
                self.square_M[arm], self.weight_M[arm] = weight_N @ np.square(y_N), weight_N.sum()
                self.sums_MDT[arm, :, 0] = x_ND.T @ (weight_N * y_N)
                continue
            # A cost is known on other rows than the quality; its own heads stand on the quality's A from then on.
            same_N = ~np.isnan(table.values_NK[:, arm])
            gram_DD = self.gram_MDD[arm]
            own_DD = gram_DD if np.array_equal(same_N, known_N) else (x_ND * weight_N[:, None]).T @ x_ND
            theta_D = np.linalg.solve(own_DD + ridge * eye_DD, x_ND.T @ (weight_N * y_N))
            self.sums_MDT[arm, :, target] = gram_DD @ theta_D + ridge * theta_D
        self.theta_MDT = self.inverse_MDD @ self.sums_MDT

    def learn(self, m: int, x_D: Floats, y_T: Floats, *, ridge: float, memory: int | None, alarm: float | None) -> None:
        """One outcome of arm ``m``: (quality, USD, seconds), a cost NaN where it is unknown."""
        with _LOCK:
            self._age(ridge, memory)
            unknown_T = np.isnan(self.center_MT[m])
            self.center_MT[m, unknown_T] = y_T[unknown_T]
            px_D = self.inverse_MDD[m] @ x_D
            leverage = float(x_D @ px_D)
            said_T = x_D @ self.theta_MDT[m]
            # What is unknown says nothing new, so it is taken to be as expected.
            y_T = np.where(np.isnan(y_T), said_T, y_T - self.center_MT[m])
            error_T = np.nan_to_num(y_T - said_T)
            drifted = alarm is not None and self._watch(m, error_T[0] / np.sqrt(1 + leverage), alarm)
            self.gram_MDD[m] += np.outer(x_D, x_D)
            self.inverse_MDD[m] -= np.outer(px_D, px_D) / (1 + leverage)
            self.theta_MDT[m] += np.outer(px_D / (1 + leverage), error_T)
            self.sums_MDT[m] += np.outer(x_D, np.nan_to_num(y_T))
            self.square_M[m] += y_T[0] ** 2
            self.weight_M[m] += 1
            if drifted:
                self._forget(slice(m, m + 1), _KEPT, ridge)

    def _watch(self, m: int, error: float, alarm: float) -> bool:
        """Page's two sums of errors in standard deviations; whether one has passed ``alarm``."""
        z = float(np.clip(error / self.sigma_M[m], -_SHOCK, _SHOCK))
        self.up_M[m] = max(0.0, self.up_M[m] + z - _TOLERANCE)
        self.down_M[m] = max(0.0, self.down_M[m] - z - _TOLERANCE)
        if max(self.up_M[m], self.down_M[m]) <= alarm:
            return False
        self.up_M[m] = self.down_M[m] = 0.0
        self.alarms_M[m] += 1
        return True

    def _age(self, ridge: float, memory: int | None) -> None:
        self.seen += 1
        self.aged += 1
        block = _FRESH if memory is None else max(1, memory // _BLOCKS)
        if self.aged >= block:
            self.aged = 0
            self._forget(slice(None), 1.0 if memory is None else (1 - 1 / memory) ** block, ridge)

    def _forget(self, arms: slice, share: float, ridge: float) -> None:
        """Leave ``share`` of what some arms have seen."""
        for sums in (self.gram_MDD, self.sums_MDT, self.square_M, self.weight_M):
            sums[arms] *= share
        self.inverse_MDD[arms] = np.linalg.inv(self.gram_MDD[arms] + ridge * np.eye(self.gram_MDD.shape[1]))
        self.theta_MDT[arms] = self.inverse_MDD[arms] @ self.sums_MDT[arms]


@dataclass
class Bandit:
    """A router that learns while it serves; how it explores is its own (`explore`, and ``_drawn`` behind it)."""

    when: ClassVar[str] = "before the answer"
    looks_at: ClassVar[str] = "prompt vector, surface, feedback"
    learns: ClassVar[str] = "reinforcement"
    grid: ClassVar[Mapping[str, tuple[object, ...]]] = {"ridge": (10.0, 100.0)}

    width: float = 1.0
    ridge: float = 100.0
    dims: int = 32
    memory: int | None = None
    alarm: float | None = 18.0
    epsilon: float = 0.02
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    map_FD: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)
    shift_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    arms: Arms = field(default_factory=Arms, init=False)

    def __post_init__(self) -> None:
        for name, fits, allowed in (
            ("width", self.width >= 0, "0 or more"),
            ("ridge", self.ridge > 0, "above 0"),
            ("dims", self.dims >= 1, "at least 1"),
            ("memory", self.memory is None or self.memory >= 2, "at least 2 outcomes, or None to forget nothing"),
            ("alarm", self.alarm is None or self.alarm > 0, "above 0, or None for no detector"),
            ("epsilon", 0 <= self.epsilon <= 1, "from 0 to 1"),
        ):
            if not fits:
                raise ValueError(f"{name} must be {allowed}, got {getattr(self, name)}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Start warm: the context is fixed by the table's prompts, and every cell is an outcome already seen."""
        table = targets(outcomes)
        m = len(table.models)
        features_NF = features(self.encoder, table.prompts)
        self.map_FD, self.shift_D = _components(features_NF, table.weight_N, self.encoder.dim, self.dims)
        center_MT = column_means(table.values_NK, table.weight_N).reshape(3, m).T
        # A model that was never scored is expected to be like the others, and very doubtful.
        center_MT[np.isnan(center_MT[:, 0]), 0] = np.nanmean(center_MT[:, 0])
        arms = Arms.fresh(center_MT, self.map_FD.shape[1], self.ridge)
        arms.warm(self._context(features_NF), table, self.ridge, self.memory)
        self.models, self.trained_on, self.arms = table.models, outcomes.fingerprint, arms
        return self

    @classmethod
    def from_cards(cls, cards: Mapping[str, ModelCard], **settings: object) -> Self:
        """Start cold: no outcome yet, every quality expected to be 0.5, USD as the cards' prices say.

        Without prompts to fit a projection on, it is random: 32 directions at right angles, drawn by the seed.
        """
        router = cls(**settings)  # type: ignore[arg-type]
        f, dim = router.encoder.dim + len(_SURFACE_MEAN), router.encoder.dim
        d = min(router.dims, dim)
        directions_Fd = np.linalg.qr(np.random.default_rng(router.seed).normal(size=(dim, d)))[0]
        router.map_FD, router.shift_D = _affine(
            np.zeros(f), directions_Fd * np.sqrt(dim), _SURFACE_MEAN, _SURFACE_DEVIATION
        )
        usd_M = Cheapest.from_cards(cards).costs_K[: len(cards)]
        center_MT = np.column_stack([np.full(len(cards), 0.5), usd_M, np.full(len(cards), np.nan)])
        router.models = tuple(cards)
        router.arms = Arms.fresh(center_MT, router.map_FD.shape[1], router.ridge)
        return router

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What is expected, without exploring."""
        known = self.arms(self.context(prompts))
        return prediction(self.models, np.hstack(known[:2]), known.error_NM)

    def explore(self, prompts: Sequence[str], rng: np.random.Generator | int = 0) -> Prediction:
        """One draw of what to believe for the sake of learning; its quality may lie outside 0..1."""
        hoped, known = self._hoped(prompts)
        return hoped._replace(quality_NM=self._drawn(known, np.random.default_rng(rng), 1)[0])

    def propensities(
        self,
        prompts: Sequence[str],
        objective: Objective,
        cards: Mapping[str, ModelCard],
        rng: np.random.Generator | int = 0,
        query: Query | None = None,
    ) -> Floats:
        """The probability with which each model is to be chosen, (N, M): draw from it, and log it.

        A share of ``epsilon`` goes to all models that the objective leaves, the rest to the best of each draw.  What
        the objective demands (its constraints, ``min_quality`` of the expected quality) holds while exploring.
        """
        hoped, known = self._hoped(prompts)
        left_NM = np.isfinite(objective.ranked(hoped, cards, query).score_NM)
        drawn_SNM = self._drawn(known, np.random.default_rng(rng), self._draws)
        s, n, m = drawn_SNM.shape
        drawn_RM = np.where(left_NM, drawn_SNM, np.nan).reshape(s * n, m)
        each = Prediction(self.models, drawn_RM, *(np.tile(array_NM, (s, 1)) for array_NM in hoped[2:]))
        best_SN = replace(objective, min_quality=0.0).ranked(each, cards, query).order_NM[:, 0].reshape(s, n)
        share_NM = (best_SN[:, :, None] == np.arange(m)).mean(axis=0)
        chance_NM: Floats = (1 - self.epsilon) * share_NM + self.epsilon * left_NM / left_NM.sum(axis=1, keepdims=True)
        return chance_NM

    def context(self, prompts: Sequence[str]) -> Floats:
        """The numbers (N, D) that an outcome is learnt from: all that has to be kept of a prompt until then."""
        check_prompts(self.models, prompts)
        return self._context(features(self.encoder, prompts))

    def learn(
        self, context: Sequence[float] | Floats, model: str, quality: float, propensity: float = 1.0,
        usd: float | None = None, seconds: float | None = None,
    ) -> None:  # fmt: skip
        """An outcome, late or not; thread-safe.

        Each model's regression is on its own outcomes given the prompt, so ``propensity`` changes nothing here; it is
        only checked, since a log with a wrong one is worth nothing.

        Raises:
            UnknownModel: not one of the router's.
            BadInput: a number out of range.
        """
        if model not in self.models:
            raise UnknownModel(model, self.models)
        x_D = np.asarray(context, dtype=np.float64)
        if x_D.shape != self.shift_D.shape or not np.isfinite(x_D).all():
            raise BadInput(f"a context has {len(self.shift_D)} finite numbers, got {x_D.shape}; use this router's own")
        y_T = np.array([quality, *(np.nan if cost is None else cost for cost in (usd, seconds))], dtype=np.float64)
        if not (0 <= y_T[0] <= 1 and 0 < propensity <= 1) or (y_T[1:] < 0).any() or np.isinf(y_T).any():
            raise BadInput(
                f"quality must be 0..1, a propensity above 0 and at most 1, costs finite and not negative; got "
                f"quality {quality}, propensity {propensity}, usd {usd}, seconds {seconds}"
            )
        settings = {"ridge": self.ridge, "memory": self.memory, "alarm": self.alarm}
        self.arms.learn(self.models.index(model), x_D, y_T, **settings)  # type: ignore[arg-type]

    def update(
        self, prompt: str, model: str, quality: float, propensity: float = 1.0,
        usd: float | None = None, seconds: float | None = None,
    ) -> None:  # fmt: skip
        """`learn` from a prompt's own text."""
        self.learn(self.context([prompt])[0], model, quality, propensity, usd, seconds)

    def snapshot(self) -> Self:
        """A router that stays as this one is now, to be saved while others go on telling."""
        with _LOCK:
            still = copy(self)
            still.arms = deepcopy(self.arms)
        return still

    def _hoped(self, prompts: Sequence[str]) -> tuple[Prediction, Known]:
        """What is expected, but a cost that no outcome has told yet is hoped to be as low as the lowest known.

        With a weight on costs an unknown one would keep a model from ever being asked, and so from becoming known.
        """
        known = self.arms(self.context(prompts))
        expected = prediction(self.models, np.hstack(known[:2]), known.error_NM)
        usd_NM, seconds_NM = (
            np.where(np.isnan(cost_NM), np.fmin.reduce(cost_NM, axis=1, keepdims=True), cost_NM)
            for cost_NM in (expected.usd_NM, expected.seconds_NM)
        )
        return expected._replace(usd_NM=usd_NM, seconds_NM=seconds_NM), known

    def with_model(self, card: ModelCard, outcomes: Outcomes) -> Self:
        """A new router that also knows ``card.name``, warm from its rows in a table; the others stay as they are.

        Raises:
            BadInput: the model is known already, or the table has no outcomes of it.
        """
        check_prompts(self.models, ())
        rows, new = measured(card, outcomes, self.models), self.snapshot()
        arm = Arms.fresh(column_means(rows.values_A3, rows.weight_A)[None], len(self.shift_D), self.ridge)
        table = Targets((card.name,), rows.prompts, ("",) * len(rows.prompts), rows.values_A3, rows.weight_A)
        arm.warm(self.context(rows.prompts), table, self.ridge, self.memory)
        for name, values in vars(arm).items():
            if isinstance(values, np.ndarray):
                setattr(new.arms, name, np.concatenate([getattr(new.arms, name), values]))
        new.models = (*self.models, card.name)
        return new

    @property
    def _draws(self) -> int:
        return 1

    def _drawn(self, known: Known, rng: np.random.Generator, draws: int) -> Floats:
        """Qualities to believe, (S, N, M)."""
        raise NotImplementedError

    def _context(self, features_NF: Floats) -> Floats:
        return np.clip(features_NF @ self.map_FD + self.shift_D, -_FARTHEST, _FARTHEST)


def _components(features_NF: Floats, weight_N: Floats, dim: int, dims: int) -> tuple[Floats, Floats]:
    """The affine map to a context whose first numbers are the vector's principal components."""
    mean_F = np.average(features_NF, axis=0, weights=weight_N)
    vectors_NF = features_NF[:, :dim] - mean_F[:dim]
    variance_F, directions_FF = np.linalg.eigh((vectors_NF * weight_N[:, None]).T @ vectors_NF / weight_N.sum())
    # The last are the largest.  One scale for all, so that what varies little still counts for little.
    kept = slice(max(0, dim - dims), None)
    scale = np.sqrt(max(float(variance_F[kept].mean()), 1e-12))
    deviation_F = np.sqrt(np.average(np.square(features_NF[:, dim:] - mean_F[dim:]), axis=0, weights=weight_N))
    return _affine(mean_F, directions_FF[:, kept] / scale, mean_F[dim:], np.where(deviation_F > 0, deviation_F, 1.0))


def _affine(
    mean_F: Floats, vectors_Ed: Floats, surface_mean: Floats, surface_deviation: Floats
) -> tuple[Floats, Floats]:
    """Map and shift of: components of the vector less its mean, the surface in deviations, and a constant."""
    (dim, d), s = vectors_Ed.shape, len(surface_mean)
    map_FD = np.zeros((dim + s, d + s + 1))
    map_FD[:dim, :d] = vectors_Ed
    map_FD[np.arange(dim, dim + s), np.arange(d, d + s)] = 1 / surface_deviation
    shift_D = np.concatenate([-mean_F[:dim] @ vectors_Ed, -surface_mean / surface_deviation, [_ONE]])
    return map_FD, shift_D
