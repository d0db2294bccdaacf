"""Expert choice: loads are exact, and experts take what fits them best."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts import NONE, Context, Control, ExpertChoice


def made(**given: object) -> ExpertChoice:
    torch.manual_seed(0)
    router = ExpertChoice(8, experts=4, **given)
    router.weight_ED.data *= 20
    return router.eval()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 6, 16]))
def test_every_expert_takes_exactly_its_share_of_every_group(k: int, groups: int, group: int) -> None:
    routing = made()(torch.randn(groups * group, 8), Control(k=k), Context(group=group))
    share = min(group, max(1, round(group * k / 4)))
    assert routing.load_E.tolist() == [groups * share] * 4
    for part_TK in routing.experts_TK.split(group):
        assert torch.bincount(part_TK[part_TK != NONE], minlength=4).tolist() == [share] * 4


def test_an_expert_takes_those_tokens_that_are_likeliest_its_own() -> None:
    x_TD, router = torch.randn(20, 8), made()
    probabilities_TE = (x_TD @ router.weight_ED.T).softmax(-1)
    routing = router(x_TD)
    for e in range(4):
        taken = (routing.experts_TK == e).any(-1).nonzero().flatten().tolist()
        assert sorted(taken) == sorted(probabilities_TE[:, e].topk(10).indices.tolist())
    kept_TK = routing.experts_TK != NONE
    expected_TK = probabilities_TE.gather(1, routing.experts_TK.clamp(min=0))
    torch.testing.assert_close(routing.weights_TK[kept_TK], expected_TK[kept_TK])


def test_there_are_as_many_choices_as_the_luckiest_token_got() -> None:
    routing = made()(torch.randn(40, 8))
    got_T = (routing.experts_TK != NONE).sum(-1)
    assert routing.experts_TK.shape[1] == got_T.max() and got_T.min() < got_T.max()


def test_groups_do_not_see_one_another() -> None:
    x_TD, router = torch.randn(24, 8), made()
    whole = router(x_TD, context=Context(group=8)).dense().combine_TES.sum(-1)
    parts = [router(x_TD[start : start + 8]).dense().combine_TES.sum(-1) for start in (0, 8, 16)]
    torch.testing.assert_close(whole, torch.cat(parts))


def test_a_capacity_takes_the_best_of_each_group() -> None:
    x_TD, router = torch.randn(16, 8), made()
    routing = router(x_TD, Control(capacity=5), Context(group=8))
    assert routing.load_E.tolist() == [4] * 4
    for e in range(4):
        best = (x_TD @ router.weight_ED.T).softmax(-1)[:8, e].topk(2).indices.tolist()
        assert sorted((routing.experts_TK[:8] == e).any(-1).nonzero().flatten().tolist()) == sorted(best)


def test_an_expert_that_is_not_allowed_leaves_its_places_empty() -> None:
    allowed_E = torch.tensor([True, True, False, True])
    routing = made()(torch.randn(16, 8), Control(allowed_E=allowed_E))
    assert routing.load_E.tolist() == [8, 8, 0, 8]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: ExpertChoice(8, 4, k=0), "k is 0"),
        (lambda: ExpertChoice(8, 4, capacity_factor=-1.0), "capacity_factor is -1.0"),
        (lambda: made()(torch.ones(5, 8), context=Context(group=4)), "5 tokens came in groups of 4"),
        (lambda: made()(torch.ones(8, 8), Control(capacity=1), Context(group=4)), "capacity is 1, .* 2 group"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
