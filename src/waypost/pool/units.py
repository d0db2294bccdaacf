"""Units of measure: exact factors to SI base units, and the words and symbols that people write.

A kilobyte is 1000 bytes and a kibibyte 1024 (IEC 80000-13); a gallon, pint and cup are the United States' ones;
a month and a year are left out because they have no fixed length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]  # base quantity and exponent, sorted: (("length", 1), ("time", -1))


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: ``value · factor + offset`` is the value in base units; the offset is temperature's."""

    symbol: str
    one: str
    many: str
    dimension: Dimension
    factor: Fraction
    offset: Fraction = Fraction(0)

    def convert(self, value: Fraction, to: Unit) -> Fraction:
        """The same amount in another unit of the same dimension."""
        return (value * self.factor + self.offset - to.offset) / to.factor

    def is_word(self, text: str) -> bool:
        """Whether a spelling of this unit is a word ("kilometres") and not a symbol ("km")."""
        return len(text) > 2 and text.lower() != self.symbol.lower()


CURRENCIES = "$€£"  # written before the number
ONE = Unit("", "", "", (), Fraction(1))
PERCENT = Unit("%", "percent", "percent", (), Fraction(1, 100))

_LENGTH: Dimension = (("length", 1),)
_AREA: Dimension = (("length", 2),)
_VOLUME: Dimension = (("length", 3),)
_SPEED: Dimension = (("length", 1), ("time", -1))
_MASS: Dimension = (("mass", 1),)
_TIME: Dimension = (("time", 1),)
_DATA: Dimension = (("data", 1),)
_TEMPERATURE: Dimension = (("temperature", 1),)
# Each currency is a dimension of its own: no rate is known here.
_DOLLARS: Dimension = (("dollars", 1),)
_EUROS: Dimension = (("euros", 1),)
_STERLING: Dimension = (("pounds sterling", 1),)

_TABLE: tuple[tuple[Dimension, str, str, str, str, str], ...] = (
    # dimension, factor, symbol, one, many, other spellings (separated by "|")
    (_LENGTH, "1/1000", "mm", "millimetre", "millimetres", "millimeter|millimeters"),
    (_LENGTH, "1/100", "cm", "centimetre", "centimetres", "centimeter|centimeters"),
    (_LENGTH, "1", "m", "metre", "metres", "meter|meters"),
    (_LENGTH, "1000", "km", "kilometre", "kilometres", "kilometer|kilometers|kms"),
    (_LENGTH, "0.0254", "inch", "inch", "inches", ""),
    (_LENGTH, "0.3048", "ft", "foot", "feet", ""),
    (_LENGTH, "0.9144", "yd", "yard", "yards", "yds"),
    (_LENGTH, "1609.344", "mi", "mile", "miles", ""),
    (_MASS, "1/1000000", "mg", "milligram", "milligrams", ""),
    (_MASS, "1/1000", "g", "gram", "grams", "gramme|grammes"),
    (_MASS, "1", "kg", "kilogram", "kilograms", "kilo|kilos|kgs"),
    (_MASS, "1000", "t", "tonne", "tonnes", "metric ton|metric tons"),
    (_MASS, "0.45359237", "lb", "pound", "pounds", "lbs"),
    (_MASS, "0.028349523125", "oz", "ounce", "ounces", ""),
    (_MASS, "6.35029318", "st", "stone", "stone", "stones"),
    (_TIME, "1/1000", "ms", "millisecond", "milliseconds", ""),
    (_TIME, "1", "s", "second", "seconds", "sec|secs"),
    (_TIME, "60", "min", "minute", "minutes", "mins"),
    (_TIME, "3600", "h", "hour", "hours", "hr|hrs"),
    (_TIME, "86400", "d", "day", "days", ""),
    (_TIME, "604800", "wk", "week", "weeks", "wks"),
    (
        _AREA,
        "1/10000",
        "cm²",
        "square centimetre",
        "square centimetres",
        "square centimeter|square centimeters|cm2|cm^2",
    ),
    (_AREA, "1", "m²", "square metre", "square metres", "square meters|m2|m^2|sq m|sqm"),
    (_AREA, "1000000", "km²", "square kilometre", "square kilometres", "square kilometers|km2|km^2"),
    (_AREA, "10000", "ha", "hectare", "hectares", ""),
    (_AREA, "4046.8564224", "acre", "acre", "acres", ""),
    (_AREA, "0.09290304", "ft²", "square foot", "square feet", "ft2|ft^2|sq ft|sqft"),
    (_VOLUME, "1/1000000", "ml", "millilitre", "millilitres", "milliliter|milliliters|mL|cc"),
    (_VOLUME, "1/100000", "cl", "centilitre", "centilitres", "centiliter|centiliters|cL"),
    (_VOLUME, "1/1000", "l", "litre", "litres", "liter|liters|L"),
    (_VOLUME, "1", "m³", "cubic metre", "cubic metres", "cubic meter|cubic meters|m3|m^3"),
    (_VOLUME, "0.003785411784", "gal", "gallon", "gallons", ""),
    (_VOLUME, "0.000473176473", "pt", "pint", "pints", ""),
    (_VOLUME, "0.0002365882365", "cup", "cup", "cups", ""),
    (_SPEED, "1", "m/s", "metre per second", "metres per second", "meter per second|meters per second"),
    (_SPEED, "5/18", "km/h", "kilometre per hour", "kilometres per hour", "kilometers per hour|kmh|kph"),
    (_SPEED, "0.44704", "mph", "mile per hour", "miles per hour", "mi/h"),
    (_SPEED, "463/900", "kn", "knot", "knots", ""),
    (_DATA, "1", "bit", "bit", "bits", ""),
    (_DATA, "1000000", "Mbit", "megabit", "megabits", ""),
    (_DATA, "1000000000", "Gbit", "gigabit", "gigabits", ""),
    (_DATA, "8", "B", "byte", "bytes", ""),
    (_DATA, "8000", "kB", "kilobyte", "kilobytes", "KB"),
    (_DATA, "8000000", "MB", "megabyte", "megabytes", ""),
    (_DATA, "8000000000", "GB", "gigabyte", "gigabytes", ""),
    (_DATA, "8000000000000", "TB", "terabyte", "terabytes", ""),
    (_DATA, "8192", "KiB", "kibibyte", "kibibytes", ""),
    (_DATA, "8388608", "MiB", "mebibyte", "mebibytes", ""),
    (_DATA, "8589934592", "GiB", "gibibyte", "gibibytes", ""),
    (_DOLLARS, "1", "$", "dollar", "dollars", ""),
    (_EUROS, "1", "€", "euro", "euros", ""),
    (_STERLING, "1", "£", "pound sterling", "pounds sterling", ""),
)
_CELSIUS = Unit("°C", "degree Celsius", "degrees Celsius", _TEMPERATURE, Fraction(1), Fraction("273.15"))
_FAHRENHEIT = Unit(
    "°F", "degree Fahrenheit", "degrees Fahrenheit", _TEMPERATURE, Fraction(5, 9), Fraction("459.67") * 5 / 9
)
_KELVIN = Unit("K", "kelvin", "kelvin", _TEMPERATURE, Fraction(1))


def _spellings() -> dict[str, Unit]:
    found: dict[str, Unit] = {"%": PERCENT, "percent": PERCENT, "per cent": PERCENT, "percentage": PERCENT}
    for dimension, factor, symbol, one, many, others in _TABLE:
        unit = Unit(symbol, one, many, dimension, Fraction(factor))
        found |= dict.fromkeys((symbol, one, many, *filter(None, others.split("|"))), unit)
    for unit, letter, name in ((_CELSIUS, "C", "celsius"), (_FAHRENHEIT, "F", "fahrenheit")):
        texts = (letter, letter.lower(), f"°{letter}", f"° {letter}", f"°{letter.lower()}", name)
        found |= dict.fromkeys((*texts, f"degree {name}", f"degrees {name}", f"degrees {letter.lower()}"), unit)
    return found | dict.fromkeys(("K", "kelvin", "kelvins"), _KELVIN)


SPELLINGS: Mapping[str, Unit] = _spellings()
_BY_SIZE = {(u.dimension, u.factor): u for u in SPELLINGS.values() if u is not PERCENT}


def unit_named(text: str) -> Unit | None:
    """The unit of a spelling; capitals matter only in symbols of one letter and of data.

    >>> unit_named("Kilometres").symbol, unit_named("MB").symbol, unit_named("parsec")
    ('km', 'MB', None)
    """
    exact = SPELLINGS.get(text)
    return exact if exact or len(text) == 1 else SPELLINGS.get(text.lower())


def combined(left: Unit, right: Unit, sign: int) -> Unit:
    """The unit of a product (``sign`` 1) or a quotient (-1); nameless where the table has none of that size."""
    exponents = dict(left.dimension)
    for base, exponent in right.dimension:
        exponents[base] = exponents.get(base, 0) + sign * exponent
    dimension = tuple(sorted((base, e) for base, e in exponents.items() if e))
    factor = left.factor * right.factor**sign
    if not dimension:
        return Unit("", "", "", (), factor)
    return _BY_SIZE.get((dimension, factor)) or Unit("", "", "", dimension, factor)
