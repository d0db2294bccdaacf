"""The findings in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from waypost.evaluation.compare import Comparison, Line
from waypost.evaluation.report import human
from waypost.evaluation.report.findings import Findings, Tested


def best(found: Comparison, weights: Mapping[str, float]) -> Line:
    """The asked line of the highest quality less what its money and time weigh; of equals the cheaper one.

    A line of which a weighed cost is unknown stands behind all whose costs are known.
    """

    def worth(line: Line) -> tuple[bool, float, float]:
        costs = [weights[name] * cost for name, cost in _weighed(line, weights).items() if not math.isnan(cost)]
        value = weights.get("quality", 1.0) * line.quality - sum(costs)
        return not _unknown(line, weights), round(value, 9), -line.usd if line.usd >= 0 else -math.inf

    asked = [line for line in found.lines if line.kind == "asked"]
    return max((line for line in asked if line.n), key=worth, default=asked[0])


def _weighed(line: Line, weights: Mapping[str, float]) -> dict[str, float]:
    """The mean costs of a line that have a weight."""
    return {name: cost for name, cost in (("usd", line.usd), ("seconds", line.seconds)) if weights.get(name)}


def _unknown(line: Line, weights: Mapping[str, float]) -> bool:
    return any(math.isnan(cost) for cost in _weighed(line, weights).values())


def sentences(findings: Findings) -> dict[str, list[str]]:
    """What there is to say of each test."""
    return {tested.part.name: list(_of(tested, findings)) for tested in findings.tests}


def _of(tested: Tested, findings: Findings) -> Iterator[str]:
    yield _headline(tested, findings)
    line = best(tested.found, findings.weights)
    yield from _worth(tested, line)
    yield from _zero(tested, line)
    yield _verdicts(tested)
    yield from _leaks(tested, findings)
    yield from _gaps(tested, findings)


def _headline(tested: Tested, findings: Findings) -> str:
    line = best(tested.found, findings.weights)
    single = tested.found.line(tested.found.best_single, "model")
    what = {
        "beats": f"beats the best single model, {single.name}",
        "matches": f"cannot be told from the best single model, {single.name}",
        "loses": f"is worse than the best single model, {single.name}",
        "not measured": f"shares no question with the best single model, {single.name}",
    }[line.verdict]
    plain = set(findings.weights) == {"quality"} and findings.budget is None
    known = "does best in quality" if _unknown(line, findings.weights) else "does best at this trade-off"
    does = "is best" if plain else known
    ties = [o.name for o in tested.asked if o is not line and o.n and abs(o.quality - line.quality) < 1e-9]
    also = f" ({human.listed(ties)} as good in quality)" if ties else ""
    cost = ""
    if line.usd >= 0 and single.usd > 0:
        price = human.usd(1000 * line.usd)
        cost = f" It costs {price} per 1,000 questions, {_share_of(line.usd / single.usd)} that model's cost."
    gain = f"{human.points(line.gain)} points (95 %: {human.span(line.gain_ci95, signed=True)})"
    return (
        f"{line.name}{also} {does} and {what}: quality {human.percent(line.quality)} against "
        f"{human.percent(single.quality)}, {gain}; "
        f"probability of beating it {human.chance(line.p_beats)}.{cost}"
    )


def _worth(tested: Tested, line: Line) -> Iterator[str]:
    """What the line is worth by the trade-off itself, which its quality alone does not say."""
    worth = next((worth for worth in tested.worths if worth.name == line.name), None)
    if worth is None or tested.worthiest is None:
        return
    low, high = worth.gain_ci95
    what = "is worth more than" if low > 0 else "is worth less than" if high < 0 else "cannot be told from"
    yield (
        f"With its costs taken off as asked it {what} {tested.worthiest}, the best single model by that "
        f"measure: {human.points(worth.gain)} points (95 %: {human.span(worth.gain_ci95, signed=True)})."
    )


def _share_of(ratio: float) -> str:
    return f"{100 * ratio:.0f} % of" if ratio < 2 else f"{ratio:.3g} times"


def _zero(tested: Tested, line: Line) -> Iterator[str]:
    if math.isnan(line.zero_gain):
        return
    low, high = line.zero_gain_ci95
    where = "above" if low > 0 else "below" if high < 0 else "not to be told from"
    yield (
        f"It is {where} the zero router, which tosses a coin between single models at the same cost: "
        f"{human.points(line.zero_gain)} points (95 %: {human.span(line.zero_gain_ci95, signed=True)})."
    )


def _verdicts(tested: Tested) -> str:
    names = {
        verdict: [line.name for line in tested.asked if line.verdict == verdict]
        for verdict in ("beats", "matches", "loses", "not measured")
    }
    said = [f"{human.listed(found)} {_verb(verdict, found)}" for verdict, found in names.items() if found]
    return f"Against the best single model of the {human.count(tested.part.rows, 'question')}: {'; '.join(said)}."


def _verb(verdict: str, names: list[str]) -> str:
    one, many = {
        "beats": ("beats it", "beat it"),
        "matches": ("matches it", "match it"),
        "loses": ("loses", "lose"),
        "not measured": ("was not measured", "were not measured"),
    }[verdict]
    return one if len(names) == 1 else many


def _leaks(tested: Tested, findings: Findings) -> Iterator[str]:
    if tested.leaks is None or tested.with_leaks is None:
        if findings.train is not None:
            yield "No test question is also in training, neither exactly nor nearly."
        return
    leaks, whole = tested.leaks, tested.with_leaks
    yield (
        f"{human.count(leaks.leaked)} of {human.count(whole.n, 'test question')} "
        f"({human.percent(leaks.leaked / whole.n)}) are also in training: {human.count(leaks.exact)} exactly, "
        f"{human.count(leaks.near)} nearly. They are left out of all numbers here."
    )
    flipped = list(_flips(tested.found, whole))
    yield f"With them {'; '.join(flipped)}." if flipped else "With them no verdict would differ."
    name, other = (best(found, findings.weights).name for found in (tested.found, whole))
    if other != name:
        there, here = (human.points(found.line(other, "asked").gain) for found in (whole, tested.found))
        yield f"With them {other} would be best, at {there} points; without them it gains {here}."
    yield _best_with_leaks(tested, name)


def _best_with_leaks(tested: Tested, name: str) -> str:
    """What the leaks would make of the best line's gain, which may change much without a verdict changing."""
    lines = [one.line(name, "asked") for one in (tested.found, tested.with_leaks, tested.on_leaks) if one]
    clean, whole, *alone = (human.points(line.gain) for line in lines)
    on_them = f"; on them alone it is {alone[0]}" if alone else ""
    return f"The gain of {name} would be {whole} points in place of {clean}{on_them}."


def _flips(clean: Comparison, whole: Comparison) -> Iterator[str]:
    for line in clean.lines:
        other = whole.line(line.name, line.kind)
        if line.kind == "asked" and line.verdict != other.verdict:
            yield (
                f"the verdict on {line.name} would be “{other.verdict}” in place of “{line.verdict}” "
                f"({human.points(other.gain)} points in place of {human.points(line.gain)})"
            )


def _gaps(tested: Tested, findings: Findings) -> Iterator[str]:
    if not tested.priced:
        yield "No costs are known, so nothing can be said of money: no cost–quality curve and no zero router."
    if missing := _counted({line.name: line.missing for line in tested.asked}):
        yield f"Left out because the chosen answer was never measured: {missing}."
    if tested.priced and (unpriced := _counted({line.name: line.unpriced for line in tested.asked})):
        yield f"With a call of unknown cost, so that the mean cost is unknown too: {unpriced}."
    yield from _unweighed(tested, findings.weights)
    over = [line for line in tested.asked if findings.budget is not None and line.usd > findings.budget]
    if over and findings.budget is not None:
        said = [f"{line.name} {human.usd(line.usd)}" for line in over]
        yield f"Over the budget of {human.usd(findings.budget)} per question: {human.listed(said)}."


def _unweighed(tested: Tested, weights: Mapping[str, float]) -> Iterator[str]:
    """Why a line of high quality is not called the best, or the best only in quality."""
    measured = [line for line in tested.asked if line.n]
    unknown = [line for line in measured if _unknown(line, weights)]
    if unknown and len(unknown) == len(measured):
        yield "What the trade-off weighs is not fully known of any line, so which is best says nothing of it."
    elif unknown:
        names = human.listed([line.name for line in unknown])
        yield f"Behind all others because what the trade-off weighs is not fully known: {names}."


def _counted(counts: Mapping[str, int]) -> str:
    """Questions by line, or once where all lines have as many."""
    if len(set(counts.values())) == 1 and len(counts) > 1 and (number := next(iter(counts.values()))):
        return f"{human.count(number, 'question')} of every line"
    return human.listed([f"{human.count(number, 'question')} of {name}" for name, number in counts.items() if number])
