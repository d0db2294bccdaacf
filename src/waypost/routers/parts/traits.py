"""What kind of task a text sets, read off its form: options, numbers, negation, formulas, code, script, wording.

Two texts about one subject may want different things (a choice of four, a proof, a program), and a mean of word vectors
hardly says which.  These traits do, in microseconds; they complete `waypost.encoders.surface`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log1p

import numpy as np

from waypost.types import Floats

TRAITS = (
    "log_options",
    "log_option_length",
    "options_without_letters",
    "log_negations",
    "log_numbers",
    "log_largest_number",
    "money_or_percent",
    "log_formulas",
    "log_code",
    "gap",
    "quantity",
    "which",
    "why",
    "who_when_where",
    "answer_format",
    "above_or_both",
    "enumerated_statements",
    "quotes",
    "word_length",
    "distinct_share",
    "log_paragraphs",
    "han_share",
)
_MOST = 2000  # characters from either end, as far as the default encoder looks
_OPTION = re.compile(r"\n\s*\(?[A-J][.):]\s*(.*)")
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_WORD = re.compile(r"[a-z]+(?:'t)?")
_HAN = re.compile(r"[\u3400-\u9fff]")
_NOT = frozenset(("not", "no", "never", "none", "except", "least", "incorrect", "false", "cannot", "unlikely"))
_FORMULAS = ("\\", "^", "=", "≤", "≥", "√", "∑", "∫", "π")
_CODE = ("def ", "class ", "return ", "import ", "```", ">>>", "()", "{", "};", "[]")
_GAPS = ("__", " _ ", "（ ", "（）", "( )", "()")
# What a text says if it has one of these words, or one of these pieces.
_SAYS: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset(), ("how many", "how much", "how long", "how far", "how old", "多少", "几")),
    (frozenset(("which",)), ("下列", "以下", "哪")),
    (frozenset(("why", "explain")), ("为什么",)),
    (frozenset(("who", "when", "where")), ("谁",)),
    (frozenset(("single", "only", "json")), ("answer with", "answer is", "answer in", "step by step", "yes or no")),
    (frozenset(("both", "neither")), ("of the above", "以上")),
    (frozenset(("ii", "iii")), ("statement 1", "①")),
)


def traits(texts: Sequence[str]) -> Floats:
    r"""One row of `TRAITS` a text, (N, 22); logs are log(1 + x), what is there or not is 1 or 0.

    >>> row = dict(zip(TRAITS, traits(["Which is not prime?\nA. 7\nB. 9"])[0].round(2).tolist()))
    >>> row["log_options"], row["options_without_letters"], row["log_negations"], row["which"], row["why"]
    (1.1, 1.0, 0.69, 1.0, 0.0)
    """
    return np.array([_row(text) for text in texts], dtype=np.float64).reshape(len(texts), len(TRAITS))


def _row(text: str) -> list[float]:
    if len(text) > 2 * _MOST:
        text = f"{text[:_MOST]}\n{text[-_MOST:]}"
    plain, low = text.isascii(), text.lower()
    words = _WORD.findall(low)
    distinct = set(words)
    options = _OPTION.findall(text)
    # Of a number with several dots, such as a version, the first part counts; beyond fifteen digits it is just large.
    numbers = [float(number.replace(",", "").split(".")[0][:15] or 0) for number in _NUMBER.findall(text)]
    return [
        log1p(len(options)),
        log1p(sum(map(len, options)) / max(len(options), 1)),
        sum(not any(map(str.isalpha, option)) for option in options) / max(len(options), 1),
        log1p(
            sum(word in _NOT or word.endswith("'t") for word in words) + (0 if plain else sum(map(low.count, "不非错")))
        ),
        log1p(len(numbers)),
        log1p(max(numbers, default=0.0)),
        float("$" in text or "%" in text or "€" in text),
        log1p(sum(map(low.count, _FORMULAS))),
        log1p(sum(map(low.count, _CODE))),
        float(any(gap in text for gap in _GAPS)),
        *(float(not distinct.isdisjoint(any_of) or any(piece in low for piece in pieces)) for any_of, pieces in _SAYS),
        float('"' in text or "“" in text or "「" in text),
        sum(map(len, words)) / max(len(words), 1),
        len(distinct) / max(len(words), 1),
        log1p(text.count("\n\n")),
        0.0 if plain else len(_HAN.findall(text)) / len(text),
    ]
