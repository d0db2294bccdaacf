"""What the charts of the page are made of, as plain plotly figures.

A colour is a variable of the page's style (``var(--c1)``), which the page's script resolves, so that a chart follows
the reader's light or dark.  Names are escaped, as plotly reads a little HTML in every text, and stand on numbered
axes, where two names that are shown alike stay two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from waypost.evaluation.compare import Line
from waypost.evaluation.report import human

Chart = dict[str, Any]

COLOURS = 8
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")
PATTERNS = ("", "/", ".", "x")
SOFT, INK = "var(--soft)", "var(--ink)"
_AXIS: Chart = {"gridcolor": "var(--line)", "zeroline": False, "linecolor": SOFT, "automargin": True}


def colour(k: int) -> str:
    """The colour of the k-th of many."""
    return f"var(--c{k % COLOURS + 1})"


def label(name: str) -> str:
    """A name as plotly may show it."""
    return _untypeset(escape(human.name(name), quote=False))


def dollars(usd: float) -> str:
    """What a thousand questions cost, as plotly may show it."""
    return _untypeset(human.usd(1000 * usd))


def _untypeset(text: str) -> str:
    # Plotly takes what stands between two dollar signs for a formula.
    return text.replace("$", "&#36;")


def forest(
    lines: Sequence[Line],
    middle: Sequence[float],
    bounds: Sequence[tuple[float, float]],
    said: Sequence[str],
    marks: Sequence[tuple[str, str]],
) -> Chart:
    """One row a line: a point with its interval."""
    error = {
        "type": "data",
        "symmetric": False,
        "array": [100 * (high - at) for at, (_, high) in zip(middle, bounds, strict=True)],
        "arrayminus": [100 * (at - low) for at, (low, _) in zip(middle, bounds, strict=True)],
        "color": SOFT,
        "thickness": 1.5,
        "width": 5,
    }
    trace = {
        "mode": "markers",
        "x": percents(middle),
        "y": list(range(len(lines))),
        "error_x": error,
        "hovertext": [f"<b>{label(line.name)}</b><br>{text}" for line, text in zip(lines, said, strict=True)],
        "hoverinfo": "text",
        "marker": {"size": 11, "color": [mark[0] for mark in marks], "symbol": [mark[1] for mark in marks]},
    }
    return {
        "data": [trace],
        "layout": layout(90 + 30 * len(lines), yaxis=named([line.name for line in lines]), xaxis={}),
    }


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    text: Callable[[int, int], str],
    what: str,
    so: str,
    said: str,
) -> Chart:
    """A table of shares, 0..1, as colours; the first row on top."""
    cells = [[text(r, c) if values[r][c] else "" for c in range(len(columns))] for r in range(len(rows))]
    hover = [
        [
            f"{so} <b>{label(row)}</b><br>{said} <b>{label(column)}</b><br>"
            f"{text(r, c)}{'' if what == 'calls' else f' ({human.percent(values[r][c], 0)})'}"
            for c, column in enumerate(columns)
        ]
        for r, row in enumerate(rows)
    ]
    trace = {
        "type": "heatmap",
        "z": [list(row) for row in values],
        "zmin": 0,
        "zmax": 1,
        "x": list(range(len(columns))),
        "y": list(range(len(rows))),
        "text": cells,
        "texttemplate": "%{text}" if len(columns) <= 20 else "",
        "hovertext": hover,
        "hoverinfo": "text",
        "colorscale": [[0, "var(--heat0)"], [1, "var(--heat1)"]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    made = layout(
        170 + 24 * len(rows),
        xaxis={
            **named(columns),
            "title": {"text": said},
            "tickangle": -40 if len(columns) > 3 else 0,
            "showgrid": False,
        },
        yaxis={**named(rows), "autorange": "reversed", "showgrid": False},
    )
    return {"data": [trace], "layout": made}


def diagonal(low: float, high: float) -> Chart:
    """Where two numbers are equal."""
    line = {"dash": "dash", "width": 1.5, "color": SOFT}
    return {"mode": "lines", "x": [low, high], "y": [low, high], "line": line, "hoverinfo": "skip"}


def upright(x: float) -> Chart:
    """A line through the whole height."""
    line = {"dash": "dash", "width": 1.5, "color": SOFT}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def named(names: Sequence[str]) -> Chart:
    """An axis that numbers names and shows them."""
    return {"tickvals": list(range(len(names))), "ticktext": [label(name) for name in names], "automargin": True}


def layout(height: int, **more: Any) -> Chart:
    """What all charts look like, and what one has besides."""
    axes = {key: {**_AXIS, **value} for key, value in more.items() if key.startswith(("xaxis", "yaxis"))}
    return {
        "height": height,
        "margin": {"l": 52, "r": 16, "t": 32, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        "hoverlabel": {"bgcolor": "var(--card)", "bordercolor": SOFT, "font": {"color": INK}, "align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": SOFT, "activecolor": INK},
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "traceorder": "normal", "entrywidth": 165},
        **more,
        **axes,
    }


def percents(quality: Sequence[float]) -> list[float]:
    """Shares of 1 as percent."""
    return [round(100 * value, 4) for value in quality]
