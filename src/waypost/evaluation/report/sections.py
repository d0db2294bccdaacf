"""The parts of the page, each a heading, a sentence that says how to read it, a chart and its numbers as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from waypost.evaluation.compare import Line
from waypost.evaluation.confusion import Confusion
from waypost.evaluation.reliability import Reliability
from waypost.evaluation.report import blocks, charts, html, human, words
from waypost.evaluation.report.findings import Findings, Leaking, Method, Part, Tested
from waypost.evaluation.report.html import Safe, table, tag

Rows = Sequence[Mapping[str, Any]]


def results_section(k: int, findings: Findings, rows: Rows) -> Safe:
    """Everything about one test."""
    tested = findings.tests[k]
    best = words.best(tested.found, findings.weights).name
    return tag(
        "section",
        tag("h2", f"Results: {tested.part.name}" if len(findings.tests) > 1 else "Results", id=f"test-{k}"),
        *_curves(k, tested),
        *_ranking(k, tested, rows),
        *_shares(k, tested, best),
        *_calibration(k, tested, best),
        *_confusions(k, tested, best),
        *_leaks(tested),
    )


def data_section(findings: Findings) -> Safe:
    """What was measured on, and how to make the page again."""
    parts = [*([("training", findings.train)] if findings.train else [])]
    parts += [("test", tested.part) for tested in findings.tests]
    columns = ["part", "name", "questions", "models", "groups", "answers scored", "of these priced", "fingerprint"]
    return tag(
        "section",
        tag("h2", "Data", id="data"),
        table("The tables; the fingerprint is of all that routers learn from", columns, [_part(*p) for p in parts]),
        tag("p", "The same again:"),
        tag("pre", findings.command),
        tag(
            "p",
            f"Waypost {findings.version}; seed {findings.seed}; intervals and probabilities from "
            f"{human.count(findings.resamples, 'paired resample')} of the questions.",
            class_="quiet",
        ),
    )


def definitions() -> Safe:
    """Every word of the page in one line."""
    return tag(
        "section",
        tag("h2", "Definitions", id="definitions"),
        tag("dl", *(piece for term, text in _DEFINITIONS.items() for piece in (tag("dt", term), tag("dd", text)))),
    )


_DEFINITIONS = {
    "Quality": "Mean score over the questions, 0 to 100 %. A question whose chosen answer was never measured is left "
    "out and counted.",
    "Best single model": "The one model of the highest mean quality on the test itself, known only in hindsight: "
    "beating it is hard.",
    "Verdict": "Beats or loses when the difference to the best single model holds at 5 % after correction for all that "
    "was asked (step-down over the resamples); else matches.",
    "95 %": "The interval that holds the middle 95 % of the resamples of questions, paired: every line sees the same.",
    "Oracle": "The best model of each question, known in hindsight; of equally good ones the cheapest.",
    "Chance": "A model at random, in expectation.",
    "Zero router": "Tossing a coin between single models: the non-decreasing convex hull of their mean costs and "
    "qualities. A router below it is not worth its work.",
    "AIQ": "Mean height of a curve's hull over the range of costs that all curves share.",
    "Expected calibration error": "Mean distance between expected and seen quality over ten bins of expected quality, "
    "each counting as often as it has answers. Zero is best.",
    "Leak": "A test question that is also in training, exactly (but for case and spaces) or nearly.",
}


def _part(role: str, part: Part) -> list[str]:
    return [
        role,
        part.name,
        human.count(part.rows),
        human.count(len(part.models)),
        human.count(len(part.groups)),
        human.percent(part.scored, 0),
        human.percent(part.priced, 0),
        part.fingerprint[:12],
    ]


def _curves(k: int, tested: Tested) -> Iterator[Safe]:
    yield tag("h3", "Quality and cost" if tested.priced else "Quality")
    order = [method.name for method in tested.methods]
    if not tested.priced:
        said = "No costs are known, so only quality can be compared: each line with its 95 % interval, and the best "
        yield blocks.figure(charts.qualities(tested), said + "single model as the dashed line.")
        return
    said = (
        "Each curve is what a router's predictions earn as money gets dearer; its large mark, with a 95 % interval, is "
        "the trade-off asked for. Left of and above the dashed zero router is where routing pays."
    )
    name = f"curves-{k}"
    if min(charts.drawn_costs(tested)) > 0:
        pressed = str(charts.wide(tested)).lower()
        button = tag("button", "Logarithmic cost", type="button", aria_pressed=pressed, data_log=name)
        yield tag("div", button, class_="tools")
    yield blocks.figure(charts.cost_quality(tested, order), said, name=name)
    if tested.aiq_range is not None:
        low, high = (human.usd(1000 * usd) for usd in tested.aiq_range)
        heights = [("zero router", tested.aiq), *((m.name, m.aiq) for m in tested.methods if m.curve)]
        heights.sort(key=lambda row: -row[1])
        rows = [[name, human.percent(aiq, 2)] for name, aiq in heights]
        caption = f"AIQ, the mean height of each hull between {low} and {high} per 1,000 questions"
        yield table(caption, ["", "AIQ"], rows, numbers=1)


def _ranking(k: int, tested: Tested, rows: Rows) -> Iterator[Safe]:
    yield tag("h3", "Ranking")
    said = "Gain over the best single model with its 95 % interval: right of the dashed line is better."
    yield blocks.figure(charts.gains(tested), said)
    columns = list(rows[0])
    shown = [[_cell(row[column]) for column in columns] for row in rows]
    if tested.worths:
        caption = f"Worth by the trade-off asked for, beside {tested.worthiest}, the best single model by it"
        worths = sorted(tested.worths, key=lambda worth: -worth.value)
        found = [
            [w.name, f"{100 * w.value:.1f}", human.points(w.gain), human.span(w.gain_ci95, signed=True)] for w in worths
        ]
        yield table(caption, ["", "worth, points", "more than it", "95 %"], found, numbers=3)
    yield table(f"Everything measured on {human.count(tested.found.n, 'question')}, best first", columns, shown)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return human.MISSING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shares(k: int, tested: Tested, best: str) -> Iterator[Safe]:
    yield tag("h3", "Who gets which questions")
    models = tested.part.models
    said = "How often each model was called. A strategy that calls several models for a question goes beyond 100."
    called = {line.name: line.share for line in tested.asked}
    yield blocks.figure(charts.shares(tested), said, blocks.sent(called, models))
    if len(tested.part.groups) > 1:
        yield tag("h4", "By group")

        def heat(method: Method) -> Safe:
            return blocks.figure(
                charts.by_group(method.groups, models),
                f"Where {method.name} sends each group, in percent of its questions; with several calls more than 100.",
                blocks.sent(method.groups, models),
            )

        yield blocks.choice(f"group-{k}", tested, best, heat, lambda method: True)


def _calibration(k: int, tested: Tested, best: str) -> Iterator[Safe]:
    able = [method for method in tested.methods if method.quality is not None and method.quality.n]
    if not able:
        return
    yield tag("h3", "Does it mean what it predicts?")
    columns = ["", "calibration error", "95 %", "expected of its choice", "seen of its choice", "answers"]
    yield table(
        "Predicted against measured quality, over every question and model; of its choice, where one call was made",
        columns,
        [_calibrated(method, method.quality) for method in able if method.quality],
        numbers=5,
    )

    def shown(method: Method) -> Safe:
        place = [m.name for m in tested.methods].index(method.name)
        quality, usd = method.quality, method.usd
        pieces = []
        if quality is not None:
            said = f"{method.name}: on the dashed line what it expects is what comes. Bars: how many answers."
            pieces.append(
                blocks.figure(
                    charts.calibration(quality, place),
                    said,
                    blocks.bins(quality, human.percent),
                )
            )
        if usd is not None:
            said = f"{method.name}: predicted cost against what was paid, each point about a tenth of the answers."
            pieces.append(blocks.figure(charts.cost_calibration(usd, place), said, blocks.bins(usd, _per_thousand)))
        return tag("div", *pieces)

    yield blocks.choice(f"calibration-{k}", tested, best, shown, lambda method: method in able)


def _per_thousand(usd: float) -> str:
    return human.usd(1000 * usd)


def _calibrated(method: Method, found: Reliability) -> list[str]:
    return [
        method.name,
        f"{100 * found.error:.1f}",
        human.span(found.error_ci95),
        human.percent(method.expected),
        human.percent(method.seen),
        human.count(found.n),
    ]


def _confusions(k: int, tested: Tested, best: str) -> Iterator[Safe]:
    if any(method.choices.n for method in tested.methods):
        yield tag("h3", "Chosen and best model")

        def chosen(method: Method) -> Safe:
            found = method.choices
            said = (
                f"{method.name} calls a best model on {human.percent(found.agreement)} of the "
                f"{human.count(found.n, 'question')} on which the models differ; on the others no choice is wrong. Of "
                "equally good models the called one counts as the best, else the cheapest."
            )
            return blocks.figure(
                charts.confused(found, "best", "called"),
                said,
                blocks.counts(found, "best model", "model called"),
            )

        yield blocks.choice(f"choice-{k}", tested, best, chosen, lambda method: method.choices.n > 0)
    if len(tested.part.groups) > 1 and any(method.domains for method in tested.methods):
        yield tag("h3", "Domains, told apart")

        def domains(method: Method) -> Safe:
            found = method.domains or Confusion((), (), ())
            said = (
                f"{method.name} takes {human.percent(found.agreement)} of the questions for their own group; each row "
                "is a group, each column what its questions were taken for."
            )
            return blocks.figure(
                charts.confused(found, "group", "taken for"),
                said,
                blocks.counts(found, "group", "what they were taken for"),
            )

        yield blocks.choice(f"domain-{k}", tested, best, domains, lambda method: method.domains is not None)


def _leaks(tested: Tested) -> Iterator[Safe]:
    if tested.leaks is None or tested.with_leaks is None:
        return
    leaks: Leaking = tested.leaks
    yield tag("h3", "Leaks")
    found = {"without leaks": tested.found, "with them": tested.with_leaks, "on them alone": tested.on_leaks}
    kept = {name: comparison for name, comparison in found.items() if comparison is not None}
    columns = ["", *(column for name in kept for column in (f"gain {name}", "verdict"))]
    rows = [
        [line.name, *(cell for one in kept.values() for cell in _gain(one.line(line.name, "asked")))]
        for line in tested.asked
    ]
    yield table(f"What the {human.count(leaks.leaked, 'leaked question')} would change", columns, rows)
    examples = [
        [f"{twin.similarity:.2f}", _wide(twin.test), "the same" if twin.train == twin.test else _wide(twin.train)]
        for twin in leaks.examples
    ]
    yield table("Leaked questions, the least alike first", ["alike", "test", "training"], examples)


def _gain(line: Line) -> tuple[str, Safe]:
    return f"{human.points(line.gain)} ({human.span(line.gain_ci95, signed=True)})", html.verdict(line.verdict)


def _wide(text: str) -> Safe:
    return tag("span", text, class_="text")
