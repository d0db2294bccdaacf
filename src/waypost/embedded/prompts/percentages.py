"""Percentages, from "15% of 240" to questions that must be read before anything is computed."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, lines, show, tail, words

_RATES = (5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80)
_GOODS = words("jacket bicycle lamp chair phone tent blender backpack keyboard guitar watch carpet printer kettle")
_PLACES = words("school club bank village choir factory library hotel team camp")
_ENDINGS = lines("""
    Give only the number.
    Just the number, please.
    Answer with the result only.
""")


def draft(rng: Random) -> Draft:
    """One percentage."""
    make = rng.choice((_share, _share, _share, _share, _change, _which_rate, _shop, _people, _backwards))
    prompt, value = make(rng)
    return Draft(prompt + tail(rng, _ENDINGS, 0.1), "number", value if isinstance(value, str) else show(value))


def _share(rng: Random) -> tuple[str, float]:
    rate = rng.choice((*_RATES, rng.randint(1, 99), 12.5, 2.5))
    whole = rng.randint(2, 60) * 20
    percent = rng.choice((f"{show(rate)}%", f"{show(rate)}%", f"{show(rate)} percent", f"{show(rate)} per cent"))
    ask = rng.choice(
        lines("""
            What is {} of {}?
            Calculate {} of {}.
            How much is {} of {}?
            Find {} of {}.
            {} of {}?
            Work out {} of {} for me.
            Tell me what {} of {} comes to.
        """)
    )
    return ask.format(percent, whole), round(rate * whole / 100, 6)


def _change(rng: Random) -> tuple[str, float]:
    rate, start = rng.choice(_RATES), rng.randint(2, 50) * 20
    up, down = start * (100 + rate) / 100, start * (100 - rate) / 100
    return rng.choice(
        (
            (f"Increase {start} by {rate}%.", up),
            (f"Decrease {start} by {rate}%.", down),
            (f"What do you get if you raise {start} by {rate} percent?", up),
            (f"{start} is reduced by {rate}%. What is the result?", down),
            (f"What is {start} plus {rate}%?", up),
            (f"What is {start} minus {rate} percent?", down),
            (f"Add {rate}% tax to {start}.", up),
        )
    )


def _which_rate(rng: Random) -> tuple[str, str]:
    rate, whole = rng.choice(_RATES), rng.randint(1, 20) * 20
    part = show(rate * whole / 100)
    rise = rng.choice((10, 20, 25, 50))
    return rng.choice(
        (
            (f"{part} is what percent of {whole}?", f"{rate}%"),
            (f"What percentage of {whole} is {part}?", f"{rate}%"),
            (f"Express {part} out of {whole} as a percentage.", f"{rate}%"),
            (f"A price rose from {whole} to {show(whole * (100 + rise) / 100)}. By how many percent?", f"{rise}%"),
            (
                f"What is the percentage change from {whole} to {show(whole * (100 - rise) / 100)}?",
                f"{rise}% || -{rise}%",
            ),
            (f"She got {part} of {whole} points in the test. What percentage is that?", f"{rate}%"),
        )
    )


def _shop(rng: Random) -> tuple[str, float]:
    rate, price, thing = rng.choice((10, 15, 20, 25, 30, 40, 50)), rng.randint(2, 30) * 20, rng.choice(_GOODS)
    off, left = price * rate / 100, price * (100 - rate) / 100
    return rng.choice(
        (
            (f"A {thing} costs ${price} and is reduced by {rate}%. What is the new price?", left),
            (f"The {thing} was ${price}. With a discount of {rate} percent, how many dollars do I save?", off),
            (f"How much do I pay for a {thing} of {price} euros with {rate}% off?", left),
            (f"A restaurant bill is ${price}. How much is a tip of {rate}%?", off),
            (f"A {thing} costs {price} dollars before a tax of {rate}%. What does it cost with tax?", price + off),
            (f"My rent of ${price * 5} goes up by {rate}%. What will the new rent be?", price * 5 + off * 5),
        )
    )


def _people(rng: Random) -> tuple[str, float]:
    rate, whole, place = rng.choice(_RATES), rng.randint(2, 40) * 20, rng.choice(_PLACES)
    part = rate * whole / 100
    return rng.choice(
        (
            (f"There are {whole} people in the {place} and {rate}% of them wear glasses. How many wear glasses?", part),
            (f"{rate}% of the {whole} members of a {place} are women. How many are not women?", whole - part),
            (
                f"In a {place} of {whole} people, {rate} percent came by bus. How many came some other way?",
                whole - part,
            ),
            (f"A {place} had {whole} visitors last week and {rate}% more this week. How many this week?", whole + part),
        )
    )


def _backwards(rng: Random) -> tuple[str, float]:
    rate, whole, thing = rng.choice((10, 20, 25, 50)), rng.randint(2, 40) * 20, rng.choice(_GOODS)
    part, left = show(rate * whole / 100), show(whole * (100 - rate) / 100)
    return rng.choice(
        (
            (f"If {rate}% of a number is {part}, what is the number?", whole),
            (f"{part} is {rate} percent of which number?", whole),
            (f"After a {rate}% discount a {thing} costs ${left}. What did it cost before?", whole),
            (f"Tom has eaten {rate}% of his {whole} nuts and gives away half of the rest. How many has he left?",
             whole * (100 - rate) / 200),
        )
    )  # fmt: skip
