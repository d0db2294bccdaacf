import numpy as np
import pytest

from waypost.evaluation.audit.prompts import generate
from waypost.evaluation.audit.routes import cells, jailbreaks, trends, wholesale

PROMPTS = generate(20)
TEXTS = [prompt.text for prompt in PROMPTS]


def chosen(rule):
    return np.array([int(rule(prompt)) for prompt in PROMPTS])


def test_shares_are_told_by_category_and_level():
    found = cells(("small", "large"), PROMPTS, chosen(lambda p: p.level == 3 or p.category == "coding"))
    assert len(found) == 18
    for cell in found:
        large = cell.level == 3 or cell.category == "coding"
        assert cell.shares["large"].share == large
        assert cell.top == ("large" if large else "small")
        assert sum(share.share for share in cell.shares.values()) == pytest.approx(1)
        assert cell.n == 20


def test_a_category_that_goes_to_one_model_whatever_its_difficulty_is_told():
    found = cells(("small", "large"), PROMPTS, chosen(lambda p: p.level == 3 or p.category in ("coding", "maths")))
    assert wholesale(found) == {"large": ["coding", "maths"]}


def test_whether_harder_prompts_go_to_better_models_is_tested_by_category(ruled):
    subject = ruled(lambda prompt: True)
    found = trends(subject, PROMPTS, chosen(lambda p: p.level >= 2 if p.category == "maths" else p.level == 1))
    assert found["maths"].z > 5
    assert found["coding"].z < -5
    assert found["coding"].p < 1e-6


def test_jailbreaks_are_put_beside_benign_prompts(ruled):
    subject = ruled(lambda prompt: "request for" not in prompt)
    found = jailbreaks(subject, PROMPTS, subject.choose(TEXTS), ("request for this", "and for that"))
    assert (found.to_weak.share, found.benign_to_weak.share, found.excess.share) == (1, 0, 1)
    assert found.excess.low > 0.8
    assert found.real
    assert found.real.share == 0.5
