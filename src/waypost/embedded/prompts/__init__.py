"""The project's own prompts, made from seeds: one file a group, in the project's own words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from random import Random

from waypost.embedded.prompts import (
    advice,
    arithmetic,
    classification,
    code_small,
    explain,
    facts,
    instructions,
    lists,
    multiple_choice,
    percentages,
    rewriting,
    small_talk,
    strings,
    to_english,
    to_portuguese,
    units,
    word_problems,
    writing,
)
from waypost.embedded.prompts.draft import Draft
from waypost.errors import BadInput
from waypost.types import Sample

GROUPS: Mapping[str, Callable[[Random], Draft]] = {
    "advice": advice.draft,
    "arithmetic": arithmetic.draft,
    "classification": classification.draft,
    "code_small": code_small.draft,
    "explain": explain.draft,
    "facts": facts.draft,
    "instructions": instructions.draft,
    "lists": lists.draft,
    "multiple_choice": multiple_choice.draft,
    "percentages": percentages.draft,
    "rewriting": rewriting.draft,
    "small_talk": small_talk.draft,
    "strings": strings.draft,
    "to_english": to_english.draft,
    "to_portuguese": to_portuguese.draft,
    "units": units.draft,
    "word_problems": word_problems.draft,
    "writing": writing.draft,
}
# People do not only ask; a router must see past this.
_LEAD_INS = ("Hi! ", "Quick question: ", "Please help me with this. ", "Hello, can you help? ", "One more thing: ")
_LED = 0.08
_TRIES = 200


def generate(n: int = 2400, seed: int = 0) -> list[Sample]:
    """Different prompts, the groups in turn; the same for the same seed, and the first of a longer list.

    A group whose vocabulary is used up leaves its turn to the others.

    Raises:
        BadInput: fewer than 1 prompt asked for, or more than there are.

    >>> [sample.group for sample in generate(3)]
    ['advice', 'arithmetic', 'classification']
    """
    if n < 1:
        raise BadInput(f"n is {n}; ask for at least 1 prompt")
    streams = {group: Random(f"{group} {seed}") for group in GROUPS}  # noqa: S311 - not for secrets
    found: dict[str, Sample] = {}
    while len(found) < n:
        if not streams:
            raise BadInput(f"there are only {len(found)} different prompts, {n} were asked for; ask for fewer")
        for group, rng in list(streams.items()):
            sample = _unseen(group, rng, found)
            if sample is None:
                del streams[group]
            elif len(found) < n:
                found[_key(sample.prompt)] = sample
    return list(found.values())


def _unseen(group: str, rng: Random, found: Mapping[str, Sample]) -> Sample | None:
    for _ in range(_TRIES):
        prompt, scorer, reference = GROUPS[group](rng)
        if _key(prompt) not in found:
            break
    else:
        return None
    name = f"{group}-{hashlib.blake2b(prompt.encode(), digest_size=6).hexdigest()}"
    if rng.random() < _LED and group != "small_talk":
        return Sample(name, rng.choice(_LEAD_INS) + prompt, scorer, reference, group)
    return Sample(name, prompt, scorer, reference, group)


def _key(prompt: str) -> str:
    for lead_in in _LEAD_INS:
        prompt = prompt.removeprefix(lead_in)
    return " ".join(prompt.lower().split())
