import json
import re
from pathlib import Path

import orjson
import plotly.graph_objects as go
import pytest

from waypost.evaluation.report import charts, drawing


def drawn(tested):
    """Every chart of a test."""
    order = [method.name for method in tested.methods]
    made = [charts.gains(tested), charts.qualities(tested), charts.shares(tested)]
    if tested.priced:
        made.append(charts.cost_quality(tested, order))
    for k, method in enumerate(tested.methods):
        made += [charts.by_group(method.groups, tested.part.models), charts.confused(method.choices, "best", "called")]
        made += [charts.calibration(method.quality, k)]
        made += [charts.cost_calibration(method.usd, k)] if method.usd else []
        made += [charts.confused(method.domains, "group", "taken for")] if method.domains else []
    return made


def resolved(chart):
    """The chart as the page's script hands it on: with colours in place of the page's variables."""
    text = re.sub(r'"var\(--[a-z0-9]+\)"', '"#112233"', orjson.dumps(chart, option=orjson.OPT_SERIALIZE_NUMPY).decode())
    return json.loads(text)


def test_every_chart_is_a_plotly_figure(findings):
    for tested in findings.tests:
        for chart in drawn(tested):
            assert go.Figure(resolved(chart)).data


def test_a_name_cannot_become_markup_a_formula_or_another_name():
    assert drawing.label("<a href='x'>$y$") == "&lt;a href='x'&gt;&#36;y&#36;"
    assert drawing.label("owner/a-very-long-name-of-model") == "a-very-long-name-of-mod…"


def test_two_names_that_look_alike_stay_two_rows():
    axis = drawing.named(["x" * 40 + "a", "x" * 40 + "b"])
    assert axis["ticktext"][0] == axis["ticktext"][1]
    assert axis["tickvals"] == [0, 1]


def test_the_cost_axis_is_logarithmic_where_costs_span_decades(findings):
    tested = findings.tests[0]
    chart = charts.cost_quality(tested, [method.name for method in tested.methods])
    assert chart["layout"]["xaxis"]["type"] == "log"
    assert charts.wide(tested)
    assert not charts.wide(findings.tests[1])


def test_each_router_has_its_curve_and_the_point_asked_for_with_an_interval(findings):
    tested = findings.tests[0]
    traces = charts.cost_quality(tested, [method.name for method in tested.methods])["data"]
    for name in ("domain", "best_single"):
        (curve,) = [t for t in traces if t.get("name") == name and t["mode"] == "lines"]
        (point,) = [t for t in traces if t.get("name") == name and t["mode"] == "markers"]
        line = tested.found.line(name, "asked")
        assert len(curve["x"]) > 1
        assert point["y"] == [pytest.approx(100 * line.quality, abs=1e-3)]
        assert point["error_y"]["array"] == [pytest.approx(100 * (line.ci95[1] - line.quality))]
    assert {"zero router", "single models", "oracle and chance"} <= {t["name"] for t in traces}


def test_gains_are_told_apart_by_form_as_well_as_by_colour(findings):
    marker = charts.gains(findings.tests[0])["data"][0]["marker"]
    assert len(set(marker["symbol"])) == len(set(marker["color"])) > 1


def contrast(one, other):
    """The ratio of two colours' luminance, as the WCAG defines it."""

    def luminance(colour):
        channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_stands_out_from_the_paper_by_day_by_night_and_in_print():
    css = Path(charts.__file__).with_name("page.css").read_text()
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)]
    assert len(themes) == 3
    for theme in themes:
        for k in range(drawing.COLOURS):
            assert contrast(theme[f"c{k + 1}"], theme["paper"]) >= 3
        for text in ("ink", "soft", "link", "good", "bad"):
            assert contrast(theme[text], theme["paper"]) >= 4.5
