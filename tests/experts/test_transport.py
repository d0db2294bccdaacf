"""Plans keep their sums, are the best that there are, and are as sparse as they say."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts.transport import sinkhorn, sparse

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 5))


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(SIZES, st.floats(0.3, 3.0), st.integers(0, 99))
def test_sinkhorn_s_marginals_are_exact_after_enough_steps(sizes: tuple[int, int], eps: float, seed: int) -> None:
    tokens, experts = sizes
    plan_TE = sinkhorn(drawn(*sizes, seed=seed), eps, steps=300).exp()
    torch.testing.assert_close(plan_TE.sum(1), torch.ones(tokens).double())
    torch.testing.assert_close(plan_TE.sum(0), torch.full((experts,), tokens / experts).double(), atol=1e-6, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(SIZES, st.integers(1, 5))
def test_rows_sum_to_one_after_any_number_of_steps(sizes: tuple[int, int], steps: int) -> None:
    torch.testing.assert_close(sinkhorn(drawn(*sizes), steps=steps).exp().sum(1), torch.ones(sizes[0]).double())


def test_sinkhorn_rescales_rows_and_columns_alone() -> None:
    """The plan is u·exp(score/eps)·v: of any two rows and columns the cross ratio stays."""
    scores_TE = drawn(6, 4)
    left_TE = sinkhorn(scores_TE, eps=0.7, steps=50) - scores_TE / 0.7
    torch.testing.assert_close(left_TE - left_TE[:1] - left_TE[:, :1] + left_TE[0, 0], torch.zeros(6, 4).double())


def test_sinkhorn_is_the_best_plan() -> None:
    """Any mass moved around a rectangle, which keeps all sums, makes the value less."""
    scores_TE, eps = drawn(4, 3), 0.5

    def value(plan_TE: torch.Tensor) -> float:
        return float((plan_TE * scores_TE).sum() + eps * torch.special.entr(plan_TE).sum())

    plan_TE = sinkhorn(scores_TE, eps, steps=500).exp()
    for a, b, sign in product([(0, 1), (1, 3)], [(0, 1), (1, 2)], [1, -1]):
        other_TE = plan_TE.clone()
        move = sign * 1e-3
        other_TE[a[0], b[0]] += move
        other_TE[a[1], b[1]] += move
        other_TE[a[0], b[1]] -= move
        other_TE[a[1], b[0]] -= move
        assert value(other_TE) < value(plan_TE)


def test_sinkhorn_stands_scores_that_overflow_outside_of_logarithms() -> None:
    plan_TE = sinkhorn(drawn(8, 4, scale=1e4).float(), steps=50)
    assert torch.isfinite(plan_TE).all()
    torch.testing.assert_close(plan_TE.exp().sum(1), torch.ones(8))


@pytest.mark.parametrize("solve", [lambda s: sinkhorn(s, steps=500).exp(), lambda s: sparse(s, most=3)])
def test_an_expert_that_is_left_out_gets_nothing_and_the_others_all(solve) -> None:
    scores_TE = drawn(6, 4)
    scores_TE[:, 1] = -torch.inf
    plan_TE = solve(scores_TE)
    assert (plan_TE[:, 1] == 0).all()
    torch.testing.assert_close(plan_TE.sum(0), torch.tensor([2.0, 0.0, 2.0, 2.0]).double())


@pytest.mark.parametrize("solve", [sinkhorn, lambda s: sparse(s, most=2)])
def test_groups_are_plans_of_their_own(solve) -> None:
    scores_GTE = drawn(3, 6, 4)
    torch.testing.assert_close(solve(scores_GTE), torch.stack([solve(scores_TE) for scores_TE in scores_GTE]))


@settings(max_examples=50, deadline=None)
@given(SIZES, st.data())
def test_columns_of_the_sparse_plan_are_sparse_and_sum_to_their_mass(
    sizes: tuple[int, int], data: st.DataObject
) -> None:
    most = data.draw(st.integers(1, sizes[0]))
    gamma = data.draw(st.sampled_from([0.05, 1.0, 5.0]))
    plan_TE = sparse(drawn(*sizes), most, gamma, steps=data.draw(st.integers(1, 30)))
    assert (plan_TE >= 0).all() and ((plan_TE > 0).sum(0) <= most).all()
    torch.testing.assert_close(plan_TE.sum(0), torch.full((sizes[1],), sizes[0] / sizes[1]).double())


def test_columns_are_full_where_probabilities_decide() -> None:
    """With gamma 1 and twice an even share of places, probabilities are too near to leave a place empty."""
    for seed in range(20):
        assert ((sparse(drawn(16, 8, seed=seed).softmax(-1), most=4) > 0).sum(0) == 4).all()


def test_rows_come_near_one_after_enough_steps() -> None:
    scores_TE = drawn(16, 4).softmax(-1)
    off = [float((sparse(scores_TE, most=4, steps=steps).sum(1) - 1).abs().mean()) for steps in (1, 20, 100)]
    assert off[0] > 3 * off[1] > 9 * off[2]


def test_without_a_limit_the_sparse_plan_is_the_projection() -> None:
    """With all tokens allowed in a column the program is quadratic: it is solved by Dykstra's projections too."""
    scores_TE, gamma = drawn(6, 3), 2.0
    plan_TE = sparse(scores_TE, most=6, gamma=gamma, steps=1500)
    found_TE, parts = scores_TE / gamma, [torch.zeros(6, 3).double()] * 3
    steps = (
        lambda p: p + (1 - p.sum(1, keepdim=True)) / 3,
        lambda p: p + (2 - p.sum(0, keepdim=True)) / 6,
        lambda p: p.clamp(min=0),
    )
    for _ in range(1000):
        for n, step in enumerate(steps):
            moved_TE = step(found_TE + parts[n])
            parts[n] = found_TE + parts[n] - moved_TE
            found_TE = moved_TE
    torch.testing.assert_close(plan_TE, found_TE, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda s: sinkhorn(s, eps=0.0), "eps is 0.0; .*above 0"),
        (lambda s: sinkhorn(s, steps=0), "steps is 0; a plan takes at least 1"),
        (lambda s: sparse(s, most=5), "most is 5, and there are 4 tokens"),
        (lambda s: sparse(s, most=0), "most is 0"),
        (lambda s: sparse(s, most=1, gamma=0.0), "gamma is 0.0 and rate 0.01; both are above 0"),
        (lambda s: sparse(s, most=1, rate=-1.0), "rate -1.0"),
        (lambda s: sparse(s, most=1, steps=0), "steps is 0"),
    ],
)
def test_what_cannot_be_solved_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong(drawn(4, 2))


def test_no_tokens_have_an_empty_plan() -> None:
    assert sinkhorn(torch.zeros(0, 4)).shape == (0, 4) and sparse(torch.zeros(0, 4), most=1).shape == (0, 4)
