"""What the heads of cascades share: what they say after an answer, and what they see of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import surface
from waypost.errors import BadTable
from waypost.outcomes import Outcomes
from waypost.types import Answer, Encoder, Floats, Prediction

_REFUSAL = re.compile(
    r"\b(sorry|cannot|can't|unable|as an ai|don't know|do not know|not sure|unclear)\b", re.IGNORECASE
)
_ENDS = (".", "!", "?", ")", '"', "'", "`", "”")


class Outlook(NamedTuple):
    """What to expect of each model: quality and costs if it answers, and the chance that it declines."""

    answered: Prediction
    declines_NM: Floats


def canonical(outcomes: Outcomes) -> Outcomes:
    """The table in an order of its own, so that the order of its rows changes nothing."""
    return outcomes.select(sorted(range(len(outcomes)), key=lambda n: (outcomes.prompts[n], outcomes.ids[n])))


def answers_of(table: Outcomes, model: str) -> tuple[NDArray[np.intp], list[Answer]]:
    """The rows in which a model's answer was kept, and those answers.

    Raises:
        BadTable: there are none.
    """
    kept = [(n, answer) for n in range(len(table)) if (answer := table.answer(n, model)) is not None]
    if not kept:
        raise BadTable(f"no answers of {model!r} were kept, so nothing can be learnt from them; collect them "
                       f"with waypost collect, or leave the model out of the cascade")  # fmt: skip
    return np.array([n for n, _ in kept]), [answer for _, answer in kept]


def answer_features(
    encoder: Encoder, prompts: Sequence[str], vectors_ND: NDArray[np.float32], answers: Sequence[Answer | None]
) -> Floats:
    """Features of prompts with an answer each (or none): the prompts' vectors first."""
    texts = [a.text if a else "" for a in answers]
    alike_N1 = np.einsum("nd,nd->n", vectors_ND, encoder.encode(texts))[:, None]
    facts = np.array([_facts(a) if a else (0.0,) * 8 for a in answers])
    return np.hstack([vectors_ND, surface(prompts), surface(texts), facts, alike_N1])


def _facts(answer: Answer) -> tuple[float, ...]:
    text = answer.text.strip()
    return (
        float(np.log1p(answer.tokens_out)),
        float(bool(_REFUSAL.search(text))),
        float(answer.declined is not None),
        float(answer.finish == "length"),
        float(text.endswith(_ENDS)),
        float(len(text) <= 3),
        0.0 if answer.logprob is None else answer.logprob,
        float(answer.logprob is not None),
    )
