"""What people and machines read of a comparison: tables within 120 columns, a sentence a router, rows of JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waypost.cli.runs import Found
    from waypost.evaluation import Comparison, Line
    from waypost.evaluation.spread import Spread


def title(name: str, found: Comparison) -> str:
    """What was measured on, in a line above the table."""
    facts = [f"{found.n:,} questions"]
    if found.clusters < found.n:
        facts.append(f"{found.clusters:,} of them different")
    if found.complete < found.n:
        facts.append(f"{found.complete:,} with every model")
    unpriced = "" if found.zero_at else "; no zero router, as costs are unknown"
    return f"\n{name}: {', '.join(facts)}; best single model {found.best_single}{unpriced}"


def people(found: Comparison) -> list[dict[str, Any]]:
    """The ranking: everything that was measured, best first."""
    frugal = any(line.vs_cheapest_ci95 and line.name != "cheapest" for line in found.lines)
    timed = any(not math.isnan(line.seconds) for line in found.lines)
    return [
        {
            "": line.name,
            "quality %": None if math.isnan(line.quality) else f"{100 * line.quality:.2f}",
            "vs best single": points(line.gain_ci95),
            **({"vs cheapest": points(line.vs_cheapest_ci95)} if frugal else {}),
            "vs zero": points(line.zero_gain_ci95),
            "$ / 1,000": None if math.isnan(line.usd) else f"{1000 * line.usd:.3g}",
            **({"seconds": None if math.isnan(line.seconds) else f"{line.seconds:.3g}"} if timed else {}),
            "verdict": _which(line, found),
        }
        for line in sorted(found.lines, key=lambda line: (math.isnan(line.quality), -line.quality))
    ]


def sentences(found: Comparison) -> Iterator[str]:
    """A verdict for each router and strategy that was asked for, best first."""
    best = found.line(found.best_single, "model")
    asked = [line for line in found.lines if line.kind == "asked"]
    for line in sorted(asked, key=lambda line: (math.isnan(line.quality), -line.quality)):
        yield f"{line.name} {_verdict(line, best, found.resamples)}"


def rows(test: str, parts: Mapping[str, Comparison], dropped: int = 0) -> Iterator[dict[str, Any]]:
    """What machines get: one row for each router and strategy that was asked for, on the part that counts.

    Where questions leaked, what it gains on all of them and on the leaked ones stands in ``by_part``, unless they
    were ``dropped`` before anything was measured.
    """
    found = next(iter(parts.values()))
    lines = {(line.kind, line.name): line for line in found.lines}
    best, chance, oracle = lines["model", found.best_single], lines["bound", "chance"], lines["bound", "oracle"]
    for line in found.lines:
        if line.kind == "asked":
            yield {
                "router": line.name,
                "test": test,
                "n": line.n,
                "missing": line.missing,
                "unpriced": line.unpriced,
                "clusters": found.clusters,
                "complete": found.complete,
                "quality": line.quality,
                "usd": line.usd,
                "seconds": line.seconds,
                "best_single": best.quality,
                "best_single_model": best.name,
                "best_single_usd": best.usd,
                "best_single_in_training": found.best_single_in_training,
                "cheapest_model": found.cheapest,
                "chance": chance.quality,
                "oracle": oracle.quality,
                "ci95": line.ci95,
                "gain": line.gain,
                "gain_se": line.gain_se,
                "gain_ci95": line.gain_ci95,
                "vs_cheapest_ci95": line.vs_cheapest_ci95,
                "zero_gain": line.zero_gain,
                "zero_gain_ci95": line.zero_gain_ci95,
                "gap_closed": line.gap_closed,
                "p_beats": line.p_beats,
                "p": line.p,
                "p_adjusted": line.p_adjusted,
                "verdict": line.verdict,
                "share": line.share,
                "leaked": parts["all"].n - found.n if "all" in parts else dropped,
                "by_part": {part: _gain(one.line(line.name, "asked")) for part, one in list(parts.items())[1:]},
            }


def macro(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The plain mean over test files, for what every file has."""
    columns = [{(line.kind, line.name): line for line in one.lines} for one in found]
    common = [key for key in columns[0] if all(key in column for column in columns)]
    listed = [(name, [column[kind, name] for column in columns]) for kind, name in common]
    best = sum(one.line(one.best_single, "model").quality for one in found) / len(found)
    listed.sort(key=lambda row: -sum(line.quality for line in row[1]))
    return [
        {
            "": name,
            "quality %": f"{100 * sum(line.quality for line in lines) / len(lines):.2f}",
            "vs best single of each": f"{100 * (sum(line.quality for line in lines) / len(lines) - best):+.2f}",
            "$ / 1,000": 1000 * sum(line.usd for line in lines) / len(lines),
            "beats": sum(line.verdict == "beats" for line in lines),
            "matches": sum(line.verdict == "matches" for line in lines),
            "loses": sum(line.verdict == "loses" for line in lines),
        }
        for name, lines in listed
    ]


def leaked(name: str, parts: Mapping[str, Comparison]) -> str:
    """What is above the table of the parts."""
    clean, whole = parts["clean"].n, parts["all"].n
    return (
        f"\n{name}: {whole - clean:,} of {whole:,} questions are also in training; what is said above holds for the "
        f"{clean:,} others.\nGain on the best single model of each part:"
    )


def by_part(parts: Mapping[str, Comparison]) -> list[dict[str, Any]]:
    """Each router's gain and verdict on the clean questions, on all, and on the leaked ones; and what leaks change."""
    ranks = {part: _ranks(one) for part, one in parts.items()}
    listed = []
    for name in ranks["clean"]:
        lines = {part: one.line(name, "asked") for part, one in parts.items()}
        before, after = ranks["clean"][name], ranks["all"][name]
        changes = [
            *(["the verdict"] if lines["clean"].verdict != lines["all"].verdict else []),
            *([f"its place from {before} to {after}"] if before != after else []),
        ]
        cells = {part: f"{_point(line.gain) or '–'} {line.verdict}" for part, line in lines.items()}
        listed.append({"": name, **cells, "with leaks changes": " and ".join(changes) or "nothing"})
    return listed


def _ranks(found: Comparison) -> dict[str, int]:
    """The place of each router by its gain, best first."""
    asked = [line for line in found.lines if line.kind == "asked"]
    asked.sort(key=lambda line: (math.isnan(line.gain), -line.gain))
    return {line.name: place for place, line in enumerate(asked, 1)}


def runs(name: str, found: Found) -> str:
    """What is above the table of several runs."""
    splits, seeds = len(found.runs), len(found.runs[0])
    return (
        f"\n{name}: {splits} splits × {seeds} seeds, {found.runs[0][0].n:,} questions in the first; gain on the best "
        f"single model of each split\n±: what other questions, splits and seeds change, one standard deviation"
    )


def spreads(found: Sequence[tuple[Spread, Sequence[Line]]]) -> list[dict[str, Any]]:
    """Means over all runs, best first, and what the gain varies by."""
    listed = []
    for one, lines in sorted(found, key=lambda pair: (math.isnan(pair[0].parts.gain), -pair[0].parts.gain)):
        quality, usd, zero_gain = means(lines)
        listed.append(
            {
                "": one.router,
                "quality %": f"{100 * quality:.2f}",
                "gain": _point(one.parts.gain),
                "95 %": points(one.parts.ci95),
                "± questions": _deviation(one.parts.questions),
                "± splits": _deviation(one.parts.splits),
                "± seeds": _deviation(one.parts.seeds),
                "vs zero": _point(zero_gain),
                "$ / 1,000": None if math.isnan(usd) else f"{1000 * usd:.3g}",
                "verdict": one.verdict if lines[0].kind == "asked" else lines[0].kind,
            }
        )
    return listed


def spread_rows(test: str, found: Found) -> Iterator[dict[str, Any]]:
    """What machines get of several runs: one row for each router and strategy that was asked for."""
    for one, lines in found.spread():
        if lines[0].kind == "asked":
            quality, usd, zero_gain = means(lines)
            yield {
                "router": one.router,
                "test": test,
                "splits": len(found.runs),
                "seeds": len(found.runs[0]),
                "tested": found.tested,
                "leaked": found.dropped,
                "quality": quality,
                "usd": usd,
                "gain": one.parts.gain,
                "gain_se": one.parts.se,
                "gain_ci95": one.parts.ci95,
                "sd_questions": one.parts.questions,
                "sd_splits": one.parts.splits,
                "sd_seeds": one.parts.seeds,
                "zero_gain": zero_gain,
                "p": one.parts.p,
                "p_adjusted": one.p_adjusted,
                "verdict": one.verdict,
                "runs": [{"gain": line.gain, "verdict": line.verdict} for line in lines],
            }


def points(bounds: tuple[float, float] | None) -> str:
    """An interval in points of a hundred.

    >>> points((-0.012, 0.0051)), points(None)
    ('-1.20 … +0.51', '–')
    """
    if bounds is None or math.isnan(bounds[0]):
        return "–"
    low, high = (0.0 if abs(bound) < 5e-5 else bound for bound in bounds)  # a zero has no sign
    return f"{100 * low:+.2f} … {100 * high:+.2f}"


def _point(gain: float) -> str | None:
    return None if math.isnan(gain) else f"{100 * gain:+.2f}"


def _deviation(points: float) -> str | None:
    return None if math.isnan(points) else f"{100 * points:.2f}"


def means(lines: Sequence[Line]) -> tuple[float, ...]:
    """Quality, USD and the gain on the zero router, over all runs."""
    return tuple(sum(getattr(line, of) for line in lines) / len(lines) for of in ("quality", "usd", "zero_gain"))


def _gain(line: Line) -> dict[str, Any]:
    return {"n": line.n, "gain": line.gain, "gain_ci95": line.gain_ci95, "verdict": line.verdict}


def probability(p: float, resamples: int) -> str:
    """A probability, no closer to certain than so many resamples can tell.

    >>> probability(1.0, 2000), probability(0.62, 2000), probability(0.0, 60)
    ('p > 0.999', 'p 0.620', 'p < 0.017')
    """
    least = math.ceil(1000 / (1 + resamples)) / 1000
    if p > 1 - least:
        return f"p > {1 - least:.3f}"
    return f"p {p:.3f}" if p >= least else f"p < {least:.3f}"


def _verdict(line: Line, best: Line, resamples: int) -> str:
    """Beats, matches or loses; at which cost and with what probability; how it stands to the zero router."""
    if line.verdict == "not measured":
        return "was not measured: the table has none of the answers that it chose"
    words = {"loses": "loses against"}.get(line.verdict, line.verdict)
    cost = f" at {line.usd / best.usd:.0%} of its cost" if line.usd >= 0 and best.usd > 0 else ""
    parts = [f"{words} {best.name}{cost} ({probability(line.p_beats, resamples)})"]
    low, high = line.zero_gain_ci95
    if not math.isnan(low):
        parts.append(f"{'above' if low > 0 else 'below' if high < 0 else 'no better than'} the zero router")
    return "; ".join((*parts, *_gaps(line)))


def _gaps(line: Line) -> list[str]:
    gaps = [f"{line.missing:,} not measured"] if line.missing and line.n else []
    # Where nothing has a price the dash says it all.
    return gaps + ([f"{line.unpriced:,} of unknown cost"] if 0 < line.unpriced < line.n else [])


def _which(line: Line, found: Comparison) -> str:
    """What a line is: a verdict in a word, or which model, or which bound."""
    if line.kind == "asked":
        words = [line.verdict]
    elif line.kind == "model":
        words = _marks(line.name, found)
    else:
        words = [{"oracle": "best of each", "chance": "any model", "zero": f"mix, as {found.zero_at}"}[line.name]]
    return "; ".join((*words, *_gaps(line)))


def _marks(name: str, found: Comparison) -> list[str]:
    marks = {
        "best": found.best_single,
        "best in training": found.best_single_in_training,
        "cheapest": found.cheapest,
    }
    if found.best_single == found.best_single_in_training:
        del marks["best in training"]
    return [mark for mark, marked in marks.items() if marked == name]
