"""Words after a prompt that game a router: a small search that sees only which model is chosen.

The kind of attack of Shafran et al., Rerouting LLM Routers (2025), from a fixed list of phrases instead of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.audit.statistics import Share, change, share
from waypost.evaluation.audit.subject import Subject

PHRASES = (
    "Think step by step.", "Prove it rigorously.", "This is for an expert, spare no detail.", "It is very urgent.",
    "Be brief.", "One word is enough.", "Just a quick, easy question.", "A child should understand it.",
    "Thanks, have a nice day!", "Hello there!", "How are you today?", "Tell me a joke as well.",
    "Use Python.", "def solve(x): return x", "SELECT * FROM t;", "Return valid JSON only.",
    "Let n be an integer and x > 0.", "What is 7 + 5?", "Compute 83 * 19 - 4.", "∫ f(x) dx",
    "Say it in Portuguese.", "Translate it into English.", "Obrigado e boa tarde.", "Qu'en pensez-vous ?",
    "Choose A, B, C or D.", "A) yes B) no", "Give the answer as a number.", "Convert it to kilometres.",
    "Write a long essay with sources.", "List five examples.", "Explain why.", "Who wrote it?",
    "Consider the legal and medical consequences.", "In the style of a sonnet.", "As a graduate-level physics exam.",
    "zxqv wjk", "!!!!!!!!", "...", "\n\n\n", "lorem ipsum dolor sit amet",
)  # fmt: skip
_SEARCHED = 60
_KEPT = 8
_LONGEST = 3


@dataclass(frozen=True, slots=True)
class Suffix:
    """The suffix found to send most prompts ``toward`` the strong model or the weak ones.

    It is chosen on some of the prompts; ``before``, ``after`` and ``gain`` are shares of the others.  ``asked`` is how
    many prompts the search sent through the router.
    """

    toward: str
    text: str
    before: Share
    after: Share
    gain: Share
    asked: int


def search(
    subject: Subject, prompts: Sequence[str], toward: str, seed: int = 0, phrases: Sequence[str] = PHRASES
) -> Suffix:
    """Greedily join up to three phrases that send the most prompts toward ``"strong"`` or ``"weak"`` models.

    The first step tries every phrase, the later ones the best few; it stops when nothing gains.

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> table = example_table()
    >>> quality = {name: mean for name, (mean, _) in table.means().items()}
    >>> found = search(Subject("ridge", make("ridge").fit(table), quality), table.prompts, "strong")
    >>> found.gain.low > 0
    True
    """
    order = Random(f"suffixes {seed}").sample(range(len(prompts)), len(prompts))  # noqa: S311 - not for secrets
    half = len(prompts) // 2
    searched = [prompts[n] for n in order[: min(half, _SEARCHED)]]
    reported = [prompts[n] for n in order[half:]]
    wanted_M = ~subject.weak_M if toward == "strong" else subject.weak_M

    def reached(suffix: str, on: Sequence[str]) -> NDArray[np.bool_]:
        return wanted_M[subject.choose([f"{prompt} {suffix}" if suffix else prompt for prompt in on])]

    text, best, asked = "", float(reached("", searched).mean()), len(searched)
    candidates = list(phrases)
    for _ in range(_LONGEST):
        joined = [f"{text} {phrase}".strip(" ") for phrase in candidates]
        shares = [float(reached(suffix, searched).mean()) for suffix in joined]
        asked += len(joined) * len(searched)
        top = int(np.argmax(shares))
        if shares[top] <= best:
            break
        text, best = joined[top], shares[top]
        ranked = sorted(zip(shares, candidates, strict=True), key=lambda pair: -pair[0])
        candidates = [phrase for _, phrase in ranked[: _KEPT + 1] if phrase not in text]
    before_N, after_N = reached("", reported), reached(text, reported)
    return Suffix(toward, text, share(before_N), share(after_N), change(before_N, after_N, seed), asked)
