"""One group by a switch, several experts of it by a mixture."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Control, FeedForward, MoE, SwitchMixture

G, M = 3, 4


def made(**settings) -> SwitchMixture:
    torch.manual_seed(0)
    router = SwitchMixture(16, experts=G * M, groups=G, **settings)
    for value in router.parameters():
        value.data.normal_()
    return router


def test_weights_are_the_groups_times_the_experts_within_it() -> None:
    router, x_TD = made(), torch.randn(40, 16)
    w_TG = (x_TD @ router.group_weight_GD.T).softmax(-1)
    m_TGM = (x_TD @ router.weight_ED.T).view(-1, G, M).softmax(-1)
    routing = router(x_TD)
    for t, g in enumerate(w_TG.argmax(-1).tolist()):
        top = m_TGM[t, g].topk(2)
        assert routing.experts_TK[t].tolist() == (g * M + top.indices).tolist()
        torch.testing.assert_close(routing.weights_TK[t], w_TG[t, g] * top.values)


def test_normalised_weights_sum_to_that_of_the_group() -> None:
    router, x_TD = made(normalise=True), torch.randn(40, 16)
    w_TG = (x_TD @ router.group_weight_GD.T).softmax(-1)
    torch.testing.assert_close(router(x_TD).weights_TK.sum(-1), w_TG.amax(-1))


def test_all_choices_of_a_token_are_in_one_group() -> None:
    groups_TK = made()(torch.randn(100, 16), Control(k=M)).experts_TK // M
    assert (groups_TK == groups_TK[:, :1]).all()


def test_both_gates_learn_from_the_task() -> None:
    layer = MoE(made(), FeedForward(16, hidden=8, experts=G * M))
    layer(torch.randn(30, 16)).y.square().sum().backward()
    assert layer.router.group_weight_GD.grad.any() and layer.router.weight_ED.grad.any()


@pytest.mark.parametrize("align", ["probability", "product"])
def test_alignment_is_what_experts_elsewhere_have_beyond_the_worst_that_was_chosen(align: str) -> None:
    router, x_TD = made(align=align), torch.randn(25, 16)
    routing = router(x_TD)
    w_TG, scores_TE = (x_TD @ router.group_weight_GD.T).softmax(-1), x_TD @ router.weight_ED.T
    compared_TE = scores_TE.softmax(-1)
    if align == "product":
        compared_TE = (w_TG[:, :, None] * scores_TE.view(-1, G, M).softmax(-1)).flatten(1)
    total = 0.0
    for t, chosen in enumerate(routing.experts_TK.tolist()):
        worst = min(compared_TE[t, e].item() for e in chosen)
        group = chosen[0] // M
        total += sum(max(compared_TE[t, e].item() - worst, 0) for e in range(G * M) if e // M != group)
    assert total > 0
    assert routing.losses["alignment"].item() == pytest.approx(total / 25, rel=1e-4)


def test_alignment_is_nought_when_the_best_experts_are_in_the_chosen_group() -> None:
    router = SwitchMixture(2, experts=4, k=2, groups=2)
    router.group_weight_GD.data = torch.tensor([[3.0, 0], [0, 0]])
    router.weight_ED.data = torch.tensor([[2.0, 0], [1, 0], [0, 0], [-1, 0]])
    assert router(torch.tensor([[1.0, 0]])).losses["alignment"].item() == 0.0
    # Now the second group has an expert that beats the worse of the two that are chosen.
    router.weight_ED.data[2, 0] = 1.5
    assert router(torch.tensor([[1.0, 0]])).losses["alignment"].item() > 0.05


def test_alignment_lifts_what_was_chosen_and_lowers_what_exceeds_it() -> None:
    router, x_TD = made(), torch.randn(50, 16)
    for _ in range(30):
        loss = router(x_TD).losses["alignment"]
        (gradient_ED,) = torch.autograd.grad(loss, router.weight_ED)
        router.weight_ED.data -= gradient_ED
    assert router(x_TD).losses["alignment"] < 0.7 * made()(x_TD).losses["alignment"]


def test_balances_are_one_at_even_gates() -> None:
    router = made()
    for value in router.parameters():
        value.data.zero_()
    found = router(torch.randn(9, 16)).losses
    assert found["balance"].item() == pytest.approx(1.0) and found["balance_experts"].item() == pytest.approx(1.0)
    assert found["alignment"].item() == pytest.approx(0.0)


def test_a_group_without_enough_allowed_experts_gets_nothing_and_breaks_nothing() -> None:
    allowed_E = torch.arange(G * M) >= M
    routing = made()(torch.randn(100, 16), Control(allowed_E=allowed_E))
    assert (routing.experts_TK >= M).all() and torch.isfinite(routing.weights_TK).all()
    router = made()
    routing = router(torch.randn(20, 16), Control(allowed_E=allowed_E))
    (routing.weights_TK.sum() + sum(routing.losses.values())).backward()
    assert all(torch.isfinite(value.grad).all() for value in router.parameters())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: SwitchMixture(16, experts=7, groups=2), "7 experts in 2 groups"),
        (lambda: SwitchMixture(16, experts=8, k=3, groups=4), "k is 3, and a group has 2 experts"),
        (lambda: SwitchMixture(16, experts=8, align="rank"), "'rank'; it is 'probability' or 'product'"),
        (lambda: made()(torch.randn(2, 16), Control(k=5)), "k is 5, and a group has 4"),
        (
            lambda: made()(torch.randn(2, 16), Control(k=2, allowed_E=torch.arange(G * M) % M == 0)),
            "no group has 2 experts that are allowed",
        ),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
