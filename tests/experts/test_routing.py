"""A routing and its dense view say the same."""

from __future__ import annotations

import subprocess
import sys

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.experts import NONE, Routing


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_dense_view_has_each_assignment_in_a_slot_of_its_own(data: st.DataObject) -> None:
    tokens, k, experts = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(3, 5)))
    rows = [data.draw(st.permutations(range(-1, experts)))[:k] for _ in range(tokens)]
    experts_TK = torch.tensor(rows)
    weights_TK = torch.rand(tokens, k).masked_fill(experts_TK == NONE, 0.0)
    routing = Routing.of(weights_TK, experts_TK, experts=experts)
    dispatch_TES, combine_TES = routing.dense()
    assert torch.equal(dispatch_TES.sum((0, 2)).long(), routing.load_E)
    assert (dispatch_TES.sum(0) <= 1).all(), "two tokens share a slot"
    for token in range(tokens):
        for expert in range(experts):
            mine = experts_TK[token] == expert
            assert dispatch_TES[token, expert].sum() == mine.sum()
            torch.testing.assert_close(combine_TES[token, expert].sum(), weights_TK[token][mine].sum())


def test_slots_are_filled_in_the_order_of_the_tokens() -> None:
    routing = Routing.of(torch.ones(3, 1), torch.tensor([[1], [0], [1]]), experts=2)
    assert routing.dense().dispatch_TES[:, 1].tolist() == [[1, 0], [0, 0], [0, 1]]


def test_without_torch_the_room_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport waypost.experts"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "NotInstalled: waypost.experts needs torch; pip install 'waypost[experts]'" in done.stderr
