"""The gate comes from the embedding, and the embedding is all that learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from waypost.errors import BadInput
from waypost.experts import Control, FeedForward, Hyper, MoE
from waypost.experts.losses import weighed


@pytest.fixture
def router() -> Hyper:
    torch.manual_seed(0)
    return Hyper(16, experts=8, hidden=5)


def network(router: Hyper) -> nn.Sequential:
    """The same network as modules."""
    made = nn.Sequential(nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 8 * 17))
    names = {"up_HD": "0.weight", "up_H": "0.bias", "down_GH": "2.weight", "down_G": "2.bias"}
    made.load_state_dict({there: router.state_dict()[here] for here, there in names.items()})
    return made


def test_the_gate_is_what_the_network_makes_of_the_embedding(router: Hyper) -> None:
    made_EG = network(router)(router.embedding_D).view(8, 17)
    weight_ED, bias_E = router.gate()
    torch.testing.assert_close(weight_ED, made_EG[:, :16])
    torch.testing.assert_close(bias_E, made_EG[:, 16])
    x_TD = torch.randn(20, 16)
    logits_TE = x_TD @ weight_ED.T + bias_E
    routing = router(x_TD, Control(k=3))
    top = logits_TE.topk(3)
    assert torch.equal(routing.experts_TK, top.indices)
    torch.testing.assert_close(routing.weights_TK, top.values.softmax(-1))


def test_only_the_embedding_has_a_gradient_and_it_is_d_numbers(router: Hyper) -> None:
    assert {name: value.numel() for name, value in router.named_parameters()} == {"embedding_D": 16}
    layer = MoE(router, FeedForward(16, hidden=8, experts=8))
    fixed = {name: value.clone() for name, value in router.named_buffers()}
    before_D = router.embedding_D.detach().clone()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    y_TD, routing = layer(torch.randn(50, 16))
    (y_TD.square().mean() + weighed(routing.losses, {"balance": 0.01})).backward()
    optimiser.step()
    assert router.embedding_D.grad.any() and not torch.equal(router.embedding_D, before_D)
    assert all(torch.equal(value, fixed[name]) for name, value in router.named_buffers())


def test_gates_that_an_embedding_can_reach_lie_in_as_many_directions_as_units_are_on(router: Hyper) -> None:
    """In float64, since what is counted is a rank."""
    router.double()
    on = int((network(router).double()[0](router.embedding_D) > 0).sum())
    jacobian = torch.autograd.functional.jacobian(
        lambda e: torch.func.functional_call(_Gate(router), {"router.embedding_D": e}, ()), router.embedding_D.detach()
    )
    assert 0 < on < 5 and int(torch.linalg.matrix_rank(jacobian)) == on


def test_two_layers_have_two_networks() -> None:
    torch.manual_seed(0)
    assert not torch.equal(Hyper(4, experts=3).up_HD, Hyper(4, experts=3).up_HD)


def test_no_hidden_units_are_refused() -> None:
    with pytest.raises(BadInput, match="hidden is 0; the network that makes the gate has at least 1 unit"):
        Hyper(8, experts=4, hidden=0)


class _Gate(nn.Module):
    def __init__(self, router: Hyper) -> None:
        super().__init__()
        self.router = router

    def forward(self) -> torch.Tensor:
        return torch.cat([part.flatten() for part in self.router.gate()])
