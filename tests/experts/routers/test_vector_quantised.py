"""VQMoE's codebook: the nearest code decides, what stands for a token, and codes that nobody uses."""

from __future__ import annotations

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Control, VectorQuantised, perplexity

WIDTH, EXPERTS, CODES = 8, 4, 10


def made(**settings) -> VectorQuantised:
    torch.manual_seed(0)
    router = VectorQuantised(WIDTH, EXPERTS, codes=CODES, **settings)
    router.codes_CD.data = torch.randn(CODES, WIDTH)
    return router


def distances(router: VectorQuantised, x_TD: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x_TD, router.codes_CD.detach())


def test_the_nearest_code_modulo_the_experts_decides_with_weight_1() -> None:
    router, x_TD = made(), torch.randn(100, WIDTH)
    codes_T, _, routing = router.quantise(x_TD)
    assert torch.equal(codes_T, distances(router, x_TD).argmin(-1))
    assert torch.equal(routing.experts_TK[:, 0], codes_T % EXPERTS) and (routing.weights_TK == 1).all()
    assert len(codes_T.unique()) > EXPERTS  # or the modulo would not be seen


def test_codes_of_experts_that_are_not_allowed_are_as_if_they_were_not_there() -> None:
    router, x_TD = made(), torch.randn(100, WIDTH)
    codes_T = router.quantise(x_TD, Control(allowed_E=torch.tensor([True, False, True, True]))).codes_T
    left_TC = distances(router, x_TD).masked_fill(torch.arange(CODES) % EXPERTS == 1, torch.inf)
    assert torch.equal(codes_T, left_TC.argmin(-1))


def test_with_two_choices_an_expert_is_as_near_as_its_nearest_code() -> None:
    router, x_TD = made(k=2), torch.randn(50, WIDTH)
    routing = router(x_TD)
    near_TC = distances(router, x_TD)
    near_TE = torch.stack([near_TC[:, e::EXPERTS].min(-1).values for e in range(EXPERTS)], dim=1)
    low_TK, experts_TK = near_TE.topk(2, largest=False)
    assert torch.equal(routing.experts_TK, experts_TK)
    torch.testing.assert_close(routing.weights_TK, (-low_TK.square()).softmax(-1), rtol=1e-4, atol=1e-6)


def test_the_papers_estimator_is_the_code_in_value_and_the_token_in_gradient() -> None:
    router, x_TD = made(), torch.randn(20, WIDTH, requires_grad=True)
    codes_T, quantised_TD, _ = router.quantise(x_TD)
    torch.testing.assert_close(quantised_TD, router.codes_CD[codes_T])
    quantised_TD.sum().backward()
    torch.testing.assert_close(x_TD.grad, torch.ones_like(x_TD))
    assert router.codes_CD.grad is None or not router.codes_CD.grad.any()


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.0])
def test_the_codes_estimator_is_a_mix_in_value_and_less_than_the_token_in_gradient(rate: float) -> None:
    router, x_TD = made(estimator="code", rate=rate), torch.randn(20, WIDTH, requires_grad=True)
    codes_T, quantised_TD, _ = router.quantise(x_TD)
    torch.testing.assert_close(quantised_TD, (1 - 2 * rate) * x_TD + rate * router.codes_CD[codes_T])
    quantised_TD.sum().backward()
    torch.testing.assert_close(x_TD.grad, torch.full_like(x_TD, 1 - rate))


def test_one_loss_draws_codes_and_the_other_tokens() -> None:
    router, x_TD = made(), torch.randn(20, WIDTH, requires_grad=True)
    losses = router(x_TD).losses
    expected = distances(router, x_TD.detach()).min(-1).values.square().mean() / WIDTH
    torch.testing.assert_close(losses["codebook"], losses["commitment"])
    torch.testing.assert_close(losses["codebook"].detach(), expected)
    losses["codebook"].backward()
    assert router.codes_CD.grad.any() and (x_TD.grad is None or not x_TD.grad.any())
    router.codes_CD.grad = None
    losses["commitment"].backward()
    assert x_TD.grad.any() and (router.codes_CD.grad is None or not router.codes_CD.grad.any())


def test_following_its_loss_a_code_ends_in_the_middle_of_its_tokens() -> None:
    router = VectorQuantised(WIDTH, experts=1)
    x_TD = torch.randn(200, WIDTH) + 3
    optimiser = torch.optim.SGD(router.parameters(), lr=1.0)
    for _ in range(100):
        optimiser.zero_grad()
        router(x_TD).losses["codebook"].backward()
        optimiser.step()
    torch.testing.assert_close(router.codes_CD[0].detach(), x_TD.mean(0), rtol=1e-3, atol=1e-3)


def test_dead_codes_are_moved_to_where_tokens_are_and_others_stay() -> None:
    router, x_TD = made(), torch.randn(200, WIDTH)
    router.codes_CD.data[[2, 5]] = 100.0
    before_CD = router.codes_CD.clone()
    moved_C = router.restart(x_TD, torch.Generator().manual_seed(1))
    assert moved_C.nonzero().flatten().tolist() == [2, 5]
    assert torch.equal(router.codes_CD[~moved_C], before_CD[~moved_C])
    found = router.quantise(x_TD).codes_T
    assert perplexity(found, CODES) > perplexity(distances(made(), x_TD)[:, [0, 1, 3, 4, 6, 7, 8, 9]].argmin(-1), CODES)
    assert router.codes_CD.requires_grad and {2, 5} <= set(found.tolist())


def test_a_codebook_that_has_collapsed_is_in_use_again_after_a_few_restarts() -> None:
    """In many numbers a code upon a token is nearest to that token alone; near its old code it takes a part."""
    torch.manual_seed(0)
    x_TD = torch.randn(500, 64)
    router = VectorQuantised(64, experts=8)
    router.codes_CD.data[:] = 100.0
    router.codes_CD.data[0] = 0.0
    assert perplexity(router.quantise(x_TD).codes_T, 8) == 1
    upon = VectorQuantised(64, experts=8)
    upon.load_state_dict(router.state_dict())
    for round_ in range(5):
        router.restart(x_TD, torch.Generator().manual_seed(round_))
        upon.restart(x_TD, torch.Generator().manual_seed(round_), share=1.0)
    assert perplexity(router.quantise(x_TD).codes_T, 8) > 6 > 2 > perplexity(upon.quantise(x_TD).codes_T, 8)


def test_bfloat16_tokens_come_back_in_their_type() -> None:
    assert made().quantise(torch.randn(3, WIDTH).bfloat16()).quantised_TD.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: VectorQuantised(WIDTH, 4, codes=3), "codes is 3, and there are 4 experts; each expert needs"),
        (lambda: made(estimator="gumbel"), "estimator is 'gumbel'; it is 'paper' or 'code'"),
        (lambda: made(rate=1.5), "rate is 1.5; it is the share .* from 0 to 1"),
        (lambda: made().restart(torch.zeros(0, WIDTH)), "no tokens came"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
