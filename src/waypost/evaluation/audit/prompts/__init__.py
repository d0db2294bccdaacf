"""The audit's own prompts: six categories, each from simple to hard, made from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from waypost.errors import BadInput
from waypost.evaluation.audit.prompts import coding, instructions, jailbreak, knowledge, maths, translation
from waypost.evaluation.audit.prompts.forms import Forms

CATEGORIES: Mapping[str, Forms] = {
    "coding": coding.FORMS,
    "translation": translation.FORMS,
    "maths": maths.FORMS,
    "instructions": instructions.FORMS,
    "knowledge": knowledge.FORMS,
    "jailbreak": jailbreak.FORMS,
}
LEVELS = (1, 2, 3)
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of the audit; ``level`` is 1 (simple), 2 or 3 (hard)."""

    category: str
    level: int
    text: str


def generate(n: int = 40, seed: int = 0) -> tuple[Prompt, ...]:
    """``n`` different prompts of each category and level; the same for the same seed, the first of a longer list.

    Raises:
        BadInput: fewer than 1 asked for, or more than a level has.

    >>> [prompt.text for prompt in generate(1) if prompt.category == "maths"]  # doctest: +ELLIPSIS
    ['20 trays hold 7 eggs each. How many eggs is that?', 'A tank fills ...', 'Prove or refute: ...']
    """
    if n < 1:
        raise BadInput(f"n is {n}; ask for at least 1 prompt of each category and level")
    return tuple(
        Prompt(category, level, text)
        for category, forms in CATEGORIES.items()
        for level in LEVELS
        for text in _distinct(category, level, forms, n, seed)
    )


def _distinct(category: str, level: int, forms: Forms, n: int, seed: int) -> list[str]:
    """Different prompts, from the level's sentences in turn."""
    rng = Random(f"{category} {level} {seed}")  # noqa: S311 - not for secrets
    sentences = forms.levels[level - 1]
    found: dict[str, None] = {}
    turn = unchanged = 0
    while len(found) < n:
        if unchanged == _TRIES:
            have = f"{len(found)} were found"
            raise BadInput(f"level {level} of {category} has no {n} different prompts, {have}; ask for fewer")
        before = len(found)
        found[forms.draw(sentences[turn % len(sentences)], rng)] = None
        turn, unchanged = turn + 1, 0 if len(found) > before else unchanged + 1
    return list(found)
