"""How often the semantic cache gives the answer to another question, and how often it knows the same one again.

    python benchmarks/semantic_cache.py   # about half a minute; prints and appends a row

Questions are the project's own prompts.  Those that must not be taken for one: of each prompt the nearest with another
reference answer, and the prompt itself with one thing changed (a number, two words that change places, a "not", a name
or word taken from the nearest other prompt, a sign or a capital).  Those that should be: the prompt with slips of the
finger, another case, spacing or punctuation, or in a paraphrase.  Each figure is a share of its pairs; `words` says
whether the words are looked at (the default) or the cosine alone decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

import numpy as np

import rows
from waypost.embedded import prompts
from waypost.encoders import StaticEncoder
from waypost.gateway.cache.nearby import words as said
from waypost.outcomes.perturb import perturbed
from waypost.outcomes.wording import folded
from waypost.types import Sample

PROMPTS = 3000
THRESHOLDS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99)
SAME = ("typos", "case", "spaces", "punctuation", "paraphrase")

Pair = tuple[str, str]

SIGNS = (
    (r"\b(\w+ [-+*/] \w+)\b", r"(\1)"),
    (r"\(([^()]*)\)", r"\1"),
    (r"(?<![\d.])(\d+)(?![\d.,])", r"\1!"),
    (r"(?<![\d.,])(\d)", r".\1"),
    (r"\b([a-z]{4,})\b", r"'\1'"),
    (r"\b([a-z]{3,}) ([a-z]{3,})\b", r"\1_\2"),
    (r"\b([a-z]{2,3})\b", lambda found: found[0].upper()),
    (r"\b([a-z]{4,}) (is|are|in|of)\b", r"\1 A \2"),
)


def measure(pairs: Sequence[Pair], encoder: StaticEncoder) -> dict[str, list[float]]:
    left, right = (encoder.encode([folded(pair[side]) for pair in pairs]) for side in (0, 1))
    cosine = np.einsum("nd,nd->n", left, right)
    words = np.array([said(a) == said(b) for a, b in pairs])
    return {
        "words": [round(float(((cosine >= t) & words).mean()), 5) for t in THRESHOLDS],
        "cosine": [round(float((cosine >= t).mean()), 5) for t in THRESHOLDS],
    }


def nearest(samples: Sequence[Sample], encoder: StaticEncoder) -> list[Pair]:
    vectors = encoder.encode([folded(sample.prompt) for sample in samples])
    references = np.array([sample.reference for sample in samples])
    pairs = []
    for number, sample in enumerate(samples):
        cosine = vectors @ vectors[number]
        cosine[references == references[number]] = -1
        pairs.append((sample.prompt, samples[int(cosine.argmax())].prompt))
    return pairs


def number_changed(prompt: str, other: str, rng: Random) -> str | None:
    numbers = list(re.finditer(r"\d+", prompt))
    if not numbers:
        return None
    found = rng.choice(numbers)
    return f"{prompt[: found.start()]}{int(found[0]) + rng.randint(1, 9)}{prompt[found.end() :]}"


def swapped(prompt: str, other: str, rng: Random) -> str | None:
    words = prompt.split(" ")
    inner = [n for n, word in enumerate(words) if word.isalpha() and len(word) > 3 and word.lower() != "please"]
    if len(inner) < 2:
        return None
    a, b = rng.sample(inner, 2)
    if words[a].lower() == words[b].lower():
        return None
    words[a], words[b] = words[b], words[a]
    return " ".join(words)


def negated(prompt: str, other: str, rng: Random) -> str | None:
    text, count = re.subn(r"\b(is|are|was|does|do|can|should|will|has|have)\b", r"\1 not", prompt, count=1)
    return text if count else None


def word_changed(prompt: str, other: str, rng: Random) -> str | None:
    mine = {word for word in re.findall(r"[A-Za-z]{4,}", prompt) if word.lower() not in other.lower()}
    theirs = {word for word in re.findall(r"[A-Za-z]{4,}", other) if word.lower() not in prompt.lower()}
    if not mine or not theirs:
        return None
    return prompt.replace(rng.choice(sorted(mine)), rng.choice(sorted(theirs)), 1)


def sign_changed(prompt: str, other: str, rng: Random) -> str | None:
    """Another meaning by a sign or a capital: brackets, "!" behind a number, "." before one, quotes, "_", case, "A"."""
    made = [re.sub(pattern, put, prompt, count=1) for pattern, put in SIGNS]
    changed = [text for text in made if text != prompt]
    return rng.choice(changed) if changed else None


EDITS: tuple[Callable[[str, str, Random], str | None], ...] = (
    number_changed,
    swapped,
    negated,
    word_changed,
    sign_changed,
)


def edited(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    for edit in EDITS:
        rng = Random(0)
        made = ((prompt, edit(prompt, other, rng)) for prompt, other in pairs)
        yield edit.__name__, [(prompt, text) for prompt, text in made if text is not None]


def main() -> None:
    encoder = StaticEncoder()
    samples = prompts.generate(PROMPTS)
    texts = [sample.prompt for sample in samples]
    near = nearest(samples, encoder)
    different = {"nearest": near, **dict(edited(near))}
    same = {kind: list(zip(texts, perturbed(kind, texts), strict=True)) for kind in SAME}
    everything = [pair for pairs in different.values() for pair in pairs]
    rows.append(
        "semantic_cache",
        {
            "encoder": encoder.name,
            "thresholds": THRESHOLDS,
            "pairs": {kind: len(pairs) for kind, pairs in (different | same).items()},
            "false_hits": {"all": measure(everything, encoder)}
            | {kind: measure(pairs, encoder) for kind, pairs in different.items()},
            "hits": {kind: measure(pairs, encoder) for kind, pairs in same.items()},
        },
    )


if __name__ == "__main__":
    main()
