"""One expert a token, weighed by its probability; jitter only while training."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import FeedForward, MoE, Switch


@pytest.fixture
def router() -> Switch:
    torch.manual_seed(0)
    return Switch(16, experts=8, jitter=0.3)


def test_the_weight_is_the_probability_among_all_experts(router: Switch) -> None:
    x_TD = torch.randn(30, 16)
    probabilities_TE = (x_TD @ router.weight_ED.T).softmax(-1)
    routing = router.eval()(x_TD)
    assert torch.equal(routing.experts_TK[:, 0], probabilities_TE.argmax(-1))
    torch.testing.assert_close(routing.weights_TK[:, 0], probabilities_TE.amax(-1))


def test_the_task_teaches_the_gate_through_its_weight_alone(router: Switch) -> None:
    """With weights that sum to 1 it would get nothing, since with one expert they are always 1."""
    layer = MoE(router, FeedForward(16, hidden=8, experts=8))
    layer(torch.randn(30, 16)).y.square().sum().backward()
    assert router.weight_ED.grad.any()


def test_jitter_moves_choices_in_training_and_not_in_use(router: Switch) -> None:
    x_TD = torch.randn(500, 16)
    drawn = [router.train()(x_TD).experts_TK for _ in range(2)]
    assert not torch.equal(*drawn)
    used = [router.eval()(x_TD).experts_TK for _ in range(2)]
    assert torch.equal(*used)


def test_jitter_is_even_around_one_and_within_its_bounds() -> None:
    router = Switch(1, experts=2, jitter=0.1)
    with torch.no_grad():
        router.weight_ED.copy_(torch.tensor([[1.0], [0.0]]))
    torch.manual_seed(0)
    weights_T = router.train()(torch.ones(20_000, 1)).weights_TK[:, 0]
    factors_T = torch.logit(weights_T.detach())
    assert 0.9 - 1e-5 < float(factors_T.min()) < 0.901 and 1.099 < float(factors_T.max()) < 1.1 + 1e-5
    assert float(factors_T.mean()) == pytest.approx(1.0, abs=0.002)


def test_jitter_of_bfloat16_tokens_is_not_rounded_away() -> None:
    router = Switch(1, experts=2, jitter=0.001).train()
    with torch.no_grad():
        router.weight_ED.copy_(torch.tensor([[1.0], [0.0]]))
    assert len(router(torch.ones(100, 1, dtype=torch.bfloat16)).weights_TK.unique()) > 50


@pytest.mark.parametrize("jitter", [-0.1, 1.0, float("nan")])
def test_a_jitter_that_could_turn_tokens_over_is_refused(jitter: float) -> None:
    with pytest.raises(BadInput, match=rf"jitter is {jitter}; it is at least 0 and below 1, such as 0.01"):
        Switch(8, experts=4, jitter=jitter)
