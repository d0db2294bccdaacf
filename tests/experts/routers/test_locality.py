"""Each expert has features of its own, and the loss keeps tokens on their machine."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Context, Control, Locality, TopK


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_token_goes_where_its_piece_has_the_largest_mean() -> None:
    x_TD = torch.randn(50, 12)
    routing = Locality(12, experts=4).eval()(x_TD)
    means = [[row[3 * e : 3 * e + 3].mean().item() for e in range(4)] for row in x_TD]
    assert routing.experts_TK[:, 0].tolist() == [max(range(4), key=row.__getitem__) for row in means]
    expected_T = torch.tensor(means).relu().softmax(-1).amax(-1)
    torch.testing.assert_close(routing.weights_TK[:, 0], expected_T)


def test_it_is_a_linear_gate_with_orthogonal_directions() -> None:
    """The paper's: n/D on the expert's own features, and 0 elsewhere."""
    linear = TopK(12, experts=4, k=1)
    linear.weight_ED.data = torch.eye(4).repeat_interleave(3, 1) / 3
    overlap_EE = linear.weight_ED @ linear.weight_ED.T
    assert not overlap_EE.masked_fill(torch.eye(4, dtype=torch.bool), 0).any()
    x_TD = torch.randn(60, 12)
    assert torch.equal(Locality(12, experts=4).eval()(x_TD).experts_TK, linear(x_TD).experts_TK)


def test_there_is_nothing_to_learn_but_gradients_pass_to_tokens() -> None:
    router = Locality(12, experts=4)
    assert not list(router.parameters())
    x_TD = torch.randn(5, 12, requires_grad=True)
    router(x_TD).weights_TK.sum().backward()
    assert x_TD.grad.any()


def test_tokens_without_a_piece_above_nought_are_not_all_sent_to_the_first_expert() -> None:
    x_TD = -torch.rand(200, 12) - 0.1
    assert len(Locality(12, experts=4).eval()(x_TD).experts_TK.unique()) == 4


def test_noise_moves_choices_in_training_and_not_in_use() -> None:
    router, x_TD = Locality(12, experts=4, noise=0.5), torch.randn(300, 12)
    assert not torch.equal(router.train()(x_TD).experts_TK, router(x_TD).experts_TK)
    assert torch.equal(router.eval()(x_TD).experts_TK, router(x_TD).experts_TK)


def test_the_locality_loss_is_there_when_machines_are_known() -> None:
    router, x_TD = Locality(12, experts=4).eval(), torch.randn(300, 12)
    assert set(router(x_TD).losses) == {"balance"}
    home = (router(x_TD).experts_TK[:, 0] // 2) % 2
    near, far = (router(x_TD * 9, context=Context(nodes_T=nodes_T)).losses["locality"] for nodes_T in (home, 1 - home))
    assert near < 0.3 * far


def test_learning_from_it_keeps_tokens_at_home() -> None:
    """Tokens that are free to move do so, and the share on their own machine goes up."""
    torch.manual_seed(0)
    router, nodes_T = Locality(8, experts=4).eval(), torch.arange(100) % 2
    x_TD = torch.randn(100, 8) * 3
    x_TD[:, :4] += 2  # more than half go to machine 0
    x_TD.requires_grad_()

    def share() -> float:
        return float((router(x_TD).experts_TK[:, 0] // 2 == nodes_T).double().mean())

    before = share()
    for _ in range(100):
        routing = router(x_TD, context=Context(nodes_T=nodes_T))
        loss = routing.losses["locality"] + routing.losses["balance"]
        (gradient_TD,) = torch.autograd.grad(loss, x_TD)
        x_TD.data -= 3 * gradient_TD
    assert share() > before + 0.2


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Locality(10, experts=4), "width 10, and there are 4 experts.*a multiple of 4"),
        (lambda: Locality(12, experts=3), "3 experts on 2 machines"),
        (lambda: Locality(12, experts=4, noise=-1), "noise is -1"),
        (lambda: Locality(12, experts=4)(torch.randn(2, 12), Control(k=5)), "k is 5"),
        (
            lambda: Locality(12, experts=4)(torch.randn(2, 12), context=Context(nodes_T=torch.tensor([0, 2]))),
            "values from 0 to 2; there are 2 machines, 0 to 1",
        ),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()


def test_a_capacity_below_the_bound_is_refused() -> None:
    router = Locality(4096, experts=16, delta=0.05)
    x_TD = torch.randn(3, 4096)
    with pytest.raises(BadInput, match=r"capacity is 45, and an expert needs 45\.7 tokens at least.*leave delta out"):
        router(x_TD, Control(capacity=45))
    router(x_TD, Control(capacity=46))
    Locality(4096, experts=16)(x_TD, Control(capacity=1))
