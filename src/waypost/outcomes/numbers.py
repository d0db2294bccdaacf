"""Numbers as people write them: 1,234.5, -3, 3/4, 1 1/2, ½, 12%, "twenty-one", 5 km."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# One name a unit and the ways to write it.  Case is ignored, so that "Mb" and "mb" are the same here.
_UNITS = {
    "%": "% percent",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "m": "m meter meters metre metres",
    "cm": "cm cms centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "mile": "mi mile miles",
    "foot": "ft foot feet",
    "inch": "in inch inches",
    "yard": "yd yard yards",
    "kg": "kg kgs kilo kilos kilogram kilograms",
    "g": "g gram grams",
    "mg": "mg milligram milligrams",
    "tonne": "t tonne tonnes",
    "pound": "lb lbs pound pounds",
    "ounce": "oz ounce ounces",
    "l": "l liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "year": "year years",
    "°c": "°c celsius",
    "°f": "°f fahrenheit",
    "byte": "byte bytes",
    "kb": "kb kilobyte kilobytes",
    "mb": "mb megabyte megabytes",
    "gb": "gb gigabyte gigabytes",
}
_UNIT_OF = {name: unit for unit, names in _UNITS.items() for name in names.split()}
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: n for n, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_WORD = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[- ]({'|'.join(_SMALL[1:10])}))?|({'|'.join(_SMALL)}))\b", re.IGNORECASE
)

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)])[-−])?\s?[$€£]?(?P<whole>{_DIGITS})(?:\s?(?P<over>/)\s?(?P<below>\d+)"
    r"|\s(?P<above>\d+)\s?/\s?(?P<below2>\d+))?(?:\s?(?:degrees\s)?(?P<unit>%|°?[a-z]+))?",
    re.IGNORECASE,
)
_TOLERANCE = re.compile(r"\s*(?:±|\+-)\s*")


class Number(NamedTuple):
    """A number of a text, and its unit under one name where one is written after it."""

    value: float
    unit: str | None


def numbers(text: str) -> list[Number]:
    """The numbers of a text in order; number words count when there is no digit.

    >>> numbers("−1,250.5 kg, then 3/4 cup")
    [Number(value=-1250.5, unit='kg'), Number(value=0.75, unit=None)]
    >>> numbers("Twenty-one legs")
    [Number(value=21.0, unit=None)]
    """
    text = re.sub(r"[*_`\\]+", "", _spell_fractions(text))
    return list(_written(text)) or list(_spelled(text))


def number_matches(reference: str, text: str) -> bool:
    """Whether the number that an answer settles on is the reference's.

    Settles: the last number with the reference's unit, else the last number without any known unit; for a
    reference without a unit, the last number.  Equal: to half of the reference's last written decimal, or within
    the stated tolerance (``3.1 ± 0.2``); whole references must be met exactly.

    >>> number_matches("3.33", "about 3.3333"), number_matches("12", "12.4"), number_matches("3.1 ± 0.2", "3")
    (True, False, True)
    """
    wanted, *rest = _TOLERANCE.split(reference, maxsplit=1)
    target = numbers(wanted)[-1]
    found = _settled(numbers(text), target.unit)
    if found is None:
        return False
    slack = numbers(rest[0])[-1].value if rest else _half_a_digit(wanted)
    return abs(found - target.value) <= slack + 1e-12 * max(1.0, abs(target.value))


def _settled(found: list[Number], unit: str | None) -> float | None:
    if unit is not None:
        found = [n for n in found if n.unit == unit] or [n for n in found if n.unit is None]
    return found[-1].value if found else None


def _half_a_digit(written: str) -> float:
    decimals = re.search(r"\d*\.(\d+)", written)
    return 0.5 * 10.0 ** -len(decimals[1]) if decimals else 0.0


def _written(text: str) -> Iterator[Number]:
    for match in _NUMBER.finditer(text):
        value = float(match["whole"].replace(",", ""))
        if match["over"]:
            value = value / int(match["below"]) if int(match["below"]) else value
        elif match["above"] and int(match["below2"]):
            value += int(match["above"]) / int(match["below2"])
        yield Number(-value if match["sign"] else value, _UNIT_OF.get((match["unit"] or "").lower()))


def _spelled(text: str) -> Iterator[Number]:
    for match in _WORD.finditer(text):
        value = sum(_WORDS[word.lower()] for word in match.groups() if word)
        after = re.match(r"\s?(%|°?[a-z]+)", text[match.end() :], re.IGNORECASE)
        yield Number(float(value), _UNIT_OF.get(after[1].lower()) if after else None)


def _spell_fractions(text: str) -> str:
    """½ as 1/2, so that 1½ becomes 1 1/2."""
    for sign in set(text):
        if unicodedata.category(sign) == "No" and "⁄" in unicodedata.normalize("NFKC", sign):
            text = text.replace(sign, " " + unicodedata.normalize("NFKC", sign).replace("⁄", "/"))
    return text.strip() if text.startswith(" ") else text
