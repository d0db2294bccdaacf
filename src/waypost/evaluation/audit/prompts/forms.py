"""How a category's prompts are written: sentences with slots at three levels, and what fills the slots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Forms:
    """Sentences of a category from simple to hard, and what stands for each ``{slot}`` in them.

    A slot's name may end in digits, so that ``{fruit}`` and ``{fruit2}`` are two different fruits.

    >>> forms = Forms(("Is {fruit} like {fruit2}?",), (), (), {"fruit": ("plum", "pear")})
    >>> sorted({forms.draw(forms.simple[0], Random(seed)) for seed in range(9)})
    ['Is pear like plum?', 'Is plum like pear?']
    """

    simple: Sequence[str]
    medium: Sequence[str]
    hard: Sequence[str]
    fill: Mapping[str, Sequence[object]]

    @property
    def levels(self) -> tuple[Sequence[str], ...]:
        """The sentences of level 1, 2 and 3."""
        return (self.simple, self.medium, self.hard)

    def draw(self, sentence: str, rng: Random) -> str:
        """One prompt of a sentence."""
        drawn: dict[str, object] = {}
        for slot in dict.fromkeys(_SLOT.findall(sentence)):
            choices = self.fill[slot.rstrip("0123456789")]
            drawn[slot] = rng.choice([choice for choice in choices if choice not in drawn.values()])
        return sentence.format(**drawn)
