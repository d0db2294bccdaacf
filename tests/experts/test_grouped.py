"""Grouped products give what going group by group gives, whichever way they are computed, and gradients too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from waypost.experts.grouped import Groups, grouped_linear

# So few rows that only filled experts are visited, so many that torch visits all, and widths that torch cannot take.
LOADS = {"few": [0] * 40 + [2, 0, 1], "many": [3, 0, 5, 1, 7, 2, 4], "all": [2, 9, 1, 4, 3], "none": [0, 0, 0]}


def slowly(rows_AI: Tensor, weight_EOI: Tensor, load: list[int], bias_EO: Tensor | None = None) -> Tensor:
    expert_A = torch.arange(len(load)).repeat_interleave(torch.tensor(load))
    out = [
        weight_EOI[e] @ row + (0 if bias_EO is None else bias_EO[e]) for row, e in zip(rows_AI, expert_A, strict=True)
    ]
    return torch.stack(out) if out else rows_AI.new_zeros(0, weight_EOI.shape[1])


@pytest.mark.parametrize("width", [6, 8])
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)]
)
def test_products_and_gradients_are_those_of_single_rows(
    load: list[int], width: int, dtype: torch.dtype, near: float
) -> None:
    torch.manual_seed(0)
    rows_AI = torch.randn(sum(load), width).to(dtype).requires_grad_()
    weight_EOI = torch.randn(len(load), width, width).to(dtype).requires_grad_()
    out_AO = grouped_linear(rows_AI, weight_EOI, Groups.of(torch.tensor(load)))
    assert out_AO.dtype == dtype
    found = torch.autograd.grad(out_AO.sum(), [rows_AI, weight_EOI])
    exact = [rows_AI.detach().double().requires_grad_(), weight_EOI.detach().double().requires_grad_()]
    right_AO = slowly(*exact, load)
    right = (
        torch.autograd.grad(right_AO.sum(), exact, materialize_grads=True)
        if sum(load)
        else map(torch.zeros_like, exact)
    )
    for mine, expected in zip((out_AO, *found), (right_AO, *right), strict=True):
        torch.testing.assert_close(mine.double(), expected, rtol=near, atol=near)


def test_gradients_pass_a_numerical_check() -> None:
    torch.manual_seed(0)
    weight_EOI, bias_EO = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 5, 3), (4, 5))
    )
    rows_AI = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    groups = Groups.of(torch.tensor([2, 0, 3, 1]))
    assert torch.autograd.gradcheck(
        lambda *all: grouped_linear(*all[:2], groups, all[2]), (rows_AI, weight_EOI, bias_EO)
    )


def test_experts_without_rows_have_a_gradient_of_nought() -> None:
    weight_EOI = torch.ones(64, 4, 4, requires_grad=True)
    grouped_linear(torch.ones(2, 4), weight_EOI, Groups.of(torch.eye(64, dtype=torch.int64)[9] * 2)).sum().backward()
    assert weight_EOI.grad[9].eq(2).all() and weight_EOI.grad.count_nonzero() == 16
