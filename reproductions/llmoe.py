"""LLMoE: a language model names the regime, and each regime has its own small expert.

Claim: Labels that a language model gives to a window of prices and its description choose among experts better than no
labels: the experts trained by label earn more.

Paper: Liu and Lo 2025, arXiv 2501.09636.  Two shares, one period: total return 65.44 % (Sharpe ratio 2.14) for MSFT and
31.43 % (1.17) for AAPL, above other models; no costs of trading, no interval and no shuffled labels in what we read.

Tested: The pattern alone, on the daily prices of one share that matplotlib ships (1,047 days). At each close
SmolLM2-135M reads in words how the last five days went, without name or date, and says optimistic or pessimistic
(relative to how likely each word was until then). A ridge regression per label predicts the next day's return from the
last five returns, volatility and volume; it is fitted on earlier days only, again every 50 days, and the share is held
on the days for which it predicts a gain (all in or all out). A change of position costs 0.05 %. The control is 200
shuffles of the labels over the days, each with experts of its own. The claim holds if the interval of the mean daily
return by labels less that by shuffled labels (blocks of ten days resampled) lies above zero, and does not if it lies
below. The engine is checked on cases with known answers before anything is measured: what is held always, never, with
foresight or in turns; positions that do not change when later prices do; and an effect planted by label must be found,
with the same control.

Not tested: Headlines, hosted language models, networks as experts, and any other share: one series of four years says
little about a claim of this kind, and nothing here is advice to trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from claims import Finding, Options, run
from numpy.typing import NDArray

from waypost.encoders.language_model import LanguageModel
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.types import Floats

WINDOW = 5
USUAL = 20  # days by which volatility and volume are told
FIRST = 300  # days before the first prediction
AGAIN = 50  # days between fits
PENALTY = 10.0
COST = 0.0005
BLOCK = 10
LABELS = ("optimistic", "pessimistic")
QUESTION = "Say whether the next day of this share looks optimistic or pessimistic."
SHOTS = (
    ("It rose, rose, was flat, rose, rose. Volume is high.", "optimistic"),
    ("It fell, fell, rose, fell, fell. Volume is high.", "pessimistic"),
    ("It was flat, rose, fell, rose, rose. Volume is low.", "optimistic"),
    ("It fell, was flat, fell, rose, fell. Volume is low.", "pessimistic"),
)


@dataclass(frozen=True)
class Days:
    """What is known at each close (features and a text), and the return from it to the next."""

    features_TF: Floats
    texts: Sequence[str]
    next_T: Floats


def days(close_T: Floats, volume_T: Floats) -> Days:
    """Every day with a full window behind it and a day after it."""
    return_T = np.append(0.0, np.diff(np.log(close_T)))
    rows, texts = [], []
    places = range(USUAL, len(close_T) - 1)
    for t in places:
        last = return_T[t - WINDOW + 1 : t + 1]
        usual = return_T[t - USUAL + 1 : t + 1].std()
        busy = np.log(volume_T[t] / volume_T[t - USUAL + 1 : t + 1].mean())
        rows.append([*last, usual, busy])
        moves = ", ".join(_move(step, usual) for step in last)
        texts.append(f"It {moves}. Volume is {'high' if busy > 0 else 'low'}.")
    return Days(np.array(rows), texts, return_T[USUAL + 1 :])


def _move(step: float, usual: float) -> str:
    if abs(step) < 0.25 * usual:
        return "was flat"
    return "rose" if step > 0 else "fell"


def labelled(texts: Sequence[str]) -> NDArray[np.intp]:
    """The label of each day, relative to how likely each word was until then."""
    chance_TL = LanguageModel(QUESTION, LABELS, SHOTS).probabilities(texts)
    usual_TL = chance_TL.cumsum(axis=0) / np.arange(1, len(texts) + 1)[:, None]
    return np.asarray((chance_TL / usual_TL).argmax(axis=1))


def positions(features_TF: Floats, next_T: Floats, label_T: NDArray[np.intp], first: int) -> Floats:
    """1 where the expert of the day's label predicts a gain, else 0, from day ``first`` on.

    An expert knows the days of its label whose next day is over: before the close of day t that is day t - 1.
    """
    held_T = np.zeros(len(next_T))
    for start in range(first, len(next_T), AGAIN):
        now = slice(start, min(start + AGAIN, len(next_T)))
        mean_F, scale_F = features_TF[:start].mean(axis=0), features_TF[:start].std(axis=0) + 1e-12
        x_TF = np.column_stack([np.ones(now.stop), (features_TF[: now.stop] - mean_F) / scale_F])
        for label in range(len(LABELS)):
            known = np.flatnonzero(label_T[:start] == label)
            x_nF = x_TF[known]
            penalty_FF = PENALTY * np.diag([0.0, *np.ones(len(mean_F))]) + 1e-9 * np.eye(len(mean_F) + 1)
            head_F = np.linalg.solve(x_nF.T @ x_nF + penalty_FF, x_nF.T @ next_T[known])
            mine = np.flatnonzero(label_T[now] == label) + start
            held_T[mine] = x_TF[mine] @ head_F > 0
    return held_T[first:]


def earned(held_T: Floats, next_T: Floats, cost: float = COST) -> Floats:
    """Log return of each day: the share's where it is held, less what changing the position costs."""
    return held_T * next_T - cost * np.abs(np.diff(held_T, prepend=0.0))


def drawdown(earned_T: Floats) -> float:
    """The largest loss from a high, as a part of it."""
    wealth_T = np.exp(np.append(0.0, earned_T.cumsum()))
    return float((1 - wealth_T / np.maximum.accumulate(wealth_T)).max())


def compared(found: Days, label_T: NDArray[np.intp], shuffles: int, first: int) -> tuple[Floats, Floats, Floats]:
    """Daily returns by label, by the mean shuffle, and each shuffle's mean daily return."""
    rng = np.random.default_rng(0)
    next_T = found.next_T[first:]
    by_label_T = earned(positions(found.features_TF, found.next_T, label_T, first), next_T)
    by_shuffle_ST = np.array([
        earned(positions(found.features_TF, found.next_T, rng.permutation(label_T), first), next_T)
        for _ in range(shuffles)
    ])  # fmt: skip
    return by_label_T, by_shuffle_ST.mean(axis=0), by_shuffle_ST.mean(axis=1)


def interval(lead_T: Floats) -> list[float]:
    """95 % of the mean, blocks of days resampled."""
    means_BK = resample(lead_T[:, None], clusters_N=np.arange(len(lead_T)) // BLOCK, resamples=2000, seed=0)
    return [float(bound) for bound in percentiles(means_BK)[0]]


def check(found: Days, label_T: NDArray[np.intp], first: int) -> float:
    """Refuse to measure with an engine that is wrong; the lead that a planted effect shows.

    Raises:
        AssertionError: a case with a known answer has another.
    """
    return_T = np.array([0.1, -0.2, 0.05])
    always, never = np.ones(3), np.zeros(3)
    _require(np.isclose(earned(always, return_T, 0.01).sum(), -0.05 - 0.01), "what is held always pays once")
    _require(earned(never, return_T, 0.01).sum() == 0, "what is never held earns nothing")
    _require(np.isclose(earned(return_T > 0, return_T, 0.0).sum(), 0.15), "foresight earns every gain and no loss")
    _require(np.isclose(earned(np.array([1.0, 0, 1]), 0 * return_T, 0.01).sum(), -0.03), "each change costs")
    _require(np.isclose(drawdown(np.log([1.1, 0.5, 1.2])), 0.5), "half of a high that is lost is a drawdown of a half")
    # Nothing that comes later may matter: other prices after a day leave all positions until then as they are.
    later = first + 120
    changed_T = found.next_T.copy()
    changed_T[later:] = -changed_T[later:]
    features_TF = found.features_TF.copy()
    features_TF[later + 1 :] = 0
    before, after = (
        positions(features, nexts, label_T, first)[: later - first + 1]
        for features, nexts in ((found.features_TF, found.next_T), (features_TF, changed_T))
    )
    _require(np.array_equal(before, after), "a position depends on later prices")
    planted = Days(found.features_TF, found.texts, found.next_T + np.where(label_T == 0, 0.005, -0.005))
    by_label_T, by_shuffle_T, _ = compared(planted, label_T, 20, first)
    _require(interval(by_label_T - by_shuffle_T)[0] > 0.0005, "half a percent a day by label is not found")
    return float((by_label_T - by_shuffle_T).mean())


def _require(kept: object, broken: str) -> None:
    if not kept:
        raise AssertionError(broken)


def measure(options: Options) -> Finding:
    """Labels against shuffled labels."""
    prices = _prices()
    close_T, volume_T = prices["adj_close"], prices["volume"].astype(np.float64)
    if options.quick:
        close_T, volume_T = close_T[:560], volume_T[:560]
    found = days(close_T, volume_T)
    label_T = labelled(found.texts)
    planted = check(found, label_T, FIRST)
    by_label_T, by_shuffle_T, shuffle_S = compared(found, label_T, 50 if options.quick else 200, FIRST)
    week_T = (found.features_TF[:, :WINDOW].sum(axis=1) < 0).astype(np.intp)
    next_T = found.next_T[FIRST:]
    others = {
        "held always": earned(np.ones(len(next_T)), next_T),
        "one expert": earned(positions(found.features_TF, found.next_T, 0 * label_T, FIRST), next_T),
        "label by the sign of the week": earned(positions(found.features_TF, found.next_T, week_T, FIRST), next_T),
        "shuffled labels": by_shuffle_T,
    }
    lead_T = by_label_T - by_shuffle_T
    low, high = interval(lead_T)
    as_good = float((shuffle_S >= by_label_T.mean()).mean())
    measured = {
        "lead over shuffled labels, % a day": round(100 * float(lead_T.mean()), 4),
        "mean return, % a day": round(100 * float(by_label_T.mean()), 4),
        "drawdown": round(drawdown(by_label_T), 3),
        "shuffles that did as well": round(as_good, 3),
        "days labelled optimistic": round(float((label_T == 0).mean()), 3),
        "lead where half a percent a day was planted, % a day": round(100 * planted, 4),
        "days": len(next_T),
    }
    holds = True if low > 0 else False if high < 0 else None
    verdict = {True: "do better than", False: "do worse than", None: "cannot be told from"}[holds]
    lead, bounds = f"{100 * lead_T.mean():+.3f} % a day", f"{100 * low:+.3f} to {100 * high:+.3f}"
    note = (
        f"Over {len(next_T)} days that no expert had seen, labels {verdict} shuffled labels: {lead} ({bounds}); "
        f"{as_good:.0%} of the shuffles did as well. An effect of half a percent a day, planted by label, is found."
    )
    ci95 = {"lead over shuffled labels, % a day": [round(100 * low, 4), round(100 * high, 4)]}
    baselines = {f"{name}, % a day": round(100 * float(each_T.mean()), 4) for name, each_T in others.items()}
    return Finding(measured, holds, note, baselines, ci95, [0])


def _prices() -> Any:
    """Daily prices and volumes of a share, 2004 to 2008, which matplotlib ships for its examples."""
    from matplotlib import cbook

    return cbook.get_sample_data("goog.npz")["price_data"]


if __name__ == "__main__":
    run(__doc__, measure, system="LLMoE: labels that choose experts", routers=("label",))
