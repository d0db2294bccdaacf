"""Numbers as people read them."""

from __future__ import annotations

import math

MISSING = "–"


def percent(share: float, decimals: int = 1) -> str:
    """A share of 1 in percent.

    >>> percent(0.5647), percent(1.0, 0), percent(float("nan"))
    ('56.5 %', '100 %', '–')
    """
    return MISSING if math.isnan(share) else f"{100 * share:.{decimals}f} %"


def points(difference: float, decimals: int = 1) -> str:
    """A difference of two shares in percentage points, always with its sign.

    >>> points(0.2212), points(-0.005, 2), points(0.00001)
    ('+22.1', '−0.50', '0.0')
    """
    if math.isnan(difference):
        return MISSING
    text = f"{100 * difference:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def span(bounds: tuple[float, float] | None, *, signed: bool = False) -> str:
    """Both ends of an interval, in percent or, ``signed``, in points.

    >>> span((0.531, 0.597)), span((-0.01, 0.02), signed=True), span(None)
    ('53.1 … 59.7', '−1.0 … +2.0', '–')
    """
    if bounds is None or math.isnan(bounds[0]):
        return MISSING
    return " … ".join(points(b) if signed else f"{100 * b:.1f}" for b in bounds)


def usd(each: float) -> str:
    """A price with three significant digits and without an exponent.

    >>> usd(0.00771), usd(12.3456), usd(1234.5), usd(6.94e-7), usd(0.0), usd(float("nan"))
    ('$0.00771', '$12.3', '$1,234', '$0.000000694', '$0', '–')
    """
    if math.isnan(each):
        return MISSING
    if each == 0:
        return "$0"
    decimals = max(0, 2 - math.floor(math.log10(abs(each))))
    return f"${each:,.{decimals}f}"


def count(number: int, what: str = "", plural: str = "") -> str:
    """A whole number with its noun.

    >>> count(1716), count(1, "question"), count(2520, "question"), count(2, "reply", "replies")
    ('1,716', '1 question', '2,520 questions', '2 replies')
    """
    noun = what if number == 1 else plural or what + "s"
    return f"{number:,} {noun}" if what else f"{number:,}"


def chance(probability: float) -> str:
    """A probability from resamples, which never prove certainty.

    >>> chance(0.973), chance(1.0), chance(0.0), chance(float("nan"))
    ('97 %', '> 99 %', '< 1 %', '–')
    """
    if math.isnan(probability):
        return MISSING
    return "> 99 %" if probability > 0.99 else "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def probability(p: float) -> str:
    """A p-value with the digits that resamples can tell.

    >>> probability(0.0312), probability(0.0), probability(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    return MISSING if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(names: list[str]) -> str:
    """Names as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def name(full: str, most: int = 24) -> str:
    """A name that fits beside an axis: of owner/model the model, when both are too long.

    >>> name("large"), name("mistralai/mixtral-8x7b-chat"), name("x" * 30)
    ('large', 'mixtral-8x7b-chat', 'xxxxxxxxxxxxxxxxxxxxxxx…')
    """
    line = " ".join(clean(full).split())
    return shortened(line if len(line) <= most else line.rsplit("/", 1)[-1], most) or MISSING


def shortened(text: str, most: int = 160) -> str:
    r"""The beginning of a text on one line.

    >>> shortened("one\n two  three", 9)
    'one two …'
    """
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + (" …" if line[most - 2] == " " else "…")


def clean(text: str) -> str:
    r"""The text with what UTF-8 cannot hold, such as half an emoji of a broken log, as question marks.

    >>> clean("a\ud800b")
    'a?b'
    """
    return text.encode("utf-8", errors="replace").decode("utf-8")
