"""Soft mixtures: what is dispatched and combined sums to 1, and equal experts are a mean."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Context, Control, FeedForward, Modules, MoE, Soft
from waypost.experts.routing import Slots


def made(slots: int = 3, scale: float = 5.0) -> Soft:
    torch.manual_seed(0)
    router = Soft(8, experts=4, slots=slots)
    router.scale.data.fill_(scale)
    return router.eval()


@pytest.fixture
def x_TD() -> torch.Tensor:
    return torch.randn(12, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("group", [0, 4])
def test_a_slot_s_tokens_and_a_token_s_slots_sum_to_one(x_TD: torch.Tensor, group: int) -> None:
    routing = made()(x_TD, context=Context(group=group))
    dispatch_TES, combine_TES = routing.slots
    for part_TES in dispatch_TES.split(group or 12):
        torch.testing.assert_close(part_TES.sum(0), torch.ones(4, 3))
    torch.testing.assert_close(combine_TES.sum((1, 2)), torch.ones(12))
    torch.testing.assert_close(routing.weights_TK, combine_TES.sum(-1))
    assert routing.experts_TK.tolist() == [[0, 1, 2, 3]] * 12
    assert routing.load_E.tolist() == [3 * (12 // (group or 12))] * 4


def test_a_score_is_a_cosine_and_so_blind_to_a_token_s_length(x_TD: torch.Tensor) -> None:
    router = made()
    mu_AD = router.weight_ESD.flatten(0, 1)
    cosine_TA = torch.nn.functional.cosine_similarity(x_TD[:, None], mu_AD[None], dim=-1)
    torch.testing.assert_close(router(x_TD).slots.combine_TES.flatten(1), (5 * cosine_TA).softmax(-1))
    torch.testing.assert_close(router(x_TD).slots.dispatch_TES.flatten(1), (5 * cosine_TA).softmax(0))
    torch.testing.assert_close(router(7 * x_TD).weights_TK, router(x_TD).weights_TK)


def test_with_scale_nought_every_token_comes_out_as_the_experts_mean_of_the_mean(x_TD: torch.Tensor) -> None:
    layer = MoE(made(scale=0.0), FeedForward(8, hidden=6, experts=4))
    up, down = layer.experts.up_EHD, layer.experts.down_EDH
    each_ED = torch.stack([torch.nn.functional.gelu(up[e] @ x_TD.mean(0)) @ down[e].T for e in range(4)])
    torch.testing.assert_close(layer(x_TD).y, each_ED.mean(0).expand(12, -1))


def test_equal_linear_experts_are_one_map_of_mixed_tokens(x_TD: torch.Tensor) -> None:
    one = torch.nn.Linear(8, 8)
    y_TD, routing = MoE(made(), Modules([one] * 4, width=8))(x_TD)
    dispatch_TES, combine_TES = routing.slots
    mixing_TT = torch.einsum("tes,ues->tu", combine_TES, dispatch_TES)
    torch.testing.assert_close(mixing_TT.sum(1), torch.ones(12))  # a mean of tokens, with weights
    torch.testing.assert_close(y_TD, one(mixing_TT @ x_TD))


def test_groups_do_not_see_one_another(x_TD: torch.Tensor) -> None:
    layer = MoE(made(), FeedForward(8, hidden=6, experts=4))
    whole = layer(x_TD, context=Context(group=4))
    parts = [layer(part_TD) for part_TD in x_TD.split(4)]
    torch.testing.assert_close(whole.y, torch.cat([part.y for part in parts]))


def test_the_dense_view_of_groups_gives_what_the_short_one_gives(x_TD: torch.Tensor) -> None:
    layer = MoE(made(), FeedForward(8, hidden=6, experts=4))
    y_TD, routing = layer(x_TD, context=Context(group=4))
    whole = routing.dense()
    assert whole.dispatch_TES.shape == (12, 4, 9) and routing.slots.dispatch_TES.shape == (12, 4, 3)
    other = routing._replace(slots=Slots(*whole), groups=1)
    moved = layer.dispatcher.dispatch(x_TD, other)
    again_TD = layer.dispatcher.combine(layer.experts(moved.rows_AD, moved.groups), moved, other)
    torch.testing.assert_close(again_TD, y_TD)


def test_an_expert_that_is_not_allowed_takes_and_gives_nothing(x_TD: torch.Tensor) -> None:
    allowed_E = torch.tensor([True, False, True, True])
    routing = made()(x_TD, Control(allowed_E=allowed_E))
    assert not routing.slots.dispatch_TES[:, 1].any() and not routing.slots.combine_TES[:, 1].any()
    assert routing.load_E.tolist() == [3, 0, 3, 3] and (routing.experts_TK[:, 1] == -1).all()
    torch.testing.assert_close(routing.weights_TK.sum(-1), torch.ones(12))


def test_temperature_sharpens_shares(x_TD: torch.Tensor) -> None:
    soft, sharp = (made()(x_TD, Control(temperature=t)).weights_TK.max(-1).values for t in (1.0, 0.1))
    assert (sharp > soft).all()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Soft(8, 4, k=2), "k is 2; a soft router mixes every token into all 4 experts and has none: set slots"),
        (lambda: Soft(8, 4, slots=0), "slots is 0"),
        (lambda: Soft(8, 0), "experts is 0"),
        (lambda: made()(torch.ones(5, 8), Control(k=4)), "k is 4; a soft router"),
        (lambda: made()(torch.ones(5, 8), context=Context(group=4)), "5 tokens came in groups of 4"),
        (
            lambda: made()(torch.ones(8, 8), Control(capacity=5), Context(group=4)),
            r"capacity is 5, and each expert computes 6 slot\(s\)",
        ),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()


def test_a_capacity_that_is_enough_changes_nothing(x_TD: torch.Tensor) -> None:
    router = made()
    torch.testing.assert_close(router(x_TD, Control(capacity=3)).weights_TK, router(x_TD).weights_TK)
