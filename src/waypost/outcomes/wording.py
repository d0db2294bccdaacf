"""When two prompts are worded alike: the rules by which near duplicates are verified.

A few words of English are known to say nothing (``LIGHT``) or to turn a question round (``TELLING``); all else holds
for every language, also for those that write no spaces, where what stands between punctuation is taken as one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

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
    ("no", "not", "nor", "none", "never", "non", "without", "except", "least", "most", "more", "less", "only", "all")
)

# An option's letter, or a number that begins a line, is no part of what is asked.
_PIECES = re.compile(r"\n\s*(?:\(?\d{1,2}[.)]\s)?|(?:^|\s)\(?[a-h][.)](?=\s)")
_NUMBERS = re.compile(r"(?:(?<!\w)[-−])?\d+")
_MARKS = r".,;:!?'\"()\[\]{}…“”‘’«»„–—\-。，、；：！？（）「」『』《》"
_PUNCTUATION = re.compile(f"[{_MARKS}]+")
# A run of letters, or one sign that is no punctuation: "a < b" and "a > b" differ.
_WORDS = re.compile(rf"[^\W\d_]+|[^\w\s{_MARKS}]")
_NOT = re.compile(r"n['’]t\b")


@dataclass(frozen=True, slots=True)
class Words:
    """What two prompts are compared by: their numbers line by line, and how often each word stands in them."""

    numbers: tuple[tuple[str, ...], ...]
    counts: Counter[str]

    def same_numbers(self, other: Words) -> bool:
        """Whether the numbers are the same in order, or line by line with the lines in any order."""
        if Counter(self.numbers) == Counter(other.numbers):
            return True
        return [*chain(*self.numbers)] == [*chain(*other.numbers)]


def folded(prompt: str) -> str:
    r"""A prompt without what makes no difference: case, white space, Unicode form.

    >>> folded("  What is\t２＋２? ")
    'what is 2+2?'
    """
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def words(prompt: str) -> Words:
    """The words and numbers of a prompt.

    >>> words("Isn't 2 more than 1?").counts
    Counter({'is': 1, 'not': 1, 'more': 1, 'than': 1})
    """
    pieces = _pieces(prompt)
    numbers = (tuple(_NUMBERS.findall(piece)) for piece in pieces)
    return Words(tuple(found for found in numbers if found), Counter(_WORDS.findall("\n".join(pieces))))


@lru_cache(maxsize=1 << 16)
def looks_light(word: str) -> bool:
    """Whether a word is light, or near enough to a light one to be a slip of it."""
    return word in _BLURRED or not _BLURRED.isdisjoint(_shortened(word))


def alike(a: Words, b: Words) -> bool:
    """Whether nothing that differs could make them two questions.

    >>> alike(words("What's the capitol of France?"), words("What is the capital of france"))
    True
    >>> alike(words("What is the capital of France?"), words("What is the capital of Spain?"))
    False
    """
    if not a.same_numbers(b):
        return False
    ours, theirs = _surplus(a.counts, b.counts), _surplus(b.counts, a.counts)
    return _matched(ours, theirs) or _matched(theirs, ours)


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


def _pieces(prompt: str) -> list[str]:
    """The lines and options of a prompt."""
    text = unicodedata.normalize("NFKC", prompt).casefold().strip()
    return _PIECES.split(_NOT.sub(" not", text))


def _surplus(a: Counter[str], b: Counter[str]) -> list[str]:
    """What ``a`` has more of than ``b``; faster than their difference, which is a counter again."""
    return [word for word, count in a.items() for _ in range(count - b.get(word, 0))]


def _matched(ours: list[str], theirs: list[str]) -> bool:
    """Whether each word that is not light is a slip of one on the other side, first come first served."""
    left = list(theirs)
    for word in sorted(ours, key=LIGHT.__contains__):  # first those that must be found
        slip = next((other for other in left if _slip(word, other)), None)
        if slip is not None:
            left.remove(slip)
        elif word not in LIGHT:
            return False
    return LIGHT.issuperset(left)


def _shortened(word: str) -> set[str]:
    """A word less each of its letters: words that are a slip apart have one of these, or themselves, in common."""
    return {word[:at] + word[at + 1 :] for at in range(len(word))}


_BLURRED = LIGHT.union(*map(_shortened, LIGHT)) - {""}


def _slip(a: str, b: str) -> bool:
    """Whether one word is the other with one letter added, dropped or changed, or two neighbours swapped.

    One letter makes another word of a short one (``cat``, ``car``): it must have five, unless one of the two says
    nothing (``teh``, ``the``), and four where two are swapped.
    """
    short = min(len(a), len(b))
    if abs(len(a) - len(b)) > 1 or a in TELLING or b in TELLING:
        return False
    idle = a in LIGHT or b in LIGHT
    head = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), short)
    a, b = a[head:], b[head:]
    if len(a) == len(b) and a[:2] == b[1::-1] and a[2:] == b[2:]:
        return idle or short >= 4
    return (idle or short >= 5) and (a[1:] == b or a == b[1:] or a[1:] == b[1:])
