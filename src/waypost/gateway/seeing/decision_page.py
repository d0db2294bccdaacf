"""One decision as a page for people: self-contained, without scripts, and everything in it escaped."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Container, Iterable, Iterator, Mapping
from html import escape
from typing import Any

from waypost.gateway.wire import Headers

Row = Mapping[str, Any]

_GONE = 499  # the client left
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #667080; --line: #e3e6eb; --paper: #fff; --back: #f6f7f9;
  --bar: #4c7dd9; --bad: #b3261e; --good: #1b7f4b }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #98a2b3; --line: #2e343d; --paper: #1b1f26;
  --back: #13161b; --bar: #6f9bf0; --bad: #ff8a80; --good: #6fd6a2 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere }
h2 { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 0 0 .6rem }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem;
  margin-top: 1rem; overflow-x: auto }
p { margin: 0 0 .4rem; overflow-wrap: anywhere }
.soft { color: var(--soft) } .bad { color: var(--bad) } .good { color: var(--good) }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .85rem }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere }
tr:last-child td { border-bottom: 0 }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.first td:first-child { font-weight: 600 }
svg { display: block; width: 100%; min-width: 5rem; height: 6px; margin-top: .5rem; border-radius: 3px;
  background: var(--line) }
rect { fill: var(--bar) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem 1.2rem; margin: 0 }
dt { color: var(--soft); font-size: .85rem } dd { margin: 0; overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .8rem 0 0; font: 13px/1.5 ui-monospace, monospace }
"""
_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Headers = [
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept"),
]


def wanted(headers: Headers) -> bool:
    """Whether a client prefers a page to JSON, as browsers say and others do not.

    >>> wanted([(b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")]), wanted([(b"accept", b"*/*")])
    (True, False)
    """
    liked: dict[str, float] = {}
    for part in b",".join(value for name, value in headers if name == b"accept").decode("latin-1").split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        given = next((word.removeprefix("q=") for word in parameters if word.startswith("q=")), "1")
        try:
            liked[kind] = float(given)
        except ValueError:
            liked[kind] = 0.0
    html = liked.get("text/html", 0.0)
    return html > 0 and html >= liked.get("application/json", 0.0)


def page(row: Row) -> bytes:
    """A decision as `Ledger.explain` gives it, as HTML."""
    parts = [_head(row), _asked(row), _ranking(row), _removed(row), _attempts(row), _facts(row), _trial(row)]
    parts.append(_feedback(row))
    body = "".join(part for part in parts if part)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Decision {_text(row['id'])}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )
    return text.encode(errors="replace")


def _head(row: Row) -> str:
    served, status = row["served"], row["status"]
    state = "good" if status == 200 else "bad"
    title = "Nobody answered" if served is None else f"{_text(served)} answered"
    if status == _GONE:
        title = "The client left before there was an answer" if served is None else f"The client left {_text(served)}"
    elif served is not None and status != 200:
        title = f"{_text(served)} broke off"
    return (
        f"<h1>{title}</h1><p>{_text(row['why'])}</p>"
        f'<p class="soft">Decision {_text(row["id"])}, {_text(row["time"])}, '
        f'<span class="{state}">status {_text(row["status"])}</span></p>'
    )


def _asked(row: Row) -> str:
    prompt = row["prompt"]
    facts = {
        "Asked for": row["requested"],
        "API": row.get("api"),
        "Decided by": row["router"],
        "Prompt's SHA-256": f"{str(row['prompt_sha256'])[:16]}…",
        "Length": None if prompt is None else f"{len(prompt)} characters",
        "Conversation": row.get("session"),
        "Key": row.get("key"),
        "Team": row.get("team"),
    }
    shown = f"<pre>{_text(prompt)}</pre>" if prompt is not None else ""
    return _section("What was asked", _list(facts) + shown)


_NOT_ASKED = ' <span class="soft">(not asked)</span>'


def _ranking(row: Row) -> str:
    told, chances = row["predictions"], row.get("propensities") or {}
    names = [*row["ranking"], *(name for name in told if name not in row["ranking"])]
    scores = [told[name]["score"] for name in names if told.get(name, {}).get("score") is not None]
    low, high = (min(scores), max(scores)) if scores else (0.0, 0.0)
    rows = []
    for place, name in enumerate(names):
        of = told.get(name, {})
        score, quality = of.get("score"), of.get("quality")
        width = None if score is None else 100.0 if high == low else 10 + 90 * (score - low) / (high - low)
        cells = [
            f"<td>{_text(name)}{'' if name in row['ranking'] else _NOT_ASKED}</td>",
            _number(score, "{:.4f}", _bar(width)),
            _number(quality, "{:.3f}", _bar(None if quality is None else 100 * quality)),
            _cell(_usd(of.get("usd"))),
            _number(of.get("seconds"), "{:.2f} s"),
        ]
        if chances:
            cells.append(_number(chances.get(name, 0.0), "{:.0%}"))
        rows.append((place == 0, cells))
    head = [
        "Model",
        "Score",
        "Expected quality",
        "Expected cost",
        "Expected time",
        *(["Drawn with"] if chances else []),
    ]
    weights = ", ".join(f"{_text(name)} {_text(f'{value:g}')}" for name, value in row["weights"].items())
    note = f'<p class="soft">Weights: {weights}</p>' if weights else ""
    title = "The ranking, best first" if row.get("shadow") is None else "Who is asked, in this order"
    return _section(title, _table(head, rows, numbers=range(1, 6)) + note)


def _removed(row: Row) -> str:
    rows = [(False, [f"<td>{_text(n)}</td>", f"<td>{_text(why)}</td>"]) for n, why in row["removed"].items()]
    return _section("Who was not asked", _table(["Model", "Why"], rows)) if rows else ""


def _attempts(row: Row) -> str:
    rows = []
    for each in row["attempts"]:
        state = "good" if each["outcome"] == "ok" else "bad"
        cells = [f"<td>{_text(each['model'])}</td>", f'<td class="{state}">{_text(each["outcome"])}</td>']
        cells += [_number(each["seconds"], "{:.3f} s"), _cell(_usd(each["usd"]))]
        rows.append((False, [*cells, f"<td>{_text(each['problem'] or '')}</td>"]))
    if not rows:
        return _section("What was called", '<p class="soft">Nobody</p>')
    return _section(
        "What was called, in order", _table(["Model", "Outcome", "Time", "Cost", "Problem"], rows, numbers=(2, 3))
    )


def _facts(row: Row) -> str:
    overhead = row.get("overhead_seconds")
    facts = {
        "Cost": _usd(row["usd"]),
        "Time": f"{row['seconds']:.3f} s",
        "Of it the gateway's own": None if overhead is None else f"{1000 * overhead:.2f} ms",
        "Tokens in": row["tokens_in"],
        "of them cached": row.get("tokens_cached"),
        "of them written to a cache": row.get("tokens_written"),
        "Tokens out": row["tokens_out"],
        "of them thought": row.get("tokens_reasoning"),
        "Answered by the cache": row.get("cache"),
    }
    return _section("What it took", _list(facts))


def _trial(row: Row) -> str:
    shadow, facts = row.get("shadow"), {"Arm of the trial": row.get("canary")}
    if shadow:
        usd, quality = shadow.get("usd"), shadow.get("quality")
        facts |= {
            "The router would have asked": shadow.get("model"),
            "at a cost of": _usd(usd),
            "with an expected quality of": None if quality is None else f"{quality:.3f}",
        }
    return _section("On trial", _list(facts)) if any(facts.values()) else ""


def _feedback(row: Row) -> str:
    rows = [
        (
            False,
            [_number(said["quality"], "{:.2f}"), f"<td>{_text(said['comment'])}</td><td>{_text(said['time'])}</td>"],
        )
        for said in row.get("feedback") or ()
    ]
    return _section("Feedback", _table(["Quality", "Comment", "Time"], rows)) if rows else ""


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>{inside}</section>"


def _list(facts: Mapping[str, Any]) -> str:
    known = (f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items() if value is not None)
    return f"<dl>{''.join(known)}</dl>"


def _table(head: Iterable[str], rows: Iterable[tuple[bool, list[str]]], *, numbers: Container[int] = ()) -> str:
    titles = "".join(f"<th{' class=n' if numbers and place else ''}>{title}</th>" for place, title in enumerate(head))
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(_lines(rows))}</tbody></table>"


def _lines(rows: Iterable[tuple[bool, list[str]]]) -> Iterator[str]:
    for first, cells in rows:
        yield f"<tr{' class=first' if first else ''}>{''.join(cells)}</tr>"


def _number(value: float | None, form: str, more: str = "") -> str:
    shown = "–" if value is None or value != value else form.format(value)
    return _cell(shown + more)


def _cell(shown: str) -> str:
    return f'<td class="n">{shown}</td>'


def _usd(value: float | None) -> str:
    """Four digits that count, written out: prices of small models are no place for exponents.

    >>> _usd(0.0000305), _usd(12.5), _usd(0.0), _usd(None)
    ('$0.0000305', '$12.5', '$0', '–')
    """
    if value is None or value != value:
        return "–"
    return f"${float(f'{value:.4g}'):.12f}".rstrip("0").rstrip(".")


def _bar(percent: float | None) -> str:
    """A bar of so many percent; as a picture, since the page allows itself no style in an element."""
    if percent is None or percent != percent:
        return ""
    width = max(0.0, min(100.0, percent))
    return f'<svg viewBox="0 0 100 6" preserveAspectRatio="none"><rect width="{width:.1f}" height="6"/></svg>'


def _text(value: Any) -> str:
    return escape(str(value), quote=True)
