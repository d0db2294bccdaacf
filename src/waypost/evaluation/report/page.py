"""One HTML file that needs nothing else: findings first, then curves, choices, calibration, the table and the data."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from waypost.errors import NotInstalled
from waypost.evaluation.report import human, words
from waypost.evaluation.report.findings import Findings
from waypost.evaluation.report.html import Safe, join, script, style, table, tag, verdict
from waypost.evaluation.report.sections import data_section, definitions, results_section

Rows = Sequence[Mapping[str, Any]]

MARK = tag("meta", name="generator", content="waypost report")  # stands near the beginning of each page


def page(findings: Findings, tables: Mapping[str, Rows], library: str) -> str:
    """The whole page; ``tables`` holds each test's full table as `waypost eval` shows it, ``library`` is `plotly`."""
    code = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    said = words.sentences(findings)
    several = len(findings.tests) > 1
    body = (
        _header(findings),
        tag(
            "main",
            tag("noscript", tag("p", "Without JavaScript the charts are missing; the tables hold the main numbers.")),
            _contents(findings) if several else None,
            *(_summary(name, sentences, several) for name, sentences in said.items()),
            _glance(findings) if several else None,
            *(results_section(k, findings, tables[tested.part.name]) for k, tested in enumerate(findings.tests)),
            data_section(findings),
            definitions(),
        ),
        tag("footer", tag("p", f"Made by Waypost {findings.version}. This file needs no network.")),
        script(library),
        script(code),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        MARK,
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(library, code)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", "Routing report"),
        style(Path(__file__).with_name("page.css").read_text(encoding="utf-8")),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang='en')}\n"


def plotly() -> str:
    """The library that draws, as one script.

    Raises:
        NotInstalled: it is missing.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise NotInstalled("the report draws with plotly, which is missing: pip install 'waypost[report]'") from error
    # Browsers read every line end as a line feed, and so must the hash of the policy.
    library: str = get_plotlyjs()
    return library.replace("\r\n", "\n").replace("\r", "\n")


def _policy(*scripts: str) -> str:
    """Only these scripts may run, and nothing may be loaded: whatever a prompt or a name smuggles in stays text."""
    hashes = [b64encode(sha256(code.encode()).digest()).decode() for code in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data: blob:", "form-action 'none'")
    return "; ".join((*rules, "base-uri 'none'", f"script-src {allowed}"))


def _header(findings: Findings) -> Safe:
    tests = [f"{tested.part.name} ({human.count(tested.part.rows, 'question')})" for tested in findings.tests]
    ways = human.count(len(findings.tests[0].asked), "way")
    models = human.count(len(findings.tests[0].part.models), "model")
    said = f"{ways} to choose among {models}, measured on {human.listed(tests)}. Wanted: {_trade_off(findings)}."
    return tag("header", tag("h1", "Routing report"), tag("p", said, class_="quiet"))


def _trade_off(findings: Findings) -> str:
    """The objective in words."""
    quality = findings.weights["quality"]
    said = "quality" if quality == 1 else f"{quality:g} × quality"
    for name, weight in findings.weights.items():
        if name in ("usd", "seconds", "risk"):
            said += f" − {weight:g} × {'USD' if name == 'usd' else name}"
        elif name != "quality":
            said += f" + {weight:g} × {name}"
    return said if findings.budget is None else f"{said}, at most {human.usd(findings.budget)} per question"


def _contents(findings: Findings) -> Safe:
    links = [tag("a", tested.part.name, href=f"#test-{k}") for k, tested in enumerate(findings.tests)]
    links += [tag("a", "Data", href="#data"), tag("a", "Definitions", href="#definitions")]
    return tag("nav", tag("ul", *(tag("li", link) for link in links)), aria_label="Contents")


def _summary(name: str, sentences: Sequence[str], several: bool) -> Safe:
    title = f"Findings: {name}" if several else "Findings"
    return tag("section", tag("h2", title), tag("ul", *(tag("li", said) for said in sentences), class_="findings"))


def _glance(findings: Findings) -> Safe:
    """Verdicts of all tests side by side."""
    names = [line.name for line in findings.tests[0].asked]
    rows = []
    for name in names:
        lines = [tested.found.line(name, "asked") for tested in findings.tests]
        rows.append([name, *(join([verdict(line.verdict), f" {human.points(line.gain)}"]) for line in lines)])
    columns = ["", *(tested.part.name for tested in findings.tests)]
    shown = table("Verdict against the best single model of each test, and the gain in points", columns, rows)
    return tag("section", tag("h2", "At a glance"), shown)
