"""Stories of one or two steps: the numbers are easy, what to do with them must be read."""

from __future__ import annotations

from random import Random

from waypost.embedded.prompts.draft import Draft, show, tail, words

_NAMES = words("Alice Bruno Carla David Elena Felix Grace Hugo Irene Jonas Karin Luis Maya Nils Olga Pedro Rosa Simon")
_THINGS = words("marbles stickers pencils apples shells coins books cookies stamps balloons flowers buttons cards nuts")
_BOXES = words("boxes bags baskets jars trays drawers packets crates")
_ENDINGS = ("Answer with a number.", "Just the final number.", "Think it through.")


def draft(rng: Random) -> Draft:
    """One story."""
    prompt, value = rng.choice((_keeping, _groups, _money, _travel, _ages, _traps))(rng)
    return Draft(prompt + tail(rng, _ENDINGS, 0.25), "number", show(value))


def _people(rng: Random) -> tuple[str, str, str]:
    one, other = rng.sample(_NAMES, 2)
    return one, other, rng.choice(_THINGS)


def _keeping(rng: Random) -> tuple[str, float]:
    (one, other, things), a, b, c = _people(rng), rng.randint(8, 60), rng.randint(2, 7), rng.randint(2, 30)
    return rng.choice(
        (
            (f"{one} has {a} {things} and gives {b} to {other}. How many {things} does {one} have now?", a - b),
            (f"{one} has {a} {things}. {other} has {c} more than {one}. How many does {other} have?", a + c),
            (f"{one} had {a} {things}, lost {b} and then found {c}. How many are there now?", a - b + c),
            (f"{one} and {other} have {a + c} {things} together. {one} has {a}. How many has {other}?", c),
            (f"After giving away {b} {things}, {one} has {a} left. How many {things} were there at first?", a + b),
            (f"{one} has twice as many {things} as {other}, who has {a}. How many have they together?", 3 * a),
            (f"{one} has {a} {things}; {other} has {b} fewer. How many do they have in total?", 2 * a - b),
        )
    )


def _groups(rng: Random) -> tuple[str, float]:
    (one, other, things), a, b, c = _people(rng), rng.randint(3, 12), rng.randint(3, 15), rng.randint(1, 9)
    boxes = rng.choice(_BOXES)
    return rng.choice(
        (
            (f"{one} buys {a} {boxes} with {b} {things} in each. How many {things} is that?", a * b),
            (f"{a * b} {things} are shared equally among {a} children. How many does each child get?", b),
            (f"{one} packs {a * b} {things} into {boxes} of {b}. How many {boxes} are needed?", a),
            (f"{one} has {a} {boxes} of {b} {things} and {c} loose ones. How many {things} in all?", a * b + c),
            (f"{one} shares {a * b + min(c, a - 1)} {things} fairly between {a} friends. How many are left over?",
             min(c, a - 1)),
            (f"Each of {a} {boxes} holds {b + c} {things}. {other} takes {c} out of each. How many are left?", a * b),
        )
    )  # fmt: skip


def _money(rng: Random) -> tuple[str, float]:
    (one, _, things), a, b, price = _people(rng), rng.randint(2, 9), rng.randint(3, 12), rng.randint(2, 9)
    note = (a * price // 50 + 1) * 50
    return rng.choice(
        (
            (f"{one} buys {a} {things} at ${price} each and pays with ${note}. How much change?", note - a * price),
            (f"{one} earns ${b + 8} an hour and works {a} hours. How many dollars is that?", (b + 8) * a),
            (f"A ticket costs {price} euros for adults and {price - 1} for children. What do {a} adults and {b} "
             f"children pay?", a * price + b * (price - 1)),
            (f"{one} saves {b} dollars a week. After how many weeks are there {a * b} dollars?", a),
            (f"{a} {things} cost ${a * price}. What do {b} {things} cost?", b * price),
            (f"{one} had {note} dollars, spent half of it, and then spent {price} more. How much is left?",
             note / 2 - price),
        )
    )  # fmt: skip


def _travel(rng: Random) -> tuple[str, float]:
    one, speed, hours, more = rng.choice(_NAMES), rng.randint(4, 24) * 5, rng.randint(2, 6), rng.randint(10, 60)
    return rng.choice(
        (
            (f"A bus drives {speed} km every hour. How far does it get in {hours} hours?", speed * hours),
            (f"{one} cycled {speed} km on Monday and {more} km on Tuesday. How many kilometres in all?", speed + more),
            (f"The way to the lake and back is {2 * speed} km. How far away is the lake?", speed),
            (f"A car needs {hours} hours for {speed * hours} km. How far does it drive in one hour?", speed),
            (f"{one} reads {more} pages a day. How many pages is that in a week?", 7 * more),
        )
    )


def _ages(rng: Random) -> tuple[str, float]:
    (one, other, _), a, b = _people(rng), rng.randint(6, 40), rng.randint(2, 9)
    return rng.choice(
        (
            (f"{one} is {a} years old and {other} is {b} years older. How old is {other}?", a + b),
            (f"In {b} years {one} will be {a + b}. How old is {one} now?", a),
            (f"{one} is {a}. {other} is half as old as {one} will be in {a % 2 + 2} years. How old is {other}?",
             (a + a % 2 + 2) / 2),
            (f"{one} is three times as old as {other}, who is {b + 3}. How old is {one}?", 3 * (b + 3)),
            (f"The ages of {one} and {other} add up to {2 * a + b}. {one} is {a}. How old is {other}?", a + b),
        )
    )  # fmt: skip


def _traps(rng: Random) -> tuple[str, float]:
    """Numbers that do not matter, or that a parser would add up blindly."""
    (one, other, things), a, b, c = _people(rng), rng.randint(9, 40), rng.randint(2, 8), rng.randint(3, 9)
    return rng.choice(
        (
            (f"{one}, who is {c} years old, has {a} {things} and loses {b}. How many {things} are left?", a - b),
            (
                f"There are {a} birds on a fence and {b} cats under it. {c} birds fly away. How many birds remain?",
                a - c,
            ),
            (f"At {c} o'clock {one} baked {a} cookies. {other} ate {b} of them. How many cookies are left?", a - b),
            (f"A shelf has {c} rows with {b} books each, and {a} lamps beside it. How many books are there?", b * c),
            (f"All but {b} of {one}'s {a} {things} are red. How many are not red?", b),
            (f"A farmer has {a} sheep. All but {b} run off. How many sheep stay?", b),
            (f"{one} lives on floor {c} and climbs {b} floors up. On which floor is {one} now?", b + c),
            (f"A book of {a * 10} pages weighs {b}00 grams. {one} has read {a} pages. How many pages are left?", a * 9),
        )
    )
