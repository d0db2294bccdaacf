"""Regular expressions that mark free text: enough different words of a kind, English prose that stays on a topic."""

from __future__ import annotations

from collections.abc import Sequence

_ENGLISH = (
    r"i|i'm|you|you're|your|the|a|an|it|it's|its|that|that's|to|is|are|was|and|of|in|on|for|we|my|me|this|there|have|"
    r"be|can|with|as|at|by|or|not|do|what|so"
)
_REFUSAL = r"as an ai\b|(?:cannot|can't|unable to) (?:help|assist)"


def several(members: Sequence[str], n: int, *, stems: bool = False) -> str:
    r"""Finds ``n`` different members in any order, whole words (a plural's s allowed) or words that begin so.

    >>> import re
    >>> two = several(["apple", "pear"], 2)
    >>> [bool(re.search(two, text)) for text in ("Pears and apples", "apple, Apple")]
    [True, False]
    """
    one = "|".join(members)
    end = "" if stems else r"(?:e?s)?\b"
    steps = [rf"\b(?P<m0>{one}){end}"]
    for k in range(1, n):
        seen = "|".join(f"(?P=m{i})" for i in range(k))
        steps.append(rf"\b(?!(?:{seen}){end})(?P<m{k}>{one}){end}")
    return "(?is)" + ".*?".join(steps)


def prose(topic: Sequence[str], shortest: int = 12, *, also: str = "") -> str:
    r"""Finds English text of a length, on topic (a word that begins so), that neither refuses nor runs in circles.

    ``also`` is one more expression that must be found.  A piece of 30 characters that comes three times is a circle.

    >>> import re
    >>> said = prose(["cat"])
    >>> [bool(re.search(said, text)) for text in ("I love your cats!", "Cats.", "O gato é um cats miau")]
    [True, False, False]
    """
    english = rf"(?=(?:.*?\b(?:{_ENGLISH})\b){{2}})"
    wanted = rf"(?=.*\b(?:{'|'.join(topic)}))" + (f"(?=.*(?:{also}))" if also else "")
    return (
        rf"(?is)^(?=.{{{shortest},}}){english}{wanted}(?!.*(?:{_REFUSAL}))(?!.*(?P<loop>.{{30}}).*(?P=loop).*(?P=loop))"
    )
