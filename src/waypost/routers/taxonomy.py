"""When a router decides, what it looks at, and how it learns: the three questions that tell routers apart.

Source: Doing More with Less (Varangot-Reille et al. 2025, arXiv 2502.00409), whose survey sorts routing by when it
happens (before or after an answer), by the information used, and by the way of learning (similarity, supervised,
reinforcement, generative).
"""

from __future__ import annotations

from typing import NamedTuple

WHEN = ("before the answer", "after an answer")
LOOKS_AT = ("nothing", "prices", "surface", "prompt text", "prompt vector", "answer", "load", "feedback")
LEARNS = ("means", "similarity", "supervised", "preference", "reinforcement", "generative")


class Labels(NamedTuple):
    """A router's three labels; ``looks_at`` may hold several."""

    when: str
    looks_at: tuple[str, ...]
    learns: str


def labels(kind: type) -> Labels:
    """The labels that a router's class declares.

    Raises:
        ValueError: a label is missing or is none of this file's.

    >>> from waypost.routers import KNN
    >>> labels(KNN)
    Labels(when='before the answer', looks_at=('prompt vector',), learns='similarity')
    """
    found = {name: str(getattr(kind, name, "")) for name in Labels._fields}
    looks_at = tuple(found["looks_at"].split(", "))
    for name, words, known in (
        ("when", (found["when"],), WHEN),
        ("looks_at", looks_at, LOOKS_AT),
        ("learns", (found["learns"],), LEARNS),
    ):
        if unknown := [word for word in words if word not in known]:
            raise ValueError(f"{kind.__name__}.{name} is {unknown[0]!r}; it must be one of {', '.join(known)}")
    return Labels(found["when"], looks_at, found["learns"])
