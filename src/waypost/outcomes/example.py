"""A small made-up table for examples and tests: it has a law, so that a router has something to find."""

from __future__ import annotations

import numpy as np

from waypost.outcomes.table import Outcomes

_ASKS = {
    "maths": ("What is {a} plus {b}?", "Multiply {a} by {b}.", "Work out {a} minus {b}."),
    "chat": ("Tell me about the town of {w}.", "Say hello to {w} for me.", "Do you like {w}?"),
    "code": ("Write a Python function called {w}.", "Fix the bug in the method {w}.", "Explain the class {w}."),
}
_WORDS = ("Albany", "bread", "Cairo", "dancing", "Elm", "frost", "garden", "harbour", "ink", "juniper")
# Chance of a right answer by group: each model is best at something, and the dear one is never bad.
_SKILL = {"tiny": (0.2, 0.85, 0.1), "maths-expert": (0.98, 0.1, 0.3), "large": (0.55, 0.9, 0.9)}
_USD = {"tiny": 1e-6, "maths-expert": 5e-6, "large": 4e-4}


def example_table(n: int = 300, seed: int = 0) -> Outcomes:
    """A table of ``n`` prompts in three groups and three models whose strengths differ.

    >>> example_table(60).models
    ('tiny', 'maths-expert', 'large')
    """
    rng = np.random.default_rng(seed)
    groups = rng.choice(list(_ASKS), n)
    prompts = [
        str(rng.choice(_ASKS[g])).format(a=rng.integers(2, 999), b=rng.integers(2, 999), w=rng.choice(_WORDS))
        for g in groups
    ]
    column = [list(_ASKS).index(g) for g in groups]
    chance = np.array([_SKILL[m] for m in _SKILL]).T[column]
    quality = (rng.random(chance.shape) < chance).astype(float)
    usd = np.array(list(_USD.values())) * rng.uniform(0.5, 1.5, chance.shape)
    return Outcomes(
        tuple(f"example-{i}" for i in range(n)), tuple(prompts), tuple(map(str, groups)), tuple(_SKILL),
        quality, usd, usd * 1e3,
    )  # fmt: skip
