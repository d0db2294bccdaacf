"""A machine, then an expert on it, each by its own small gate."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Bilevel, Control, FeedForward, MoE

N, M = 3, 4


@pytest.fixture
def router() -> Bilevel:
    torch.manual_seed(0)
    made = Bilevel(16, experts=N * M, nodes=N)
    for value in made.parameters():
        value.data.normal_()
    return made


def test_the_weight_is_the_product_of_both_probabilities(router: Bilevel) -> None:
    x_TD = torch.randn(40, 16)
    p_TN, q_TM = (x_TD @ router.node_weight_ND.T).softmax(-1), (x_TD @ router.local_weight_MD.T).softmax(-1)
    routing = router(x_TD)
    i_T, j_T = p_TN.argmax(-1), q_TM.argmax(-1)
    assert routing.experts_TK[:, 0].tolist() == (i_T * M + j_T).tolist()
    torch.testing.assert_close(routing.weights_TK[:, 0], p_TN.amax(-1) * q_TM.amax(-1))


def test_the_router_has_a_row_for_each_machine_and_each_place_and_no_more(router: Bilevel) -> None:
    assert sum(value.numel() for value in router.parameters()) == 16 * (N + M)


def test_both_gates_learn_from_the_task(router: Bilevel) -> None:
    layer = MoE(router, FeedForward(16, hidden=8, experts=N * M))
    layer(torch.randn(30, 16)).y.square().sum().backward()
    assert router.node_weight_ND.grad.any() and router.local_weight_MD.grad.any()


def test_each_balance_sees_its_own_level_alone() -> None:
    """All to machine 0, and there evenly: uneven between machines, even on them."""
    router = Bilevel(4, experts=4, nodes=2)
    router.node_weight_ND.data = torch.tensor([[50.0, 50.0, 0, 0], [0.0, 0, 0, 0]])
    router.local_weight_MD.data = torch.tensor([[50.0, 0, 0, 0], [0.0, 50, 0, 0]])
    found = router(torch.eye(4)[:2]).losses
    assert found["balance_nodes"].item() == pytest.approx(2.0)
    assert found["balance_local"].item() == pytest.approx(1.0)


def test_balances_are_one_at_even_gates(router: Bilevel) -> None:
    for value in router.parameters():
        value.data.zero_()
    assert [loss.item() for loss in router(torch.randn(9, 16)).losses.values()] == pytest.approx([1.0, 1.0])


def test_with_one_machine_it_is_a_switch_and_with_one_expert_each_too(router: Bilevel) -> None:
    x_TD = torch.randn(20, 16)
    for nodes in (1, 6):
        other = Bilevel(16, experts=6, nodes=nodes)
        logits_TE = x_TD @ (other.local_weight_MD if nodes == 1 else other.node_weight_ND).T
        torch.testing.assert_close(other(x_TD).weights_TK[:, 0], logits_TE.softmax(-1).amax(-1))


def test_several_choices_are_all_on_the_best_machine(router: Bilevel) -> None:
    x_TD = torch.randn(40, 16)
    machine_T = router(x_TD).experts_TK // M
    routing = router(x_TD, Control(k=3))
    assert torch.equal(routing.experts_TK // M, machine_T.expand(-1, 3))
    assert all(len(set(row)) == 3 for row in routing.experts_TK.tolist())


def test_a_machine_without_enough_allowed_experts_gets_nothing(router: Bilevel) -> None:
    allowed_E = torch.tensor([True, False, False, False, False, True, True, False, True, True, True, True])
    routing = router(torch.randn(200, 16), Control(k=2, allowed_E=allowed_E))
    used = set(routing.experts_TK.flatten().tolist())
    assert used == {5, 6, 8, 9, 10, 11}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda router: Bilevel(16, experts=7, nodes=2), "7 experts on 2 machines"),
        (lambda router: Bilevel(16, experts=8, nodes=0), "8 experts on 0 machines"),
        (lambda router: Bilevel(16, experts=8, k=5, nodes=2), "k is 5, and a machine has 4 experts"),
        (lambda router: router(torch.randn(2, 16), Control(k=5)), "k is 5, and a machine has 4"),
        (
            lambda router: router(torch.randn(2, 16), Control(k=2, allowed_E=torch.arange(N * M) % M == 0)),
            "no machine has 2 experts that are allowed; allow more",
        ),
    ],
)
def test_what_cannot_be_done_is_said(router: Bilevel, wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong(router)
