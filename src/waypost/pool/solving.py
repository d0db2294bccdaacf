"""Exact answers to questions of arithmetic, percentages and units: a parser, no model, and never ``eval``."""

from __future__ import annotations

import re

from waypost.pool.expert import without_courtesy
from waypost.pool.expressions import parse
from waypost.pool.meanings import to_unit
from waypost.pool.quantity import Quantity, decline, written
from waypost.pool.questions import FRAMES, WANTED

_LIMIT = 300  # characters; a longer text is a word problem anyway


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
    text, bare_number = _bare(prompt)
    if _DATE.search(text):
        decline("this looks like a date")
    result = _result(text)
    return written(result.number) if bare_number and isinstance(result, Quantity) else str(result)


def _result(text: str) -> Quantity | str:
    """What a question without its politeness asks for: by a frame of words, or as a plain expression."""
    if wanted := WANTED.fullmatch(text):
        return to_unit(_quantity(wanted["question"]), wanted["unit"])
    for pattern, meaning in FRAMES:
        if match := pattern.fullmatch(text):
            return meaning(*match.groups())
    value, steps = parse(text)
    if not steps:
        decline("there is nothing to compute")
    return value


def _bare(prompt: str) -> tuple[str, bool]:
    """The question without its polite beginning and its end, and whether it wants a number without a unit."""
    text = without_courtesy(re.sub(r"\s+", " ", prompt).strip())
    closing = _CLOSING.search(text)
    if closing:
        text = text[: closing.start()]
    while (shorter := _OPENING.sub("", text)) != text:
        text = shorter
    return _ENDING.sub("", text).strip(), closing is not None and "number" in closing[0].lower()


_OPENING = re.compile(
    r"^(?:(?:please|can you|could you|would you|(?:i (?:want|need|would like) (?:you )?to know|tell me|show me|give me)"
    r"|what is|what's|what does|what are|what would|what will|whats|how much is|how much are|how much does|i need|"
    r"what(?! (?:percent|percentage|%|number|fraction|comes|is the next|do (?:you|i|we) get))|"
    r"calculate|compute|evaluate|work out|figure out|determine|find(?: out)?|solve|simplify|"
    r"the (?:value|result|answer|exact value) (?:of|to)|"
    r"what do (?:you|i|we) get (?:(?:if|when) (?:you|i|we)|for|from))"
    r"(?!\w)[,:]?\s*)",
    re.IGNORECASE,
)
_ENDING = re.compile(
    r"(?:[\s?.=:]|,? ?\b(?:equals?|equal to|is|are|be|please|make|comes? to|amounts? to|for me|thanks|thank you)\b)+$",
    re.IGNORECASE,
)
_ONLY = r"(?:the |a |your )?(?:final |bare |plain )?(?:number|result|answer)"
_CLOSING = re.compile(
    rf"[\s.,;:?!]+\(?(?:please )?(?:(?:(?:give|tell|show)(?: me)?|return|write|state|(?:answer|reply|respond) with) "
    rf"(?:only|just) {_ONLY}|(?:(?:give|tell|show)(?: me)?|return|write|(?:answer|reply|respond) with) {_ONLY} only"
    rf"|(?:just|only) {_ONLY}|(?:no|without(?: an?| any)?) (?:explanations?|words)(?: needed| necessary)?)"
    r"(?:,? (?:please|thanks|thank you))?[\s.!)]*$",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<![\d.])\d{1,4}([-/])\d{1,2}\1\d{1,4}(?![\d.])")


def _quantity(text: str) -> Quantity:
    result = _result(_ENDING.sub("", text))
    if isinstance(result, str):
        decline(f"'{result}' has no unit")
    return result
