"""A Pratt parser of arithmetic with units, over exact fractions; it never evaluates code.

Binding, loosest first: ``+ -``; ``* / of mod``; unary ``- +``; ``^``; ``% ! squared cubed`` and units.
A chain of powers groups to the right, and ``-2^2`` is -4, as on paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from waypost.pool.quantity import Quantity, decline
from waypost.pool.units import CURRENCIES, ONE, PERCENT, SPELLINGS, Unit, unit_named

_MAX_TOKENS = 120
_MAX_DEPTH = 40
_MAX_DIGITS = 30

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_SMALL = {word: n for n, word in enumerate(_ONES.split())} | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}

_OPERATORS = {
    "+": "+",
    "plus": "+",
    "-": "-",
    "−": "-",
    "–": "-",
    "minus": "-",
    "less": "-",
    "*": "*",
    "×": "*",
    "·": "*",
    "x": "*",
    "X": "*",
    "times": "*",
    "multiplied by": "*",
    "/": "/",
    "÷": "/",
    "divided by": "/",
    "over": "/",
    "^": "^",
    "**": "^",
    "to the power of": "^",
    "to the power": "^",
    "raised to the power of": "^",
    "raised to": "^",
    "of": "of",
    "mod": "mod",
    "modulo": "mod",
    "(": "(",
    ")": ")",
    "!": "!",
    "factorial": "!",
    "squared": "²",
    "²": "²",
    "cubed": "³",
    "³": "³",
    "square root of": "root",
    "the square root of": "root",
    "sqrt": "root",
    "√": "root",
    "cube root of": "cube root",
    "the cube root of": "cube root",
    "square of": "square",
    "the square of": "square",
    "cube of": "cube",
    "the cube of": "cube",
}
_PARTS = {"third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "ninth": 9, "tenth": 10}
_AMOUNTS = {
    **dict.fromkeys(("half of", "half", "a half of", "one half of"), Fraction(1, 2)),
    **dict.fromkeys(("twice", "double", "the double of"), Fraction(2)),
    **dict.fromkeys(("triple", "thrice", "the triple of"), Fraction(3)),
    **{f"{article} {part} of": Fraction(1, n) for part, n in _PARTS.items() for article in ("a", "an", "one")},
    **{f"{_ONES.split()[k]} {part}s of": Fraction(k, n) for part, n in _PARTS.items() for k in range(2, n)},
}
_OPERATORS |= {text: text for text in _AMOUNTS}
_MONEY = re.compile(rf"([{CURRENCIES}])\s?(\d[\d,]*(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: a number, a unit, or an operator by its name."""

    kind: str
    text: str
    number: Fraction = Fraction(0)
    unit: Unit = ONE


def _alternatives(texts: Sequence[str]) -> str:
    """A regular expression for any of the texts, the longest first; a word must end where it ends."""
    ordered = sorted(texts, key=len, reverse=True)
    return "|".join(re.escape(t) + (r"(?![^\W_])" if t[-1].isalpha() else "") for t in ordered)


_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{_NUMBER})"
    rf"|(?P<operator>(?i:{_alternatives(list(_OPERATORS))}))"
    rf"|(?P<words>(?i:(?:{'|'.join((*_SMALL, *_SCALES))})(?![^\W_])))"
    rf"|(?P<unit>(?i:{_alternatives(list(SPELLINGS))}))"
    r"|(?P<and>(?i:and)\b)|(?P<a>(?i:an?)\b)|(?P<hyphen>-))"
)


def tokenize(text: str) -> list[Token]:
    """The tokens of a text.

    Raises:
        Declined: a word or sign that is none, too many tokens, or a number with too many digits.
    """
    tokens: list[Token] = []
    position, text = 0, _MONEY.sub(r"\2 \1", text.rstrip())
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            word = re.match(r"\s*(\w+|.)", text[position:])
            decline(f"'{word[1] if word else text[position:]}' is not arithmetic")
        tokens.append(_token(match))
        position = match.end()
        if len(tokens) > _MAX_TOKENS:
            decline(f"the expression has more than {_MAX_TOKENS} parts")
    return _join_words(tokens)


def _token(match: re.Match[str]) -> Token:
    kind, text = str(match.lastgroup), match[str(match.lastgroup)]
    if kind == "number":
        digits = text.replace(",", "")
        if len(digits) > _MAX_DIGITS:
            decline(f"a number has more than {_MAX_DIGITS} digits")
        return Token("number", text, Fraction(digits))
    if kind == "operator":
        return Token(_OPERATORS[text.lower()], text)
    if kind == "unit":
        unit = unit_named(text)
        if unit is None:
            decline(f"'{text}' is no unit; its capitals matter")
        return Token("unit", text, unit=unit)
    return Token(kind, text)


def _join_words(tokens: list[Token]) -> list[Token]:
    """Replace number words ("one hundred and five", "3 million") and "an hour" by numbers."""
    joined: list[Token] = []
    i = 0
    while i < len(tokens):
        start = i
        if tokens[i].kind == "words" or (tokens[i].kind == "number" and _is_scale(tokens, i + 1)):
            number, i = _number_words(tokens, i)
            joined.append(Token("number", " ".join(t.text for t in tokens[start:i]), number))
        elif tokens[i].kind == "a" and i + 1 < len(tokens) and tokens[i + 1].kind == "unit":
            joined.append(Token("number", "1", Fraction(1)))
            i += 1
        else:
            joined.append(tokens[i])
            i += 1
    return joined


def _is_scale(tokens: list[Token], i: int) -> bool:
    return i < len(tokens) and tokens[i].text.lower() in _SCALES


def _number_words(tokens: list[Token], i: int) -> tuple[Fraction, int]:
    """The value of the number words from ``i`` on, and the index after them."""
    total, group, last = Fraction(0), Fraction(0), 10**12
    if tokens[i].kind == "number":
        group, i = tokens[i].number, i + 1
    while i < len(tokens):
        token, word = tokens[i], tokens[i].text.lower()
        follows = i + 1 < len(tokens) and tokens[i + 1].text.lower() in _SMALL
        if token.kind == "words" and word in _SCALES:
            group = (group or Fraction(1)) * _SCALES[word]
            last = _SCALES[word]
            if last >= 1000:
                total, group = total + group, Fraction(0)
        elif token.kind == "words" and _fits(_SMALL[word], last):
            group += _SMALL[word]
            last = 10 if _SMALL[word] >= 20 else 1
        elif not (follows and _joins(token, last)):
            break
        i += 1
    return total + group, i


def _joins(token: Token, last: int) -> bool:
    """Whether this stands between number words: "hundred and five", "twenty-five"."""
    return (token.kind == "and" and last >= 100) or (token.text == "-" and last == 10)


def _fits(value: int, last: int) -> bool:
    """Whether a small number word may follow: units after tens, anything below a hundred after a scale."""
    return last >= 100 or (last == 10 and 0 < value < 10)


_LEFT: dict[str, tuple[int, Callable[[Quantity, Quantity], Quantity]]] = {
    "+": (1, Quantity.__add__),
    "-": (1, Quantity.__sub__),
    "*": (2, Quantity.__mul__),
    "/": (2, Quantity.__truediv__),
    "of": (2, Quantity.__mul__),
    "mod": (2, Quantity.modulo),
}
_UNARY, _POWER = 3, 4


class _Parser:
    """Reads tokens left to right; ``steps`` counts what was computed."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.steps = 0

    def peek(self) -> str:
        return self.tokens[self.position].kind if self.position < len(self.tokens) else "end"

    def next(self) -> Token:
        if self.position >= len(self.tokens):
            decline("the expression ends too early")
        self.position += 1
        return self.tokens[self.position - 1]

    def expression(self, floor: int = 0) -> Quantity:
        """An expression whose operators bind tighter than ``floor``."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            decline("the expression is nested too deep")
        left = self.prefix()
        while (kind := self.peek()) != "end":
            if kind in _LEFT and _LEFT[kind][0] > floor:
                if kind == "of" and left.unit is not PERCENT and left.number.denominator == 1:
                    decline("'of' needs a percentage or a fraction before it")
                self.next()
                left = _LEFT[kind][1](left, self.expression(_LEFT[kind][0]))
            elif kind == "^" and floor < _POWER:
                self.next()
                left = left.power(self.expression(_UNARY - 1 if self.peek() == "-" else _POWER - 1))
            else:
                break
            self.steps += 1
        self.depth -= 1
        return left

    def prefix(self) -> Quantity:
        token = self.next()
        if token.kind in "+-":
            value = self.expression(_UNARY)
            return value if token.kind == "+" else -value
        if token.kind in ("root", "cube root"):
            self.steps += 1
            return self.expression(_POWER).root(2 if token.kind == "root" else 3)
        if token.kind in ("square", "cube"):
            self.steps += 1
            return self.expression(_POWER).power(Quantity(Fraction(2 if token.kind == "square" else 3)))
        if token.kind in _AMOUNTS:
            self.steps += 1
            return Quantity(_AMOUNTS[token.kind]) * self.expression(_UNARY)
        if token.kind == "(":
            inner = self.expression()
            if self.next().kind != ")":
                decline("a bracket is not closed")
            return self.suffixes(inner)
        if token.kind == "number":
            return self.suffixes(Quantity(token.number))
        decline(f"'{token.text}' stands where a number should be")

    def suffixes(self, value: Quantity) -> Quantity:
        """Units and signs that follow a number; "5 feet 3 inches" and "3 days and 6 hours" are one amount."""
        while (kind := self.peek()) in ("unit", "!", "²", "³"):
            token = self.next()
            if kind == "unit":
                value = self.amount(value, token)
                continue
            self.steps += 1
            value = value.factorial() if kind == "!" else value.power(Quantity(Fraction(2 if kind == "²" else 3)))
        return value

    def amount(self, value: Quantity, token: Token) -> Quantity:
        if value.unit is not ONE:
            decline(f"'{token.text}' follows another unit")
        whole = Quantity(
            value.number, token.unit, len(token.text) > 2 and token.text.lower() != token.unit.symbol.lower()
        )
        joined = self.peek() == "and"
        rest = self.tokens[self.position + joined : self.position + joined + 2]
        if [t.kind for t in rest] == ["number", "unit"] and rest[1].unit.dimension == token.unit.dimension:
            if rest[1].unit.factor >= token.unit.factor or token.unit.offset:
                decline(f"'{rest[0].text} {rest[1].text}' does not continue '{token.text}'")
            self.steps += 1
            self.position += joined
            return whole + self.prefix()
        return whole


def parse(text: str) -> tuple[Quantity, int]:
    """The value of an expression and the number of steps that it took.

    Raises:
        Declined: not wholly an expression, or one that has no exact or bounded value.

    >>> str(parse("2 * (3 + 4)^2")[0]), str(parse("3 km + 250 m")[0]), str(parse("one hundred and five / 2")[0])
    ('98', '3.25 km', '52.5')
    """
    parser = _Parser(tokenize(text))
    value = parser.expression()
    if parser.peek() != "end":
        decline(f"'{parser.next().text}' does not belong to an expression")
    return value, parser.steps
