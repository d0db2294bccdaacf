"""The figures for a paper, as PNG and SVG: one column wide, text as paths, the same bytes for the same findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from waypost.errors import NotInstalled
from waypost.evaluation.report import charts, human
from waypost.evaluation.report.findings import Findings, Tested

_WIDTH = 3.4  # inches: one column of two
_COLOURS = ("#0072b2", "#d55e00", "#008a64", "#b3558f", "#a66f00", "#2d8fc4", "#6b4fa0", "#5f6670")
_MARKERS = ("o", "s", "D", "^", "P", "v", "p", "h")
_HATCHES = ("", "///", "...", "xxx")
_SOFT = "#5f6670"
# Neither a date nor a version, so that the same findings give the same bytes.
_KINDS: dict[str, Any] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"dpi": 300, "metadata": {"Software": None}},
}
_STYLE: Any = {
    "font.size": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dfe3e8",
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "text.parse_math": False,  # a model's name may hold dollar signs
    "svg.hashsalt": "waypost",
    "figure.constrained_layout.use": True,
}


def matplotlib() -> Any:
    """The module that draws.

    Raises:
        NotInstalled: it is missing.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        problem = "--figures draws with matplotlib, which is missing: pip install 'waypost[report]'"
        raise NotInstalled(problem) from error
    return matplotlib


def save(findings: Findings, folder: Path, library: Any) -> list[Path]:
    """Write curves (or qualities), shares and reliability of each test into a folder with `matplotlib`; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    # Without a window system, and with the user's own settings set aside and put back.
    with library.rc_context():
        library.rcdefaults()
        library.rcParams.update(_STYLE)
        for k, tested in enumerate(findings.tests):
            stem = f"test{k + 1}_" if len(findings.tests) > 1 else ""
            for name, draw in _drawings(tested).items():
                figure = library.figure.Figure()
                draw(figure, tested)
                for kind, settings in _KINDS.items():
                    written.append(folder / f"{stem}{name}.{kind}")
                    figure.savefig(written[-1], **settings)
    return written


def _drawings(tested: Tested) -> dict[str, Callable[[Any, Tested], None]]:
    found: dict[str, Callable[[Any, Tested], None]] = {"curves": _curves} if tested.priced else {"quality": _quality}
    found["shares"] = _shares
    if any(method.quality for method in tested.methods):
        found["reliability"] = _reliability
    return found


def _curves(figure: Any, tested: Tested) -> None:
    """Quality over cost: every router's curve and point, the zero router, the single models, oracle and chance."""
    figure.set_size_inches(_WIDTH, 3.1)
    axes = figure.subplots()
    zero = charts.mixed(tested.zero)
    axes.plot(_dollars(zero.usd), _percents(zero.quality), "--", color=_SOFT, linewidth=0.8, label="zero router")
    for k, method in enumerate(tested.methods):
        line, look = tested.found.line(method.name, "asked"), {"color": _COLOURS[k % 8]}
        if method.curve is not None:
            axes.plot(_dollars(method.curve.usd), _percents(method.curve.quality), "-", **look)
        if line.usd >= 0:
            low, high = (100 * abs(end - line.quality) for end in line.ci95)
            axes.errorbar(
                1000 * line.usd, 100 * line.quality, [[low], [high]],
                fmt=_MARKERS[k % 8], capsize=1.5, elinewidth=0.6, label=_short(method.name), **look,
            )  # fmt: skip
    for line in tested.found.lines:
        if line.kind != "asked" and line.name != "zero" and line.usd >= 0:
            marker = {"model": "D", "bound": "*"}[line.kind]
            axes.plot(1000 * line.usd, 100 * line.quality, marker, color=_SOFT, markersize=3, fillstyle="none")
            if line.kind == "model" and len(tested.part.models) > 4 and line.usd not in tested.zero.usd:
                continue  # all names would overlap
            axes.annotate(_short(line.name), (1000 * line.usd, 100 * line.quality), (0, 3), fontsize=5, color=_SOFT,
                          textcoords="offset points", ha="center")  # fmt: skip
    if charts.wide(tested):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda usd, _: f"{usd:.9f}".rstrip("0").rstrip("."))
        axes.xaxis.set_minor_formatter(lambda usd, _: "")
    axes.grid()
    axes.set(xlabel="USD per 1,000 questions", ylabel="quality, %")
    figure.legend(loc="outside lower center", ncols=4)


def _quality(figure: Any, tested: Tested) -> None:
    """Quality with intervals, where no costs are known."""
    lines = sorted((line for line in tested.found.lines if line.n), key=lambda line: line.quality)
    figure.set_size_inches(_WIDTH, 0.6 + 0.17 * len(lines))
    axes = figure.subplots()
    for row, line in enumerate(lines):
        bounds = [[100 * abs(end - line.quality)] for end in line.ci95]
        colour = _COLOURS[0] if line.kind == "asked" else _SOFT
        marker = {"asked": "o", "model": "D", "bound": "*"}[line.kind]
        axes.errorbar(100 * line.quality, row, None, bounds, fmt=marker, color=colour, capsize=1.5, elinewidth=0.6)
    axes.set_yticks(range(len(lines)), [_short(line.name) for line in lines])
    axes.grid(axis="x")
    axes.set(xlabel="quality, %")


def _shares(figure: Any, tested: Tested) -> None:
    """Where each line sends what."""
    lines = [line for line in reversed(tested.asked) if line.n]
    figure.set_size_inches(_WIDTH, 1.0 + 0.2 * len(lines))
    axes = figure.subplots()
    left = [0.0] * len(lines)
    for m, model in enumerate(charts.most_called(tested)):
        widths = [100 * line.share[model] for line in lines]
        axes.barh(
            range(len(lines)), widths, left=left, color=_COLOURS[m % 8], hatch=_HATCHES[m // 8 % 4],
            edgecolor="white", linewidth=0.3, label=_short(model),
        )  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(lines)), [_short(line.name) for line in lines])
    axes.set(xlabel="calls per 100 questions")
    figure.legend(loc="outside lower center", ncols=3)


def _reliability(figure: Any, tested: Tested) -> None:
    """Expected against seen quality of every router."""
    figure.set_size_inches(_WIDTH, 3.1)
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], "--", color=_SOFT, linewidth=0.8)
    for k, method in enumerate(tested.methods):
        if method.quality is None or not method.quality.n:
            continue
        bins = method.quality.bins
        bounds = [[100 * abs(b.ci95[end] - b.seen) for b in bins] for end in (0, 1)]
        axes.errorbar(
            _percents([b.expected for b in bins]), _percents([b.seen for b in bins]), bounds,
            fmt=f"-{_MARKERS[k % 8]}", color=_COLOURS[k % 8], capsize=1.5, elinewidth=0.5,
            label=f"{_short(method.name)} ({100 * method.quality.error:.1f})",
        )  # fmt: skip
    axes.grid()
    axes.set(xlabel="expected quality, %", ylabel="seen, %", xlim=(-3, 103), ylim=(-3, 103))
    figure.legend(loc="outside lower center", ncols=3, title="calibration error in points", title_fontsize=6)


def _short(name: str) -> str:
    # matplotlib hides a label that begins with an underscore.
    return human.name(name).lstrip("_") or human.MISSING


def _dollars(usd: Sequence[float]) -> list[float]:
    return [1000 * value for value in usd]


def _percents(quality: Sequence[float]) -> list[float]:
    return [100 * value for value in quality]
