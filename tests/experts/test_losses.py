"""Losses have the values that they are known by."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts import TopK, losses


def one_hot(experts: list[int], count: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(experts), count).float()


@pytest.mark.parametrize("experts", [1, 2, 7, 64])
def test_balance_is_one_at_the_even_gate_whatever_the_loads(experts: int) -> None:
    even_TE = torch.full((10, experts), 1 / experts)
    for load_E in (torch.full((experts,), 10), torch.arange(experts) + 1):
        assert losses.balance(even_TE, load_E).item() == pytest.approx(1.0)


def test_balance_is_e_when_everything_goes_to_one() -> None:
    assert losses.balance(one_hot([2] * 9, 4), torch.tensor([0, 0, 9, 0])).item() == pytest.approx(4.0)


def test_balance_teaches_probabilities_and_not_counts() -> None:
    torch.manual_seed(0)
    logits_TE = torch.randn(20, 4, requires_grad=True)
    probabilities_TE = logits_TE.softmax(-1)
    load_E = torch.bincount(probabilities_TE.argmax(-1), minlength=4)
    losses.balance(probabilities_TE, load_E).backward()
    # The fuller an expert is, the more its scores are pushed down.
    assert logits_TE.grad.sum(0)[load_E.argmax()] > logits_TE.grad.sum(0)[load_E.argmin()]


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, 50))))
def test_importance_is_nought_when_even_and_e_less_one_when_one_has_all(sizes: tuple[int, int]) -> None:
    experts, tokens = sizes
    assert losses.importance(torch.full((tokens, experts), 1 / experts)).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.importance(one_hot([0] * tokens, experts)).item() == pytest.approx(experts - 1, rel=1e-5)


def test_load_is_nought_when_experts_cannot_be_told_apart() -> None:
    logits_TE = torch.zeros(5, 4)
    assert losses.load(logits_TE, logits_TE, noise=0.25, k=2).item() == pytest.approx(0.0)


def test_load_is_the_chance_to_be_chosen_by_a_new_draw() -> None:
    torch.manual_seed(0)
    clean_TE = torch.tensor([[1.0, 0.0, -1.0]])
    noisy_TE = clean_TE + 0.5 * torch.randn(1, 3)
    threshold = noisy_TE.topk(2).values[0, -1]
    drawn_NE = clean_TE + 0.5 * torch.randn(400_000, 3)
    chance_E = (drawn_NE > threshold).double().mean(0)
    expected = chance_E.var(unbiased=False) / chance_E.mean() ** 2
    assert losses.load(noisy_TE, clean_TE, noise=0.5, k=2).item() == pytest.approx(expected.item(), rel=0.02)


def test_z_is_the_squared_log_of_e_at_nought() -> None:
    assert losses.z(torch.zeros(3, 8)).item() == pytest.approx(math.log(8) ** 2)


def test_entropy_lies_between_sure_and_even() -> None:
    assert losses.entropy(one_hot([0, 1, 2], 3)).item() == 0.0
    assert losses.entropy(torch.full((3, 3), 1 / 3)).item() == pytest.approx(math.log(3))


def test_locality_is_nought_when_nothing_leaves_its_machine_and_more_otherwise() -> None:
    nodes_T = torch.tensor([0, 1])
    home_TE = torch.tensor([[0.7, 0.3, 0.0, 0.0], [0.0, 0.0, 0.4, 0.6]])
    assert losses.locality(home_TE, nodes_T, nodes=2).item() == pytest.approx(0.0, abs=1e-5)
    away_TE = torch.tensor([[0.5, 0.1, 0.4, 0.0], [0.0, 0.0, 0.4, 0.6]])
    assert losses.locality(away_TE, nodes_T, nodes=2).item() > 0.005


def test_tokens_that_change_places_are_not_at_home() -> None:
    """Both machines get as much as if everyone stayed, and nobody does."""
    nodes_T = torch.tensor([0, 0, 1, 1])
    assert losses.locality(one_hot([2, 3, 0, 1], 4), nodes_T, nodes=2).item() > 5


def test_locality_counts_machines_by_their_tokens() -> None:
    """Each alone, weighed: three tokens on machine 0, one on machine 1, and none on machine 2."""
    torch.manual_seed(0)
    probabilities_TE = torch.randn(4, 6).softmax(-1)
    nodes_T = torch.tensor([0, 0, 1, 0])
    alone = [losses.locality(probabilities_TE[nodes_T == i], nodes_T[nodes_T == i], nodes=3).item() for i in (0, 1)]
    together = losses.locality(probabilities_TE, nodes_T, nodes=3).item()
    assert together == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], rel=1e-5)


def test_an_empty_batch_has_finite_losses() -> None:
    none_TE, load_E = torch.zeros(0, 4), torch.zeros(4, dtype=torch.int64)
    values = [losses.importance(none_TE), losses.balance(none_TE, load_E), losses.z(none_TE), losses.entropy(none_TE)]
    assert all(torch.isfinite(value) for value in values)


def test_a_weight_for_an_unknown_loss_is_refused() -> None:
    with pytest.raises(BadInput, match="no loss ballance; it has balance"):
        losses.weighed({"balance": torch.tensor(1.0)}, {"ballance": 0.01})


@pytest.mark.parametrize(
    "loss",
    [losses.entropy, lambda p: losses.locality(p, torch.tensor([0, 0]), nodes=2)],
    ids=["entropy", "locality"],
)
def test_experts_that_are_not_allowed_leave_gradients_finite(loss) -> None:
    logits_TE = torch.tensor([[0.5, 1.0, -torch.inf, 0.0], [0.0, 2.0, -torch.inf, 1.0]], requires_grad=True)
    loss(logits_TE.softmax(-1)).backward()
    assert torch.isfinite(logits_TE.grad).all() and logits_TE.grad.any()


def test_losses_are_computed_when_asked_for_and_once() -> None:
    asked = []

    def compute() -> torch.Tensor:
        asked.append(True)
        return torch.ones(2, requires_grad=True).sum()

    found = losses.when_asked(None, z=compute)
    assert set(found) == {"z"} and len(found) == 1 and "z" in found and not asked
    with torch.no_grad():
        assert found["z"].requires_grad  # as it was when the router ran
    assert found["z"] is found["z"] and len(asked) == 1


def test_a_router_without_gradients_has_losses_without() -> None:
    router = TopK(8, experts=4, k=2)
    with torch.no_grad():
        routing = router(torch.randn(5, 8))
    assert not any(loss.requires_grad for loss in routing.losses.values())
    assert all(loss.requires_grad for loss in router(torch.randn(5, 8)).losses.values())


def test_losses_can_be_kept(tmp_path: Path) -> None:
    with torch.no_grad():
        found = TopK(8, experts=4)(torch.randn(5, 8)).losses
    torch.save(dict(found), tmp_path / "losses.pt")
    assert torch.load(tmp_path / "losses.pt") == dict(found)
