"""An exact expert of arithmetic, percentages and units: a parser, no model, and never ``eval``."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from waypost.pool.expert import Expert
from waypost.pool.expressions import parse
from waypost.pool.quantity import Quantity, decline
from waypost.pool.units import ONE, PERCENT, SPELLINGS, Unit, unit_named

_LIMIT = 300  # characters; a longer text is a word problem anyway


class Arithmetic(Expert):
    """Answers questions that are wholly arithmetic, with the number and its unit and nothing else.

    It declines everything that it does not understand to the last word, ambiguous percentages, dates, division
    by zero and what would be too large to write out; a request costs well under a millisecond whatever it says.
    """

    def answer(self, text: str) -> str:
        """The exact result, or rounded to 10 significant digits where it does not end; see `solve`."""
        return solve(text)


def solve(prompt: str) -> str:
    """The answer to an arithmetical question.

    Raises:
        Declined: it is not wholly one; the sentence says what stood in the way.

    >>> solve("What is 15% of 240?"), solve("3 km + 250 m in m"), solve("How many minutes are in 3.5 hours?")
    ('36', '3250 m', '210 minutes')
    >>> solve("Anna has 3 apples and buys 4 more. How many has she?")
    Traceback (most recent call last):
    waypost.errors.Declined: 'Anna' is not arithmetic
    """
    if len(prompt) > _LIMIT:
        decline(f"the prompt has {len(prompt)} characters; arithmetic takes at most {_LIMIT}")
    text = _bare(prompt)
    if _DATE.search(text):
        decline("this looks like a date")
    for pattern, meaning in _FRAMES:
        if match := pattern.fullmatch(text):
            return str(meaning(*match.groups()))
    value, steps = parse(text)
    if not steps:
        decline("there is nothing to compute")
    return str(value)


def _bare(prompt: str) -> str:
    """The question without its polite beginning and its end."""
    text = re.sub(r"\s+", " ", prompt).strip()
    while (shorter := _OPENING.sub("", text)) != text:
        text = shorter
    return _ENDING.sub("", text).strip()


_OPENING = re.compile(
    r"^(?:(?:please|can you|could you|tell me|hi|hello|hey|what is|what's|what does|what are|whats|how much is|"
    r"calculate|compute|evaluate|work out|find|solve|simplify|the (?:value|result|answer|exact value) of|"
    r"what do you get if you)"
    r"\b[,:]?\s*)",
    re.IGNORECASE,
)
_ENDING = re.compile(r"(?:[\s?.=:]|\b(?:equals?|equal to|is|please|make)\b)+$", re.IGNORECASE)
_DATE = re.compile(r"(?<![\d.])\d{1,4}([-/])\d{1,2}\1\d{1,4}(?![\d.])")


def _value(text: str) -> Quantity:
    return parse(text)[0]


def _unit(text: str) -> Unit:
    unit = unit_named(text.strip())
    if unit is None:
        decline(f"'{text.strip()}' is no unit known here")
    return unit


def _convert(amount: str, unit: str) -> Quantity:
    value, target = _value(amount), _unit(unit)
    if target is PERCENT:
        return Quantity(value.plain() * 100, PERCENT)
    if value.unit is ONE:
        decline("the number to convert has no unit")
    return value.to(target, target.is_word(unit))


def _changed(amount: str, by: str, sign: int) -> Quantity:
    """An amount increased or decreased: by a percentage of itself, or by another amount."""
    value, change = _value(amount), _value(by)
    if change.unit is PERCENT:
        return value * Quantity(1 + sign * change.plain())
    return value + change if sign > 0 else value - change


def _discount(percent: str, amount: str) -> Quantity:
    if _value(percent).unit is not PERCENT:
        decline("'off' needs a percentage before it")
    return _changed(amount, percent, -1)


def _share(part: str, whole: str) -> Quantity:
    """What percentage one amount is of another."""
    return Quantity((_value(part) / _value(whole)).plain() * 100, PERCENT)


def _listed(text: str) -> list[Quantity]:
    # "one hundred and five" has an "and" of its own: split at commas and at the last "and" only.
    *first, last = re.split(r",\s+", text)
    items = [*first, *re.split(r"(?:^|\s)and\s(?!.*\sand\s)", last, maxsplit=1, flags=re.IGNORECASE)]
    values = [_value(item) for item in items if item.strip()]
    if len(values) < 2:
        decline("a list of at least two numbers is needed")
    return values


def _folded(operation: Callable[[Quantity, Quantity], Quantity]) -> Callable[[str], Quantity]:
    def fold(text: str) -> Quantity:
        total, *rest = _listed(text)
        for value in rest:
            total = operation(total, value)
        return total

    return fold


def _mean(text: str) -> Quantity:
    count = Quantity(Fraction(len(_listed(text))))
    return _folded(Quantity.__add__)(text) / count


def _pair(operation: Callable[[Quantity, Quantity], Quantity]) -> Callable[[str, str], Quantity]:
    return lambda left, right: operation(_value(left), _value(right))


_U = "|".join(re.escape(s) for s in sorted(SPELLINGS, key=len, reverse=True))
_X = "(.+?)"
_FRAMES: list[tuple[re.Pattern[str], Callable[..., Quantity]]] = [
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (
            rf"how (?:many|much) ({_U}) (?:(?:are|is) )?(?:there )?(?:in|equals?|makes?)\s+{_X}",
            lambda u, x: _convert(x, u),
        ),
        (rf"(?:convert |express |change )?{_X} (?:in|to|into|as|as an?) (?:degrees )?({_U})", _convert),
        (rf"{_X} off(?: of)? {_X}", _discount),
        (rf"(?:increase|raise) {_X} by {_X}", lambda x, p: _changed(x, p, 1)),
        (rf"(?:decrease|reduce|lower|discount) {_X} by {_X}", lambda x, p: _changed(x, p, -1)),
        (rf"{_X} (?:increased|raised) by {_X}", lambda x, p: _changed(x, p, 1)),
        (rf"{_X} (?:decreased|reduced) by {_X}", lambda x, p: _changed(x, p, -1)),
        (rf"what (?:percent|percentage|%) of {_X} is {_X}", lambda whole, part: _share(part, whole)),
        (rf"{_X} is what (?:percent|percentage|%) of {_X}", _share),
        (rf"{_X} as a percent(?:age)? of {_X}", _share),
        (rf"(?:the )?sum of {_X}", _folded(Quantity.__add__)),
        (rf"(?:the )?product of {_X}", _folded(Quantity.__mul__)),
        (rf"(?:the )?(?:average|mean) of {_X}", _mean),
        (rf"(?:the )?difference (?:between|of) {_X}", _folded(lambda a, b: max(a - b, b - a, key=lambda q: q.number))),
        (rf"(?:the )?remainder (?:when|of) {_X} (?:is )?divided by {_X}", _pair(Quantity.modulo)),
        (rf"subtract {_X} from {_X}", _pair(lambda a, b: b - a)),
        (rf"{_X} subtracted from {_X}", _pair(lambda a, b: b - a)),
        (rf"add {_X} (?:to|and) {_X}", _pair(lambda a, b: b + a)),
        (rf"multiply {_X} (?:by|and) {_X}", _pair(Quantity.__mul__)),
        (rf"divide {_X} by {_X}", _pair(Quantity.__truediv__)),
    )
]
