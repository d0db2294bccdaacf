"""What the wordings of arithmetical questions mean: each function takes pieces of the text and gives the result."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from waypost.pool.expressions import parse
from waypost.pool.quantity import Quantity, decline
from waypost.pool.units import ONE, PERCENT, Unit, unit_named


def _value(text: str) -> Quantity:
    return parse(text)[0]


def _unit(text: str) -> Unit:
    unit = unit_named(text.strip())
    if unit is None:
        decline(f"'{text.strip()}' is no unit known here")
    return unit


def convert(amount: str, unit: str) -> Quantity:
    """An expression's amount in a unit."""
    return to_unit(_value(amount), unit)


def to_unit(value: Quantity, unit: str) -> Quantity:
    """An amount in a unit that is named; a plain number becomes a percentage only."""
    target = _unit(unit)
    if target is PERCENT:
        return Quantity(value.plain() * 100, PERCENT)
    if value.unit is ONE:
        decline("the number to convert has no unit")
    return value.to(target, target.is_word(unit))


def changed(amount: str, by: str, sign: int) -> Quantity:
    """An amount increased or decreased: by a percentage of itself, or by another amount."""
    value, change = _value(amount), _value(by)
    if change.unit is PERCENT:
        if value.unit is PERCENT:
            decline("a percentage of a percentage and percentage points differ")
        return value * Quantity(1 + sign * change.plain())
    return value + change if sign > 0 else value - change


def discount(percent: str, amount: str) -> Quantity:
    """An amount with a percentage taken off."""
    if _value(percent).unit is not PERCENT:
        decline("'off' needs a percentage before it")
    return changed(amount, percent, -1)


def share(part: str, whole: str) -> Quantity:
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


def folded(operation: Callable[[Quantity, Quantity], Quantity]) -> Callable[[str], Quantity]:
    """The meaning that joins a list of amounts from left to right."""

    def fold(text: str) -> Quantity:
        total, *rest = _listed(text)
        for value in rest:
            total = operation(total, value)
        return total

    return fold


def mean(text: str) -> Quantity:
    """The average of a list."""
    count = Quantity(Fraction(len(_listed(text))))
    return folded(Quantity.__add__)(text) / count


def pair(operation: Callable[[Quantity, Quantity], Quantity]) -> Callable[[str, str], Quantity]:
    """The meaning that joins two amounts."""
    return lambda left, right: operation(_value(left), _value(right))


def _percent(text: str) -> Fraction:
    """The share that a percentage is, say 1/4."""
    percent = _value(text)
    if percent.unit is not PERCENT:
        decline(f"'{text}' is no percentage")
    return percent.plain()


def tip(percent: str, amount: str) -> Quantity:
    """A percentage of an amount."""
    return _value(amount) * Quantity(_percent(percent))


def whole(part: str, percent: str) -> Quantity:
    """The amount of which a percentage is known."""
    return _value(part) / Quantity(_percent(percent))


def before(price: str, percent: str, sign: int) -> Quantity:
    """The price before a percentage was added to it (``sign`` 1) or taken off (-1)."""
    factor = 1 + sign * _percent(percent)
    if factor <= 0:
        decline("a discount takes off less than the whole price")
    return _value(price) / Quantity(factor)


def change(word: str, old: str, new: str) -> Quantity:
    """By what percentage an amount changed; a rise or a fall must be one."""
    before, after = _value(old), _value(new)
    if before.unit.offset or before.unit is PERCENT or before.number <= 0:
        decline("a change in percent needs a positive amount to begin with")
    change = _percent_of(after - before, before)
    direction = DIRECTIONS[word.lower()]
    if direction * change.number < 0:
        decline(f"from {old} to {new} is no {'rise' if direction > 0 else 'fall'}")
    return -change if direction < 0 else change


DIRECTIONS = {
    "change": 0,
    **dict.fromkeys(("increase", "rose", "grew", "increased", "went up"), 1),
    **dict.fromkeys(("decrease", "fell", "dropped", "decreased", "went down"), -1),
}


def excess(more: str, less: str) -> Quantity:
    """How much one amount is more than another, which must be so."""
    difference = _value(more) - _value(less)
    if difference.number < 0 or difference.unit is PERCENT:
        decline(f"'{more}' is not plainly more than '{less}'")
    return difference


def _percent_of(part: Quantity, whole: Quantity) -> Quantity:
    return Quantity((part / whole).plain() * 100, PERCENT)


def chain(start: str, steps: str) -> Quantity:
    """An amount taken through steps in order: "add 20, then subtract 8"."""
    value = _value(start)
    for step in re.split(r"[,;.]? (?:and )?then,? |[,;.] (?:and )?| and ", steps, flags=re.IGNORECASE):
        match = _STEP.fullmatch(step)
        if match is None:
            decline(f"'{step}' is no step of a calculation")
        value = _STEPS[match[1].lower()](value, _value(match[2]))
    return value


_STEPS: dict[str, Callable[[Quantity, Quantity], Quantity]] = {
    **dict.fromkeys(("add", "plus"), Quantity.__add__),
    **dict.fromkeys(("subtract", "take away", "minus"), Quantity.__sub__),
    **dict.fromkeys(("multiply by", "multiply it by", "multiply the result by", "times"), Quantity.__mul__),
    **dict.fromkeys(("divide by", "divide it by", "divide the result by"), Quantity.__truediv__),
}
_STEP = re.compile(rf"({'|'.join(_STEPS)}) (.+)", re.IGNORECASE)


def unknown(left: str, right: str, name: str) -> Quantity:
    """The one value of a letter that makes a linear equation true."""
    equation = re.compile(rf"(?<![^\W\d_])([\d.]*){re.escape(name)}(?![^\W_])", re.IGNORECASE)
    both = f"{left} = {right}"
    if (
        not re.fullmatch(rf"[\d\s.+*/×÷·()=−-]*{re.escape(name)}[\d\s.+*/×÷·()=−-]*", both, re.IGNORECASE)
        or "**" in both
    ):
        decline("an equation is solved for one letter that stands in it once")

    def gap(guess: Fraction) -> Fraction:
        sides = equation.sub(lambda m: f"({m[1] or 1} * ({guess.numerator}/{guess.denominator}))", both).split("=")
        return (_value(sides[0]) - _value(sides[1])).plain()

    at_zero, at_one = gap(Fraction(0)), gap(Fraction(1))
    if at_zero == at_one:
        decline("the equation does not depend on its letter")
    solution = at_zero / (at_zero - at_one)
    if gap(solution) != 0:  # as with the letter in a denominator
        decline("the equation is not linear")
    return Quantity(solution)


def counted(first: str, last: str, parity: str | None = None) -> Quantity:
    """The sum of the whole numbers between two, both included; or of the even or odd ones alone."""
    low, high = _integer(first), _integer(last)
    if low > high:
        decline("the range of numbers runs backwards")
    step = 1
    if parity:
        step, odd = 2, parity.lower() == "odd"
        low, high = low + (low % 2 != odd), high - (high % 2 != odd)
    count = max(0, (high - low) // step + 1)
    return Quantity(Fraction(count * (low + high), 2))


def _integer(text: str) -> int:
    value = _value(text).plain()
    if value.denominator != 1:
        decline(f"'{text}' is no whole number")
    return int(value)


def continued(text: str) -> Quantity:
    """What follows at least four numbers that have one difference, or one ratio."""
    values = [_value(item).plain() for item in re.split(r",\s+|,$" if ", " in text else ",", text) if item]
    pairs = list(pairwise(values))
    if len(values) < 4:
        decline("a sequence of at least four numbers is needed")
    if len({b - a for a, b in pairs}) == 1:
        return Quantity(2 * values[-1] - values[-2])
    if 0 not in values and len({b / a for a, b in pairs}) == 1:
        return Quantity(values[-1] ** 2 / values[-2])
    decline("the sequence has neither one difference nor one ratio")


def rounded(text: str, place: str) -> Quantity:
    """An amount at the nearest named place."""
    return _value(text).rounded(PLACES[place.lower()])


DECIMALS = {
    **dict.fromkeys(("one decimal place", "1 decimal place"), Fraction(1, 10)),
    **dict.fromkeys(("two decimal places", "2 decimal places"), Fraction(1, 100)),
    **dict.fromkeys(("three decimal places", "3 decimal places"), Fraction(1, 1000)),
}
PLACES = DECIMALS | {
    **dict.fromkeys(("whole number", "integer", "unit", "one"), Fraction(1)),
    **dict.fromkeys(("ten", "10"), Fraction(10)),
    **dict.fromkeys(("hundred", "100"), Fraction(100)),
    **dict.fromkeys(("thousand", "1000", "1,000"), Fraction(1000)),
    "tenth": Fraction(1, 10),
    "hundredth": Fraction(1, 100),
    "thousandth": Fraction(1, 1000),
}


def extreme(sign: int) -> Callable[[str, str], Quantity]:
    """The larger (``sign`` 1) or smaller (-1) of two different amounts."""

    def choose(left: str, right: str) -> Quantity:
        first, second = _value(left), _value(right)
        difference = sign * (first - second).number
        if difference == 0:
            decline("the two are equal")
        return first if difference > 0 else second

    return choose


def is_more(left: str, word: str, right: str) -> str:
    """Whether one amount is larger, or smaller, than another."""
    difference = (_value(left) - _value(right)).number
    larger = word.lower() in ("larger", "greater", "bigger", "more", "higher")
    return _said(difference > 0 if larger else difference < 0)


def is_kind(text: str, kind: str) -> str:
    """Whether a number is even, odd or prime."""
    number = _integer(text)
    if kind.lower() == "prime":
        return _said(_is_prime(number))
    return _said(number % 2 == (kind.lower() == "odd"))


def _is_prime(number: int) -> bool:
    if number > _LARGEST_PRIME:
        decline("the number is too large to test for being prime")
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def is_multiple(number: str, divisor: str) -> str:
    """Whether a number is divisible by another."""
    return _said(_value(number).modulo(_value(divisor)).number == 0)


def _said(yes: bool) -> str:
    return "yes" if yes else "no"


_LARGEST_PRIME = 10**8
