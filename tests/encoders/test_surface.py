"""The surface facts agree with their definitions, character by character."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from waypost.encoders import surface
from waypost.encoders.surface import SURFACE


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80))
def test_facts_are_what_their_names_say(text):
    n = len(text)
    slow = {
        "log_length": math.log1p(n),
        "log_words": math.log1p(text.count(" ") + 1),
        "digit_share": sum(c in "0123456789" for c in text) / n,
        "operator_share": sum(c in "+-*/=<>%^(){}[]" for c in text) / n,
        "foreign_share": sum(ord(c) > 127 for c in text) / n,
        "upper_share": sum("A" <= c <= "Z" for c in text) / n,
        "log_lines": math.log1p(text.count("\n")),
        "is_question": float(text.rstrip().endswith("?")),
    }
    assert np.allclose(surface([text])[0], [slow[name] for name in SURFACE])


def test_an_empty_text_has_no_facts():
    assert not surface([""]).any()
