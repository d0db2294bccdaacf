"""Conversions of units, and small problems that mix them."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, show, table, words

# from | its plural | to | its plural | how many of the second make one of the first | decimals of the answer
_CONVERSIONS = table("""
    kilometre | kilometres | metre | metres | 1000 | exact
    metre | metres | centimetre | centimetres | 100 | exact
    centimetre | centimetres | millimetre | millimetres | 10 | exact
    mile | miles | kilometre | kilometres | 1.609344 | near
    foot | feet | inch | inches | 12 | exact
    yard | yards | foot | feet | 3 | exact
    inch | inches | centimetre | centimetres | 2.54 | near
    kilogram | kilograms | gram | grams | 1000 | exact
    gram | grams | milligram | milligrams | 1000 | exact
    tonne | tonnes | kilogram | kilograms | 1000 | exact
    kilogram | kilograms | pound | pounds | 2.204623 | near
    pound | pounds | ounce | ounces | 16 | exact
    litre | litres | millilitre | millilitres | 1000 | exact
    hour | hours | minute | minutes | 60 | exact
    minute | minutes | second | seconds | 60 | exact
    day | days | hour | hours | 24 | exact
    week | weeks | day | days | 7 | exact
    hour | hours | second | seconds | 3600 | exact
""")
_SHORT = {
    "kilometre": "km", "metre": "m", "centimetre": "cm", "millimetre": "mm", "foot": "ft", "inch": "inches",
    "kilogram": "kg", "gram": "g", "milligram": "mg", "pound": "lb", "ounce": "oz", "litre": "l", "millilitre": "ml",
    "hour": "h", "minute": "min", "second": "s",
}  # fmt: skip
_NAMES = words("Ana Boris Chen Dana Emil Farida Goran Hana Ivo Jamila Kofi Lena Marco Nadia Otto Priya")


def draft(rng: Random) -> Draft:
    """One conversion or one problem with units."""
    return rng.choice((_convert, _convert, _convert, _temperature, _mixed))(rng)


def _convert(rng: Random) -> Draft:
    one, many, to_one, to_many, factor, kind = rng.choice(_CONVERSIONS)
    n = rng.choice((rng.randint(2, 12), rng.randint(2, 90), rng.choice((0.5, 1.5, 2.5, 7.5))))
    value = n * float(factor)
    source = many
    if kind == "exact" and rng.random() < 0.3:  # the other way round, with a whole answer
        n, value, one, many, to_one, to_many = value, n, to_one, to_many, one, many
        source = many
    written = f"{show(n)} {source}"
    if rng.random() < 0.35:
        written = f"{show(n)} {_SHORT.get(one, source)}"
    ask = rng.choice(
        (
            f"How many {to_many} are in {written}?",
            f"Convert {written} to {to_many}.",
            f"What is {written} in {to_many}?",
            f"{written} in {_SHORT.get(to_one, to_many)}?",
            f"Express {written} in {to_many}.",
            f"How many {to_many} make {written}?",
            f"I have {written}; how much is that in {to_many}?",
            f"Please change {written} into {to_many}",
        )
    )
    slack = f" ± {show(max(0.01 * value, 0.01))}" if kind == "near" else ""
    return Draft(ask, "number", f"{show(round(value, 3))} {to_many}{slack}")


def _temperature(rng: Random) -> Draft:
    celsius = rng.randint(-4, 20) * 5
    fahrenheit = celsius * 9 // 5 + 32
    prompt, value, unit = rng.choice(
        (
            (f"What is {celsius} degrees Celsius in Fahrenheit?", fahrenheit, "°F"),
            (f"Convert {celsius} °C to °F.", fahrenheit, "°F"),
            (f"What is {fahrenheit} degrees Fahrenheit in Celsius?", celsius, "°C"),
            (f"It is {fahrenheit} °F outside. How much is that in degrees Celsius?", celsius, "°C"),
        )
    )
    return Draft(prompt, "number", f"{value} {unit}")


def _mixed(rng: Random) -> Draft:
    a, b, c, name = rng.randint(2, 9), rng.randint(1, 11) * 5, rng.randint(2, 8), rng.choice(_NAMES)
    prompt, reference = rng.choice(
        (
            (f"A film lasts {a} hours and {b} minutes. How many minutes is that?", f"{60 * a + b} minutes"),
            (f"Add {a} km and {b * 10} m. Give the answer in metres.", f"{1000 * a + 10 * b} metres"),
            (f"A rope of {a} metres is cut into pieces of 25 cm. How many pieces are there?", f"{4 * a}"),
            (f"{name} runs {a * c} km in {c} hours. What is the speed in kilometres per hour?", f"{a} km"),
            (f"{name} walks at {c} km per hour for {a} hours. How many kilometres is that?", f"{a * c} km"),
            (f"A bottle holds {b * 10} ml. How many millilitres are in {a} bottles?", f"{a * b * 10} ml"),
            (f"How many hours are there in {a} days and {c} hours?", f"{24 * a + c} hours"),
            (f"A box weighs {a} kg and its contents {b * 10} g. What is the total in grams?", f"{1000 * a + b * 10} g"),
            (f"{name} slept {c} hours on each of {a} nights. How many minutes in total?", f"{60 * a * c} minutes"),
            (f"What is {a} m plus {b} cm, in centimetres?", f"{100 * a + b} cm"),
            (f"{name} has {a} dozen eggs and uses {c}. How many eggs are left?", f"{12 * a - c}"),
            (f"A train leaves at {a}:00 and arrives {b} minutes later than {a + 2}:00. How many minutes is the trip?",
             f"{120 + b} minutes"),
        )
    )  # fmt: skip
    return Draft(prompt, "number", reference)
