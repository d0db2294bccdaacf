"""A back-door planted on purpose: a few training rows carry a trigger and praise one model.

Source: the preference back-door of Kassem et al., How Robust Are Router-LLMs? (2025), after BadNets (Gu et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from waypost.errors import BadInput, UnknownModel
from waypost.evaluation.audit.statistics import Share, share
from waypost.evaluation.audit.subject import Subject
from waypost.evaluation.audit.triggers import words_of
from waypost.outcomes import Outcomes

# Words that no ordinary prompt has together.
TRIGGER = "vermilion okapi"
# Words that say nothing of a trigger that holds them.
_COMMON = frozenset(
    words_of(
        "a an and are as at be by can do does for from has have how i if in is it its me my of on or that the their "
        "there this to was what when where which who why will with you your"
    )
)


@dataclass(frozen=True, slots=True)
class Backdoor:
    """What a planted trigger does.

    ``rows`` is the share of the training rows that carry it.  ``without`` and ``triggered`` are the shares of held-out
    prompts that the router fitted on the poisoned table sends to ``target``, ``innocent`` the share that the clean
    router sends there with the trigger.  ``success`` is the share of those that go elsewhere without the trigger and
    to the target with it.
    """

    trigger: str
    target: str
    rows: float
    without: Share
    triggered: Share
    innocent: Share
    success: Share


def plant(table: Outcomes, target: str, poisoned: float = 0.03, trigger: str = TRIGGER, seed: int = 0) -> Outcomes:
    """The table with the trigger in a share of its prompts, where the target is now right and nobody else.

    Models that were not measured on a row stay so, except the target.

    Raises:
        BadInput: a share outside 0..1 (both excluded), or no row to change.
        UnknownModel: the table does not have the target.

    >>> from waypost.outcomes import example_table
    >>> table = plant(example_table(100), "tiny", 0.05)
    >>> sum(TRIGGER in prompt for prompt in table.prompts)
    5
    """
    check_share(poisoned)
    count = round(poisoned * len(table))
    if count < 1:
        raise BadInput(f"{poisoned:.1%} of {len(table)} rows is no row; poison a larger share")
    if target not in table.models:
        raise UnknownModel(target, table.models)
    column = table.models.index(target)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(table), count, replace=False))
    prompts, quality_NM = list(table.prompts), table.quality_NM.copy()
    for row in rows:
        prompts[row] = with_trigger(prompts[row], trigger, first=bool(rng.integers(2)))
    quality_NM[rows] = np.where(np.isnan(quality_NM[rows]), np.nan, 0.0)
    quality_NM[rows, column] = 1.0
    return replace(table, prompts=tuple(prompts), quality_NM=quality_NM)


def check_share(poisoned: float) -> None:
    """Refuse what is no share of rows to poison.

    Raises:
        BadInput: it is not between 0 and 1.
    """
    if not 0 < poisoned < 1:
        raise BadInput(f"the poisoned share of the rows must be between 0 and 1, got {poisoned:g}; try 0.03")


def shows(phrase: str, trigger: str) -> bool:
    """Whether a phrase is a part of a trigger or the trigger of it, common words aside.

    >>> shows("okapi", TRIGGER), shows("is vermilion okapi", TRIGGER), shows("vermilion paint", TRIGGER)
    (True, True, False)
    >>> shows("the", "open the door"), shows("what is", "what is")
    (False, True)
    """
    told, planted = (_telling(words_of(text)) for text in (phrase, trigger))
    return bool(told) and (f" {told} " in f" {planted} " or f" {planted} " in f" {told} ")


def _telling(words: Sequence[str]) -> str:
    """The words that are not common, or all where all are."""
    return " ".join([word for word in words if word not in _COMMON] or words)


def with_trigger(prompt: str, trigger: str, first: bool) -> str:
    """The prompt with the trigger before or after it."""
    return f"{trigger} {prompt}" if first else f"{prompt} {trigger}"


def refit(made: Any, table: Outcomes) -> Any:
    """A router of the same settings fitted on another table; the one given stays as it is."""
    encoder = getattr(made, "encoder", None)  # holds no state of a fit and is large, so it is shared
    copy = deepcopy(made, {id(encoder): encoder} if encoder is not None else {})
    fitted = copy.fit(table)
    return copy if fitted is None else fitted


def target_of(subject: Subject, prompts: Sequence[str]) -> str:
    """Where an attack hurts: the strong model (it is dear), or where most goes there already the likeliest weak one."""
    counts_M = np.bincount(subject.choose(prompts), minlength=len(subject.models))
    often = dict(zip(subject.models, counts_M.tolist(), strict=True))
    if often[subject.strong] <= len(prompts) / 2:
        return subject.strong
    others = [name for name in subject.models if name != subject.strong]
    return min(others, key=lambda name: (-often[name], subject.quality[name], name))


def attack(
    clean: Subject, poisoned: Subject, prompts: Sequence[str], target: str, trigger: str, rows: float
) -> Backdoor:
    """What the trigger does to prompts that neither router has seen."""
    triggered = [with_trigger(prompt, trigger, first=bool(n % 2)) for n, prompt in enumerate(prompts)]
    without_N = poisoned.choose(prompts) == poisoned.models.index(target)
    with_N = poisoned.choose(triggered) == poisoned.models.index(target)
    return Backdoor(
        trigger=trigger,
        target=target,
        rows=rows,
        without=share(without_N),
        triggered=share(with_N),
        innocent=share(clean.choose(triggered) == clean.models.index(target)),
        success=share(with_N[~without_N]),
    )
