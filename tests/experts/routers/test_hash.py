"""An id decides where its tokens go, and nothing else does."""

from __future__ import annotations

import itertools

import pytest
import torch

from waypost.errors import BadInput
from waypost.experts import Context, Control, Hash, Routing


@pytest.fixture
def router() -> Hash:
    torch.manual_seed(0)
    return Hash(4, experts=8)


def routed(router: Hash, ids_T: torch.Tensor, control: Control | None = None) -> Routing:
    return router(torch.randn(len(ids_T), 4), control or Control(), Context(ids_T=ids_T))


def test_the_same_id_goes_to_the_same_experts_whatever_its_vector(router: Hash) -> None:
    ids_T = torch.randint(50, (400,))
    experts_TK = routed(router, ids_T, Control(k=3)).experts_TK
    by_id = {int(i): experts_K.tolist() for i, experts_K in zip(ids_T, experts_TK, strict=True)}
    assert all(by_id[int(i)] == experts_K.tolist() for i, experts_K in zip(ids_T, experts_TK, strict=True))


def test_the_k_experts_of_a_token_are_different_ones_with_equal_weights(router: Hash) -> None:
    routing = routed(router, torch.arange(1000), Control(k=4))
    assert all(len(set(experts_K)) == 4 for experts_K in routing.experts_TK.tolist())
    assert torch.equal(routing.weights_TK, torch.full((1000, 4), 0.25))


def test_ids_are_spread_evenly_over_experts_and_over_pairs_of_them(router: Hash) -> None:
    """As even as independent draws: chi squared within five standard deviations of its mean."""
    experts_TK = routed(router, torch.arange(56_000), Control(k=2)).experts_TK
    for k in range(2):
        _looks_uniform(torch.bincount(experts_TK[:, k], minlength=8))
    pairs_T = experts_TK[:, 0] * 8 + experts_TK[:, 1]
    _looks_uniform(torch.bincount(pairs_T, minlength=64)[[8 * a + b for a, b in itertools.permutations(range(8), 2)]])


def test_neighbouring_ids_go_to_unrelated_experts(router: Hash) -> None:
    experts_T = routed(router, torch.arange(64_001)).experts_TK[:, 0]
    _looks_uniform(torch.bincount(experts_T[:-1] * 8 + experts_T[1:], minlength=64))


def test_more_experts_are_those_of_fewer_and_others(router: Hash) -> None:
    ids_T = torch.arange(100)
    one, three = (routed(router, ids_T, Control(k=k)).experts_TK for k in (1, 3))
    assert torch.equal(three[:, :1], one)


def test_where_an_expert_is_not_allowed_only_its_tokens_go_elsewhere(router: Hash) -> None:
    ids_T = torch.arange(1000)
    before_T = routed(router, ids_T).experts_TK[:, 0]
    allowed_E = torch.arange(8) != 5
    after_T = routed(router, ids_T, Control(allowed_E=allowed_E)).experts_TK[:, 0]
    assert torch.equal(before_T[before_T != 5], after_T[before_T != 5])
    assert len(after_T[before_T == 5].unique()) == 7


def test_every_hash_is_drawn_anew_and_ids_of_any_size_are_taken() -> None:
    ids_T = torch.tensor([0, 1, 2**31, 2**40, 2**62, -1]).repeat(20) + torch.arange(120)
    first, second = (routed(Hash(4, experts=8), ids_T).experts_TK for _ in range(2))
    assert not torch.equal(first, second)
    small = routed(Hash(4, experts=8), torch.arange(5, dtype=torch.uint8))
    assert small.experts_TK.shape == (5, 1)


def test_without_ids_it_says_what_to_give(router: Hash) -> None:
    x_TD = torch.randn(3, 4)
    with pytest.raises(BadInput, match=r"needs the tokens' ids; give them as Context\(ids_T=ids.flatten\(\)\)"):
        router(x_TD)
    with pytest.raises(
        BadInput, match=r"shape \(1, 3\) and type torch.int64; it is one whole number for each of the 3"
    ):
        router(x_TD, context=Context(ids_T=torch.zeros(1, 3, dtype=torch.int64)))
    with pytest.raises(BadInput, match=r"type torch.float32; it is one whole number"):
        router(x_TD, context=Context(ids_T=torch.zeros(3)))


def _looks_uniform(counts: torch.Tensor) -> None:
    expected = counts.sum() / len(counts)
    squared = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(counts) - 1
    assert abs(squared - freedom) < 5 * (2 * freedom) ** 0.5, f"{squared:.0f} for {freedom} degrees of freedom"
