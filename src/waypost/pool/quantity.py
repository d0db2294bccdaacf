"""Exact numbers with units, and the bounds that keep any request cheap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import NoReturn

from waypost.errors import Declined
from waypost.pool.units import CURRENCIES, ONE, PERCENT, Unit, combined

_BITS = 10_000  # of a numerator or denominator: some 3,000 digits
_EXACT_DIGITS = 15
_ROUNDED = Context(prec=10, rounding=ROUND_HALF_EVEN)
_FINE = Context(prec=50)


def decline(why: str) -> NoReturn:
    """Refuse with a sentence."""
    raise Declined(why)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a unit; ``worded`` when the unit was written as a word and should be answered so.

    >>> Quantity(Fraction(3), ONE) / Quantity(Fraction(4), ONE)
    Quantity(number=Fraction(3, 4), unit=Unit(symbol='', one='', many='', dimension=(), factor=Fraction(1, 1), \
offset=Fraction(0, 1)), worded=False)
    """

    number: Fraction
    unit: Unit = ONE
    worded: bool = False

    def __post_init__(self) -> None:
        if max(abs(self.number.numerator).bit_length(), self.number.denominator.bit_length()) > _BITS:
            decline("the numbers grow too large")

    def to(self, unit: Unit, worded: bool = False) -> Quantity:
        """The same amount in another unit."""
        if unit.dimension != self.unit.dimension:
            decline(f"{_kind(self.unit)} cannot be converted to {_kind(unit)}")
        return Quantity(self.unit.convert(self.number, unit), unit, worded)

    def plain(self) -> Fraction:
        """The bare number of an amount without a dimension; a percentage is a hundredth of its number."""
        if self.unit.dimension:
            decline(f"a plain number is needed where there is a {_kind(self.unit)}")
        return self.number * self.unit.factor

    def __neg__(self) -> Quantity:
        return Quantity(-self.number, self.unit, self.worded)

    def __add__(self, other: Quantity) -> Quantity:
        return self._sum(other, Fraction.__add__)

    def __sub__(self, other: Quantity) -> Quantity:
        return self._sum(other, Fraction.__sub__)

    def _sum(self, other: Quantity, operation: Callable[[Fraction, Fraction], Fraction]) -> Quantity:
        if (self.unit is PERCENT) != (other.unit is PERCENT):
            decline("adding a percentage to a number can mean two things")
        if self.unit.offset or other.unit.offset:
            decline("adding temperatures can mean two things")
        return Quantity(operation(self.number, other.to(self.unit).number), self.unit, self.worded)

    def __mul__(self, other: Quantity) -> Quantity:
        return self._product(other, 1)

    def __truediv__(self, other: Quantity) -> Quantity:
        return self._product(other, -1)

    def _product(self, other: Quantity, sign: int) -> Quantity:
        if "temperature" in dict((*self.unit.dimension, *other.unit.dimension)):
            decline("temperatures cannot be multiplied")
        if sign < 0 and other.number == 0:
            decline("division by zero has no answer")
        number = self.number * other.number**sign
        # A percentage, and anything whose dimensions cancel, becomes a plain number.
        if not other.unit.dimension and self.unit.dimension:
            return Quantity(number * other.unit.factor**sign, self.unit, self.worded)
        if sign > 0 and not self.unit.dimension and other.unit.dimension:
            return Quantity(number * self.unit.factor, other.unit, other.worded)
        unit = combined(self.unit, other.unit, sign)
        return Quantity(number, unit, False) if unit.dimension else Quantity(number * unit.factor)

    def power(self, exponent: Quantity) -> Quantity:
        """This to an integer power within bounds."""
        base, n = self.plain(), exponent.plain()
        if n.denominator != 1:
            decline("only whole-number powers are exact")
        size = max(abs(base.numerator).bit_length(), base.denominator.bit_length())
        if abs(n) * size > _BITS:
            decline("the power is too large to write out")
        if base == 0 and n < 0:
            decline("zero has no negative power")
        return Quantity(base ** int(n))

    def root(self, degree: int) -> Quantity:
        """The square or cube root: exact where it is a fraction, otherwise good to 50 digits."""
        value = self.plain()
        if value < 0:
            decline("a negative number has no real root here")
        exact = Fraction(*(_integer_root(n, degree) for n in (value.numerator, value.denominator)))
        if exact**degree == value:
            return Quantity(exact)
        decimal = _FINE.divide(Decimal(value.numerator), Decimal(value.denominator))
        return Quantity(Fraction(_FINE.power(decimal, _FINE.divide(Decimal(1), Decimal(degree)))))

    def factorial(self) -> Quantity:
        """The factorial of a whole number up to 500."""
        value = self.plain()
        if value.denominator != 1 or not 0 <= value <= 500:
            decline("factorials are computed for whole numbers from 0 to 500")
        return Quantity(Fraction(math.factorial(int(value))))

    def modulo(self, other: Quantity) -> Quantity:
        """The remainder of two whole numbers, with the sign of the divisor."""
        left, right = self.plain(), other.plain()
        if left.denominator != 1 or right.denominator != 1 or right == 0:
            decline("a remainder needs two whole numbers, the second not zero")
        return Quantity(left % right)

    def rounded(self, step: Fraction) -> Quantity:
        """The nearest multiple of a step; halves go up, as taught at school."""
        halves = self.number / step + Fraction(1, 2)
        if self.number < 0 and halves.denominator == 1:
            decline("rounding half of a negative number can mean two things")
        return Quantity(halves.__floor__() * step, self.unit, self.worded)

    def __str__(self) -> str:
        number = written(self.number)
        if self.unit.dimension and not self.unit.symbol:
            decline("the result is in an unusual unit; say which unit is wanted")
        if self.worded and self.unit is not PERCENT:
            return f"{number} {self.unit.one if abs(self.number) == 1 else self.unit.many}"
        if self.unit.symbol and self.unit.symbol in CURRENCIES:
            return f"{'-' * (self.number < 0)}{self.unit.symbol}{number.removeprefix('-')}"
        return f"{number}{'' if self.unit is PERCENT else ' '}{self.unit.symbol}".rstrip()


def written(value: Fraction) -> str:
    """A number in decimal: exact up to 15 digits after it ends, otherwise rounded to 10 significant digits.

    >>> [written(Fraction(v)) for v in ("13/4", "1/3", "-2", "1/1024")]
    ['3.25', '0.3333333333', '-2', '0.0009765625']
    """
    if value.denominator == 1:
        return str(value.numerator)
    if abs(value) < Fraction(1, 10**30):
        decline("the result is too small to write out")
    top, bottom = Decimal(value.numerator), Decimal(value.denominator)
    exact = Context(prec=_EXACT_DIGITS).divide(top, bottom)
    if Fraction(exact) != value:
        exact = _ROUNDED.divide(top, bottom)
    text = format(exact, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _integer_root(value: int, degree: int) -> int:
    if degree == 2:
        return math.isqrt(value)
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def _kind(unit: Unit) -> str:
    return " ".join(f"{base}{'' if e == 1 else f'^{e}'}" for base, e in unit.dimension) or "number"
