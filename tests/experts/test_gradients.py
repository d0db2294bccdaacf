"""A gradient's memory is used again when nobody holds it, and never before."""

from __future__ import annotations

import gc

import torch
from torch import Tensor

from waypost.experts import FeedForward, gradients
from waypost.experts.grouped import Groups

GROUPS = Groups.of(torch.tensor([3, 1, 2]))


def step(experts: FeedForward, scale: float = 1.0) -> Tensor:
    (scale * experts(torch.ones(6, 4), GROUPS)).sum().backward()
    assert experts.up_EHD.grad is not None
    return experts.up_EHD.grad


def test_memory_is_used_again_after_zero_grad() -> None:
    experts = FeedForward(4, 8, 3)
    first = step(experts).data_ptr()
    assert first == gradients._last[experts.up_EHD].ctypes.data  # no copy of it
    experts.zero_grad()
    assert step(experts).data_ptr() == first


def test_what_somebody_holds_is_left_alone() -> None:
    experts = FeedForward(4, 8, 3)
    held = step(experts)
    view, before = held[1], held.clone()
    experts.zero_grad()
    del held
    assert not torch.equal(step(experts, scale=3), before)
    assert torch.equal(view, before[1])


def test_steps_add_up_as_ever() -> None:
    experts = FeedForward(4, 8, 3)
    once = step(experts).clone()
    for _ in range(2):
        total = step(experts)
    torch.testing.assert_close(total, 3 * once)
    experts.zero_grad()
    assert torch.equal(step(experts), once)


def test_old_numbers_do_not_come_back_where_an_expert_has_no_rows() -> None:
    weight = torch.ones(3, 2, 2)
    gradients.room(weight, [1, 1, 1]).fill_(9.0)
    assert gradients.room(weight, [1, 0, 1])[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_it_goes_with_its_weight() -> None:
    kept = len(gradients._last)
    experts = FeedForward(4, 8, 3)
    step(experts)
    assert len(gradients._last) == kept + 2
    del experts
    gc.collect()
    assert len(gradients._last) == kept
