"""What a gateway's log says of a router that only watched, and of one that was tried on a share of the traffic.

Shape suffixes: N requests, B resamples.  Requests of one conversation are alike, so they are drawn together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from waypost.errors import BadInput
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.types import Floats

# What the log has to tell, by the columns of the store; ``quality`` is the mean of a decision's feedback.
COLUMNS = ("session", "status", "usd", "seconds", "shadow", "canary")
ARMS = ("canary", "stable")
_GONE = 499  # the client left: nobody's error
_FEW = 10  # conversations, below which drawing them again says nothing of others
_POWER = 1.96 + 0.84  # standard errors between zero and a difference that is found four times of five

Row = Mapping[str, Any]


class Figure(NamedTuple):
    """An estimate and its 95 % interval, which is NaN where there are too few conversations for one."""

    value: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        """The value, and the interval where there is one.

        >>> f"{Figure(0.5, 0.25, 0.75):.2f}"
        '0.50 (0.25 to 0.75)'
        """
        value = format(self.value, form)
        if math.isnan(self.low):
            return value
        return f"{value} ({format(self.low, form)} to {format(self.high, form)})"


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of requests while a router watched, and what it would have made of them.

    ``usd`` is what was paid, ``router_usd`` what the router's choices would have cost at the same tokens, both over
    the ``priced`` requests of which both are known; ``saved`` and ``percent`` are the difference.  ``quality`` and
    ``router_quality`` are what the router expects of the models that served and of its own, 0..1, and ``gain`` the
    difference.  ``shares`` is how often the router would have chosen each model.
    """

    requests: int
    conversations: int
    priced: int
    usd: float
    router_usd: float
    saved: Figure
    percent: Figure
    quality: float
    router_quality: float
    gain: Figure
    shares: Mapping[str, float]

    @property
    def unpriced(self) -> int:
        """Requests of which a cost is not known."""
        return self.requests - self.priced

    def row(self) -> dict[str, Any]:
        """The same as one JSON object; an interval is a list of two numbers."""
        row: dict[str, Any] = {"requests": self.requests, "conversations": self.conversations, "priced": self.priced}
        row |= {"usd": self.usd, "router_usd": self.router_usd}
        row |= _told("saved_usd", self.saved) | _told("saved_percent", self.percent)
        row |= {"quality": self.quality, "router_quality": self.router_quality} | _told("gain", self.gain)
        return row | {"shares": dict(self.shares), "warning": self.warning}

    def sides(self) -> Iterator[dict[str, Any]]:
        """What is now beside what would be."""
        yield {"who decides": "nobody: the incumbent", "usd": self.usd, "expected quality": self.quality}
        yield {"who decides": "the router", "usd": self.router_usd, "expected quality": self.router_quality}

    @property
    def warning(self) -> str | None:
        """That the expected quality would fall, or may."""
        if not (self.gain.value < 0 or self.gain.low < 0):
            return None
        sure = "would" if self.gain.high < 0 else "may"
        return f"the expected quality {sure} fall: {self.gain:+.3f}"

    def says(self) -> Iterator[str]:
        """The same in sentences, first whether to turn it on."""
        verb = "save" if self.saved.value >= 0 else "spend"
        yield (
            f"Turn it on and you {verb} ${abs(self.saved.value):.4g} of ${self.usd:.4g}: {self.percent:.1f} % "
            f"on {self.priced} requests of {self.conversations} conversations."
            if self.priced
            else "What it would save is not known: no request has a known price on both sides."
        )
        yield f"Warning: {self.warning}." if self.warning else f"The expected quality would change by {self.gain:+.3f}."
        if self.unpriced:
            yield f"{self.unpriced} of {self.requests} requests have no known price, and count for quality only."
        if self.conversations < _FEW:
            yield f"There are no intervals of {self.conversations} conversations; wait for at least {_FEW}."


@dataclass(frozen=True, slots=True)
class Arm:
    """What became of one arm's requests: means of USD over those that were answered, of quality where it was told."""

    name: str
    requests: int
    errors: int
    usd: float
    seconds_p50: float
    seconds_p95: float
    feedback: int
    quality: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Canary minus stable in one measure; ``more`` are the requests that it would roughly take to tell them apart.

    ``more`` is 0 where they can be told apart, and None where nobody can say.
    """

    measure: str
    figure: Figure
    more: int | None

    def says(self) -> str:
        """The same as a sentence."""
        if math.isnan(self.figure.value):
            return f"{self.measure}: not known of both arms yet."
        shown = f"{self.measure}: {self.figure:+.4g}"
        if self.more == 0:
            return f"{shown}: the canary's is {'higher' if self.figure.value > 0 else 'lower'}."
        if self.more is None:
            return f"{shown}: cannot be told apart yet."
        wanted = "answers with feedback" if self.measure == "quality" else "requests"
        return f"{shown}: cannot be told apart yet; if it stays so, about {self.more} more {wanted} would."


@dataclass(frozen=True, slots=True)
class Trial:
    """Two arms side by side."""

    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]

    def row(self) -> dict[str, Any]:
        """The same as one JSON object; an interval is a list of two numbers."""
        apart = {each.measure: _told("value", each.figure) | {"more": each.more} for each in self.differences}
        return {**{arm.name: asdict(arm) for arm in self.arms}, "difference": apart}


def watched(rows: Iterable[Row], resamples: int = 2000) -> Watched:
    """What a router in the shadow would have saved on the requests that were answered.

    Raises:
        BadInput: no answered request was watched.

    >>> shadow = {"model": "small", "quality": 0.8, "incumbent_quality": 0.9, "usd": 0.001}
    >>> seen = watched([{"session": "s", "status": 200, "usd": 0.01, "shadow": shadow}] * 2)
    >>> round(seen.saved.value, 3), round(seen.percent.value), round(seen.gain.value, 3), seen.shares
    (0.018, 90, -0.1, {'small': 1.0})
    """
    seen = [row for row in rows if row["shadow"] is not None and row["status"] == 200]
    if not seen:
        raise BadInput("no request was watched and answered in that time; say `shadow: {incumbent: ...}` in the config")
    clusters_N = _clusters(seen)
    told = [row["shadow"] for row in seen]
    cost_N2 = np.array([[_number(row["usd"]), _number(row["shadow"]["usd"])] for row in seen])
    cost_N2[np.isnan(cost_N2).any(axis=1)] = np.nan
    good_N2 = np.array([[_number(each["incumbent_quality"]), _number(each["quality"])] for each in told])
    both_N2 = np.where(np.isnan(good_N2).any(axis=1, keepdims=True), np.nan, good_N2)
    priced = int((~np.isnan(cost_N2[:, 0])).sum())
    means_B4 = _resampled(np.hstack([cost_N2, both_N2]), clusters_N, resamples)
    usd, router_usd = np.nansum(cost_N2, axis=0).tolist()
    quality, router_quality = (_mean(column_N) for column_N in both_N2.T)
    chosen = Counter(each["model"] for each in told)
    return Watched(
        requests=len(seen),
        conversations=int(clusters_N.max()) + 1,
        priced=priced,
        usd=usd,
        router_usd=router_usd,
        saved=_figure(usd - router_usd, (means_B4[:, 0] - means_B4[:, 1]) * priced),
        percent=_figure(_percent(usd, router_usd), _percent(means_B4[:, 0], means_B4[:, 1])),
        quality=quality,
        router_quality=router_quality,
        gain=_figure(router_quality - quality, means_B4[:, 3] - means_B4[:, 2]),
        shares={model: count / len(seen) for model, count in chosen.most_common()},
    )


def tried(rows: Iterable[Row], resamples: int = 2000) -> Trial:
    """The canary's arm beside the other.

    Errors and feedback lie between known bounds: their intervals are those of each arm with two made-up answers more,
    one at each bound (Agresti and Caffo, Simple and effective confidence intervals for proportions, 2000), so that few
    requests that all went well are no certainty.

    Raises:
        BadInput: an arm has had no request.
    """
    by_arm: dict[str, list[Row]] = {name: [] for name in ARMS}
    for row in rows:
        if row["canary"] in by_arm:
            by_arm[row["canary"]].append(row)
    empty = [name for name in ARMS if not by_arm[name]]
    if empty:
        raise BadInput(
            f"no request was decided by the arm {' nor by '.join(empty)} in that time; say `canary: {{router: ..., "
            "share: ...}` in the config"
        )
    measured = {name: _measures(by_arm[name]) for name in ARMS}
    drawn = {
        name: [
            _resampled(*_bounded(column_N, _clusters(by_arm[name]), measure), resamples, seed=number)
            for measure, column_N in measured[name].items()
        ]
        for number, name in enumerate(ARMS)
    }
    differences = []
    for number, measure in enumerate(measured["canary"]):
        canary_N, stable_N = (measured[name][measure] for name in ARMS)
        apart_B = _apart(drawn["canary"][number][:, 0], drawn["stable"][number][:, 0])
        found = _figure(float(_apart(_mean(canary_N), _mean(stable_N))), apart_B)
        known = int((~np.isnan(canary_N)).sum() + (~np.isnan(stable_N)).sum())
        differences.append(Difference(measure, found, _more(found, float(np.std(apart_B)), known)))
    return Trial(tuple(_arm(name, by_arm[name], measured[name]) for name in ARMS), tuple(differences))


def _measures(rows: Sequence[Row]) -> dict[str, Floats]:
    """By measure, what each request says of it, NaN where nothing."""
    failed_N = np.array([float(row["status"] not in (200, _GONE)) for row in rows])
    ok_N = np.array([row["status"] == 200 for row in rows])
    return {
        "errors": failed_N,
        # A failure costs little, which is no merit.
        "usd": np.where(ok_N, [_number(row["usd"]) for row in rows], np.nan),
        "seconds": np.where(ok_N, [_number(row["seconds"]) for row in rows], np.nan),
        "quality": np.array([_number(row.get("quality")) for row in rows]),
    }


def _arm(name: str, rows: Sequence[Row], measured: Mapping[str, Floats]) -> Arm:
    seconds_N = measured["seconds"][~np.isnan(measured["seconds"])]
    p50, p95 = np.quantile(seconds_N, (0.5, 0.95)).tolist() if len(seconds_N) else (math.nan, math.nan)
    return Arm(
        name=name,
        requests=len(rows),
        errors=int(measured["errors"].sum()),
        usd=_mean(measured["usd"]),
        seconds_p50=p50,
        seconds_p95=p95,
        feedback=int((~np.isnan(measured["quality"])).sum()),
        quality=_mean(measured["quality"]),
    )


def _bounded(values_N: Floats, clusters_N: NDArray[np.intp], measure: str) -> tuple[Floats, NDArray[np.intp]]:
    """The column with its clusters, and where values have bounds with a made-up one at each, by itself."""
    if measure not in ("errors", "quality") or np.isnan(values_N).all():
        return values_N[:, None], clusters_N
    next_one = clusters_N.max() + 1
    return np.append(values_N, [0.0, 1.0])[:, None], np.append(clusters_N, [next_one, next_one + 1])


def _apart(canary: ArrayLike, stable: ArrayLike) -> Floats:
    """The differences; what only rounding tells apart is none."""
    return np.where(np.isclose(canary, stable, rtol=1e-9, atol=0), 0.0, np.subtract(canary, stable))


def _more(found: Figure, error: float, known: int) -> int | None:
    """How many more requests would tell a difference of this size from none, at a power of 80 %."""
    if math.isnan(found.low) or found.value == 0:
        return None
    if not found.low <= 0 <= found.high:
        return 0
    return max(1, math.ceil(known * ((_POWER * error / abs(found.value)) ** 2 - 1)))


def _resampled(values_NK: Floats, clusters_N: NDArray[np.intp], resamples: int, seed: int = 0) -> Floats:
    """The means of resamples, (B, K); NaN where there are too few conversations."""
    known_NK = ~np.isnan(values_NK)
    means_BK = resample(values_NK, clusters_N=clusters_N, resamples=resamples, seed=seed)
    few_K = np.array([len(np.unique(clusters_N[known_N])) < _FEW for known_N in known_NK.T])
    means_BK[:, few_K] = np.nan
    return means_BK


def _clusters(rows: Sequence[Row]) -> NDArray[np.intp]:
    """The number of each request's conversation; one without is alone."""
    numbers: dict[Any, int] = {}
    names = (row["session"] if row["session"] is not None else (place,) for place, row in enumerate(rows))
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)


def _figure(value: float, drawn_B: Floats) -> Figure:
    low, high = percentiles(drawn_B[:, None])[0].tolist()
    return Figure(float(value), low, high)


def _percent(usd: Any, router_usd: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * (1 - np.divide(router_usd, usd))


def _told(name: str, figure: Figure) -> dict[str, Any]:
    return {name: figure.value, f"{name}_ci95": [figure.low, figure.high]}


def _mean(values_N: Floats) -> float:
    known_N = values_N[~np.isnan(values_N)]
    return float(known_N.mean()) if len(known_N) else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
