"""When two prompts are worded alike: the rules by which near duplicates are verified.

A few words of English are known to say nothing (``LIGHT``) or to turn a question round (``TELLING``); all else holds
for every language.  A line is compared as the words and numbers that are left of it, in their order: who is taller than
whom is another question than the same words the other way round.

One letter may make another word, which no rule tells from a slip: ``employer`` and ``employee``, ``nitrate`` and
``nitrite``, ``casual`` and ``causal`` are taken for one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import chain

Words = tuple[tuple[str, ...], ...]
"""The lines and options of a prompt, each as its words and numbers that say something, in order."""

SHINGLE = 4

# Words that a prompt may have or lack without becoming another question.
LIGHT = frozenset(
    re.findall(
        r"\w+",
        """a an the is are was were be been being do does did will would shall should can could please kindly what which
        that this these those of to in into at and or question answer q i you me my your s t""",
    )
)
# Words that change the question, however like another they look.
TELLING = frozenset(
    re.findall(
        r"\w+",
        """no not nor none never non without except least most more less only all
        three seven eight first third fifth sixth seventh eighth ninth tenth eleven eleventh twelve twelfth thirteen
        fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
        thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth fortieth
        fiftieth sixtieth seventieth eightieth ninetieth hundred thousand million billion trillion quadrillion""",
    )
)
# A word that begins with one of these is no slip of one that does not.
_PREFIXES = (
    "ab", "ad", "anti", "de", "dis", "en", "ex", "hyper", "hypo", "il", "im", "in", "inter", "intra", "ir", "mis",
    "non", "per", "post", "pre", "pro", "re", "sub", "super", "un",
)  # fmt: skip

# An option's letter, or a number that begins a line, is no part of what is asked.
_PIECES = re.compile(r"\n\s*(?:\(?(?:\d{1,2}|[a-h])[.)]\s)?|(?:^|\s)\(?[a-h][.)](?=\s)")
_MARKS = r".,;:!?'\"()\[\]{}…“”‘’«»„–—\-。，、；：！？（）「」『』《》"
_PUNCTUATION = re.compile(f"[{_MARKS}]+")
# A number, a run of letters, or one sign that is no punctuation: "a < b" and "a > b" differ.
_WORDS = re.compile(rf"(?:(?<!\w)[-−])?\d+|[^\W\d_]+|[^\w\s{_MARKS}]")
_NOT = re.compile(r"n['’]t\b")


def folded(prompt: str) -> str:
    r"""A prompt without what makes no difference: case, white space, Unicode form.

    >>> folded("  What is\t２＋２? ")
    'what is 2+2?'
    """
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def words(prompt: str) -> Words:
    """What says something in each line and option of a prompt.

    >>> words("Isn't 2 more than 1?")
    (('not', '2', 'more', 'than', '1'),)
    """
    text = unicodedata.normalize("NFKC", prompt).casefold().strip()
    found = (_WORDS.findall(piece) for piece in _PIECES.split(_NOT.sub(" not", text)))
    lines = (tuple(word for word in line if word not in _IDLE) for line in found)
    return tuple(line for line in lines if line)


def alike(a: Words, b: Words) -> bool:
    """Whether nothing that differs could make them two questions; lines and options may change places.

    >>> alike(words("What's the capitol of France?"), words("What is the capital of france"))
    True
    >>> alike(words("What is the capital of France?"), words("What is the capital of Spain?"))
    False
    """
    if sum(map(len, a)) != sum(map(len, b)):
        return False
    return _same([*chain(*a)], [*chain(*b)]) or (len(a) == len(b) and (_paired(a, b) or _paired(b, a)))


def jaccard(a: str, b: str) -> float:
    """Jaccard similarity of the four-character shingles of two prompts, 0..1.

    >>> jaccard("Hello there", "hello  THERE"), jaccard("abcd", "wxyz")
    (1.0, 0.0)
    """
    left, right = _shingles(a), _shingles(b)
    return len(left & right) / len(left | right)


def spaced(prompt: str) -> str:
    """The text that is cut into shingles: folded, without punctuation, between spaces, and long enough for one."""
    return f" {folded(_PUNCTUATION.sub(' ', prompt))} ".ljust(SHINGLE)


def _shingles(prompt: str) -> set[str]:
    text = spaced(prompt)
    return {text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1)}


def _swapped(word: str) -> set[str]:
    """A word with two neighbours swapped, but for its first letter."""
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 1)}


# Light words, and slips of them that are no words themselves.
_IDLE = LIGHT.union(*map(_swapped, LIGHT)) - {"dose"}


def _paired(a: Words, b: Words) -> bool:
    """Whether each line has its own on the other side, first come first served."""
    left = list((Counter(b) - Counter(a)).elements())
    for line in (Counter(a) - Counter(b)).elements():
        match = next((other for other in left if _same(line, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same(a: Sequence[str], b: Sequence[str]) -> bool:
    return len(a) == len(b) and all(x == y or _slip(x, y) for x, y in zip(a, b, strict=True))


def _slip(a: str, b: str) -> bool:
    """Whether one word is the other with one letter added, dropped or changed, or two neighbours swapped.

    One letter makes another word of a short one (``cat``, ``car``), so it must have five; at its beginning it often
    says the contrary (``typical``, ``atypical``).  Of scripts without case nothing is taken for a slip: many write no
    spaces, so that a whole clause would count as the word.
    """
    if abs(len(a) - len(b)) > 1 or min(len(a), len(b)) < 5 or a[0] != b[0] or not TELLING.isdisjoint((a, b)):
        return False
    if any(a.startswith(prefix) != b.startswith(prefix) for prefix in _PREFIXES):
        return False
    if not all(map(str.islower, a + b)):
        return False
    head = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[head:], b[head:]
    swapped = a[:2] == b[1::-1] and a[2:] == b[2:]
    return swapped or a[1:] == b or a == b[1:] or a[1:] == b[1:]
