"""What the sections of the page are built of: charts with their numbers, and one of several charts at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from waypost.evaluation.confusion import Confusion
from waypost.evaluation.reliability import Reliability
from waypost.evaluation.report import html, human
from waypost.evaluation.report.drawing import Chart
from waypost.evaluation.report.findings import Method, Tested
from waypost.evaluation.report.html import Safe, join, table, tag


def figure(chart: Chart, caption: str, numbers: Safe | None = None, name: str | None = None) -> Safe:
    """A chart under its sentence; ``numbers`` is the table for whoever cannot see it, ``name`` the chart's id."""
    height = chart["layout"]["height"]
    box = tag("div", id=name, class_="chart", style=f"min-height:{height}px", role="img", aria_label=caption)
    details = tag("details", tag("summary", "The numbers"), numbers) if numbers else None
    return tag("figure", tag("figcaption", caption), box, html.data(chart), details)


def sent(shares: Mapping[str, Mapping[str, float]], models: Sequence[str]) -> Safe:
    """Who gets what, in percent."""
    rows = [[name, *(human.percent(share[model]) for model in models)] for name, share in shares.items()]
    return table("Share of the questions sent to each model", ["", *models], rows, numbers=len(models))


def counts(found: Confusion, so: str, said: str) -> Safe:
    """A confusion's counts."""
    rows = [[name, *map(human.count, counts)] for name, counts in zip(found.rows, found.counts, strict=True)]
    return table(
        f"Questions by {so} (rows) and {said} (columns)", ["", *found.columns], rows, numbers=len(found.columns)
    )


def bins(found: Reliability, shown: Callable[[float], str]) -> Safe:
    """A calibration's bins."""
    rows = [
        [shown(b.expected), shown(b.seen), " … ".join(map(shown, b.ci95)), human.count(b.count)] for b in found.bins
    ]
    return table("Mean of each bin", ["expected", "seen", "95 %", "answers"], rows, numbers=3)


def choice(
    name: str, tested: Tested, best: str, shown: Callable[[Method], Safe], able: Callable[[Method], bool]
) -> Safe:
    """One of several figures at a time, the best router's first."""
    methods = [method for method in tested.methods if able(method)]
    if len(methods) == 1:
        return shown(methods[0])
    first = best if best in [method.name for method in methods] else methods[0].name
    options = [tag("option", method.name, selected=method.name == first) for method in methods]
    label = tag("label", "Router ", tag("select", *options, data_choice=name, autocomplete="off"))
    figures = [tag("div", shown(method), hidden=method.name != first) for method in methods]
    return join([tag("div", label, class_="tools"), tag("div", *figures, id=name)])
