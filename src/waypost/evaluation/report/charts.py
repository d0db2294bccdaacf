"""The charts of the page: each takes findings and gives a plain plotly figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from waypost.evaluation.compare import Line
from waypost.evaluation.confusion import Confusion
from waypost.evaluation.measures import curves
from waypost.evaluation.reliability import Reliability
from waypost.evaluation.report import drawing, human
from waypost.evaluation.report.drawing import Chart
from waypost.evaluation.report.findings import Points, Tested

_DOLLARS = {"tickprefix": "$", "exponentformat": "none"}
_FEW = 4
_DECADES = 30.0  # costs that differ by more than this are unreadable on a linear axis
_MARKS = {
    "beats": ("var(--good)", "triangle-up"),
    "matches": (drawing.SOFT, "circle"),
    "loses": ("var(--bad)", "triangle-down"),
}


def cost_quality(tested: Tested, order: Sequence[str]) -> Chart:
    """Quality over cost: the curve of every router, its point at the trade-off asked for, and what to compare with."""
    zero = mixed(tested.zero)
    traces: list[Chart] = [
        {
            "name": "zero router",
            "mode": "lines",
            "x": _dollars(zero.usd),
            "y": drawing.percents(zero.quality),
            "line": {"dash": "dash", "width": 1.5, "color": drawing.SOFT},
            "hoverinfo": "skip",
        }
    ]
    for name in order:
        traces += _router(tested, name, order.index(name))
    # The zero router's own line is a point of its hull.
    lines = [line for line in tested.found.lines if line.name != "zero"]
    for kind, symbol in (("model", "diamond-open"), ("bound", "star")):
        traces.append(_reference([line for line in lines if line.kind == kind], kind, symbol, tested.zero))
    return {
        "data": traces,
        "layout": drawing.layout(
            480,
            xaxis={
                **_DOLLARS,
                "title": {"text": "USD per 1,000 questions"},
                "type": "log" if wide(tested) else "linear",
            },
            yaxis={"title": {"text": "quality, %"}},
            hovermode="closest",
        ),
    }


def wide(tested: Tested) -> bool:
    """Whether the costs call for a logarithmic axis, and none is zero."""
    costs = drawn_costs(tested)
    return bool(costs) and min(costs) > 0 and max(costs) > _DECADES * min(costs)


def drawn_costs(tested: Tested) -> list[float]:
    """Every mean cost that is drawn."""
    lines = [line.usd for line in tested.found.lines]
    points = [usd for method in tested.methods if method.curve for usd in method.curve.usd]
    return [usd for usd in (*lines, *points) if not math.isnan(usd)]


def gains(tested: Tested) -> Chart:
    """Each asked line's gain over the best single model, with its interval, best first."""
    lines = sorted((line for line in tested.asked if not math.isnan(line.gain)), key=lambda line: line.gain)
    marks = [_MARKS[line.verdict] for line in lines]
    said = [f"{human.points(line.gain)} points, {line.verdict}" for line in lines]
    chart = drawing.forest(lines, [line.gain for line in lines], [line.gain_ci95 for line in lines], said, marks)
    chart["layout"]["xaxis"]["title"] = {"text": "points over the best single model"}
    chart["layout"]["shapes"] = [drawing.upright(0)]
    return chart


def qualities(tested: Tested) -> Chart:
    """Each line's quality with its interval, best first: what can be drawn where no costs are known."""
    lines = sorted((line for line in tested.found.lines if line.n), key=lambda line: line.quality)
    marks = [
        {"asked": ("var(--c1)", "circle"), "model": (drawing.SOFT, "diamond")}.get(o.kind, (drawing.INK, "star"))
        for o in lines
    ]
    said = [f"{human.percent(line.quality)} ({human.span(line.ci95)})" for line in lines]
    chart = drawing.forest(lines, [line.quality for line in lines], [line.ci95 for line in lines], said, marks)
    chart["layout"]["xaxis"]["title"] = {"text": "quality, %"}
    chart["layout"]["shapes"] = [drawing.upright(100 * tested.found.line(tested.found.best_single, "model").quality)]
    return chart


def shares(tested: Tested) -> Chart:
    """Where each line sends what, as stacked bars."""
    lines = [line for line in reversed(tested.asked) if line.n]
    bars = [
        {
            "type": "bar",
            "orientation": "h",
            "name": drawing.label(model),
            "y": list(range(len(lines))),
            "x": [100 * line.share[model] for line in lines],
            "hovertext": [
                f"{drawing.label(line.name)} → {drawing.label(model)}: {human.percent(line.share[model])}"
                for line in lines
            ],
            "hoverinfo": "text",
            "marker": {
                "color": drawing.colour(m),
                "pattern": {"shape": drawing.PATTERNS[m // drawing.COLOURS % len(drawing.PATTERNS)]},
            },
        }
        for m, model in enumerate(most_called(tested))
    ]
    made = drawing.layout(
        130 + 34 * len(lines) + 12 * len(bars),
        barmode="stack",
        xaxis={"title": {"text": "calls per 100 questions"}, "rangemode": "tozero"},
        yaxis=drawing.named([line.name for line in lines]),
    )
    return {"data": bars, "layout": made}


def most_called(tested: Tested) -> list[str]:
    """The models that anybody calls, those that are called most first."""
    calls = {model: sum(line.share[model] for line in tested.asked if line.n) for model in tested.part.models}
    return sorted((model for model in calls if calls[model] > 0), key=lambda model: -calls[model])


def by_group(groups: Mapping[str, Mapping[str, float]], models: Sequence[str]) -> Chart:
    """The share of each group's questions that goes to each model."""
    used = [model for model in models if any(share.get(model, 0) > 0 for share in groups.values())]
    values = [[share[model] for model in used] for share in groups.values()]
    return drawing.heat(
        list(groups), used, values, lambda r, c: human.percent(values[r][c], 0), "calls", "group", "sent to"
    )


def confused(found: Confusion, so: str, said: str) -> Chart:
    """How often what was said, by what was so; the colour is the share of the row, the text the count."""
    kept = [c for c, name in enumerate(found.columns) if name in found.rows or any(row[c] for row in found.counts)]
    values = [[row[c] / max(sum(row), 1) for c in kept] for row in found.counts]
    columns = [found.columns[c] for c in kept]
    return drawing.heat(
        list(found.rows), columns, values, lambda r, c: human.count(found.counts[r][kept[c]]), "questions", so, said
    )


def calibration(found: Reliability, k: int) -> Chart:
    """Expected against seen quality, and below how many answers each bin has."""
    bins = found.bins
    middles = [50 * (b.low + b.high) for b in bins]
    counts = {
        "type": "bar",
        "x": middles,
        "y": [b.count for b in bins],
        "width": [100 * (b.high - b.low) * 0.9 for b in bins],
        "yaxis": "y2",
        "marker": {"color": drawing.SOFT},
        "hoverinfo": "y",
    }
    made = drawing.layout(
        430,
        showlegend=False,
        xaxis={"title": {"text": "expected quality, %"}, "range": [-3, 103], "anchor": "y2"},
        yaxis={"title": {"text": "seen, %"}, "range": [-3, 103], "domain": [0.3, 1]},
        yaxis2={"title": {"text": "answers"}, "domain": [0, 0.2], "rangemode": "tozero", "nticks": 3},
    )
    return {"data": [drawing.diagonal(0, 100), _binned(found, k, 100), counts], "layout": made}


def cost_calibration(found: Reliability, k: int) -> Chart:
    """Expected against paid cost, each a mean over about a tenth of the answers; logarithmic where they are spread."""
    points = [1000 * value for b in found.bins for value in (b.expected, b.seen)]
    low, high = min(points), max(points)
    kind = "log" if low > 0 and high > _DECADES * low else "linear"
    axis = {**_DOLLARS, "type": kind}
    made = drawing.layout(
        380,
        showlegend=False,
        xaxis={"title": {"text": "expected, USD per 1,000 questions"}, **axis},
        yaxis={"title": {"text": "paid"}, **axis},
    )
    return {"data": [drawing.diagonal(low, high), _binned(found, k, 1000)], "layout": made}


def _router(tested: Tested, name: str, k: int) -> list[Chart]:
    """A router's curve, and its point at the trade-off asked for."""
    line, path = tested.found.line(name, "asked"), tested.method(name).curve
    group = {"name": drawing.label(name), "legendgroup": f"r{k}"}
    traces: list[Chart] = []
    if path is not None and len(path.usd) > 1:
        traces.append(
            {
                **group,
                "mode": "lines",
                "x": _dollars(path.usd),
                "y": drawing.percents(path.quality),
                "line": {
                    "color": drawing.colour(k),
                    "width": 2,
                    "dash": drawing.DASHES[k // drawing.COLOURS % len(drawing.DASHES)],
                },
                "hovertext": [_said(name, u, q) for u, q in zip(path.usd, path.quality, strict=True)],
                "hoverinfo": "text",
                "showlegend": False,
            }
        )
    if line.usd >= 0:
        marker = {"color": drawing.colour(k), "size": 10, "symbol": drawing.SYMBOLS[k % len(drawing.SYMBOLS)]}
        traces.append({**group, "mode": "markers", **_points([line]), "error_y": _bars([line]), "marker": marker})
    return traces


def _reference(lines: Sequence[Line], kind: str, symbol: str, zero: Points) -> Chart:
    """Marks to compare with; of many models only the hull's corners bear their names, as all would overlap."""
    lines = [line for line in lines if line.usd >= 0]
    named = [kind == "bound" or len(lines) <= _FEW or line.usd in zero.usd for line in lines]
    return {
        "name": {"model": "single models", "bound": "oracle and chance"}[kind],
        "mode": "markers+text",
        **_points(lines),
        "text": [drawing.label(line.name) if shown else "" for line, shown in zip(lines, named, strict=True)],
        "textposition": "top center",
        "textfont": {"size": 10, "color": drawing.SOFT},
        "marker": {"color": drawing.SOFT if kind == "model" else drawing.INK, "size": 8, "symbol": symbol},
        "cliponaxis": False,
    }


def _points(lines: Sequence[Line]) -> Chart:
    return {
        "x": _dollars([line.usd for line in lines]),
        "y": drawing.percents([line.quality for line in lines]),
        "hovertext": [f"{_said(o.name, o.usd, o.quality)}<br>95 %: {human.span(o.ci95)}" for o in lines],
        "hoverinfo": "text",
    }


def _bars(lines: Sequence[Line]) -> Chart:
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (line.ci95[1] - line.quality) for line in lines],
        "arrayminus": [100 * (line.quality - line.ci95[0]) for line in lines],
        "thickness": 1.5,
        "width": 4,
    }


def _said(name: str, usd: float, quality: float) -> str:
    cost = f"{drawing.dollars(usd)} per 1,000 questions"
    return f"<b>{drawing.label(name)}</b><br>quality {human.percent(quality)}<br>{cost}"


def mixed(zero: Points) -> Points:
    """The hull with points between its corners: a mixture's straight line is bent on a logarithmic axis."""
    if len(zero.usd) < 2:
        return zero
    usd = np.unique(np.concatenate([np.linspace(a, b, 25) for a, b in zip(zero.usd, zero.usd[1:], strict=False)]))
    height = curves.at(usd, np.array(zero.usd), np.array(zero.quality))
    return Points(tuple(usd.tolist()), tuple(height.tolist()))


def _binned(found: Reliability, k: int, scale: float) -> Chart:
    """The bins' means with intervals, in hundredths or per thousand."""
    bins = found.bins
    form = human.percent if scale == 100 else drawing.dollars
    return {
        "mode": "lines+markers",
        "x": [scale * b.expected for b in bins],
        "y": [scale * b.seen for b in bins],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [scale * (b.ci95[1] - b.seen) for b in bins],
            "arrayminus": [scale * (b.seen - b.ci95[0]) for b in bins],
            "thickness": 1.5,
            "width": 4,
        },
        "line": {"color": drawing.colour(k), "width": 2},
        "marker": {"color": drawing.colour(k), "size": 8, "symbol": drawing.SYMBOLS[k % len(drawing.SYMBOLS)]},
        "hovertext": [
            f"expected {form(b.expected)}<br>seen {form(b.seen)}<br>{human.count(b.count, 'answer')}" for b in bins
        ],
        "hoverinfo": "text",
    }


def _dollars(usd: Sequence[float]) -> list[float]:
    return [float(f"{1000 * value:.6g}") for value in usd]
