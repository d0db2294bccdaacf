"""References that mark free text: enough different words of a kind, English prose that stays on a topic."""

from __future__ import annotations

from collections.abc import Sequence

_ENGLISH = (
    r"i|i'm|you|you're|your|the|a|an|it|it's|its|that|that's|to|is|are|was|and|of|in|on|for|we|my|me|this|there|have|"
    r"be|can|with|as|at|by|or|not|do|what|so"
)
_NO_LOOP = r"(?!.*?(?P<loop>.{30,200}?)\s*(?P=loop))"
_REFUSAL = r"as an ai\b|(?:cannot|can't|unable to) (?:help|assist)"


def several(members: Sequence[str], n: int, *, ending: str = "") -> str:
    """A reference for the scorer of the same name; ``ending`` is put behind each member.

    >>> several(["erupt", "lava"], 2, ending="*")
    '2: erupt* || lava*'
    """
    return f"{n}: " + " || ".join(f"{member.replace('_', ' ')}{ending}" for member in members)


def prose(topic: Sequence[str], shortest: int = 12, *, also: str = "") -> str:
    r"""Finds English text of a length, on topic (a word that begins so), that neither refuses nor runs in circles.

    ``also`` is one more expression that must be found.  A circle is 30 characters or more said twice running.

    >>> import re
    >>> said = prose(["cat"])
    >>> [bool(re.search(said, text)) for text in ("I love your cats!", "Cats.", "O gato é um cats miau")]
    [True, False, False]
    """
    english = rf"(?=(?:.*?\b(?:{_ENGLISH})\b){{2}})"
    wanted = rf"(?=.*\b(?:{'|'.join(topic)}))" + (f"(?=.*(?:{also}))" if also else "")
    return rf"(?is)^(?=.{{{shortest},}}){english}{wanted}(?!.*(?:{_REFUSAL})){_NO_LOOP}"
