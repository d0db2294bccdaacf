"""Descent with held-out rows: stops early, keeps the best, is the same for the same seed, and says how far it is."""

import sys

import numpy as np
import pytest
import torch

from waypost.errors import BadInput, NotInstalled
from waypost.routers import progress
from waypost.routers.parts.training import hold_out, torch_or_sentence, train

PROMPTS = [f"prompt {n}" for n in range(200)]
X_ND = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 3)))
LAW_D = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def fitted(seed=0, noise=0.0, **settings):
    y_N = X_ND @ LAW_D + noise * torch.from_numpy(np.random.default_rng(1).normal(size=200))
    heads_D = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    given = {"epochs": 200, "batch": 32, "lr": 0.05} | settings
    done = train(
        [heads_D], lambda rows: (X_ND[rows] @ heads_D - y_N[rows]).square().mean(), PROMPTS, seed=seed, **given
    )
    return heads_D.detach().numpy(), done


def test_a_law_is_found():
    heads_D, done = fitted()
    assert np.allclose(heads_D, LAW_D, atol=0.05)
    assert done.loss < 0.01


def test_it_stops_when_rows_that_it_has_not_seen_gain_nothing_more():
    _, done = fitted(noise=1.0, epochs=10_000, patience=3)
    assert done.epochs < 1000


def test_the_same_seed_gives_the_same_parameters_and_leaves_torchs_own_draws_alone():
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    one, _ = fitted(seed=3, epochs=5)
    assert torch.equal(torch.rand(1), before)
    torch.rand(7)
    two, _ = fitted(seed=3, epochs=5)
    other, _ = fitted(seed=4, epochs=5)
    assert (one == two).all()
    assert (one != other).any()


def test_held_out_rows_are_never_descended_on():
    seen = set()
    heads_D = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def loss(rows):
        if torch.is_grad_enabled():
            seen.update(rows.tolist())
        return (X_ND[rows] @ heads_D).square().mean()

    done = train([heads_D], loss, PROMPTS, seed=0, epochs=2, batch=16, lr=0.1)
    assert seen == set(np.flatnonzero(~done.held_N))
    assert 10 <= done.held_N.sum() <= 30


def test_the_same_prompt_is_on_one_side():
    prompts = [f"prompt {n % 20}" for n in range(200)]
    held_N = hold_out(prompts, 0.2, seed=0)
    assert not {prompts[n] for n in np.flatnonzero(held_N)} & {prompts[n] for n in np.flatnonzero(~held_N)}
    assert held_N.sum() == 40


def test_one_prompt_alone_is_trained_on():
    assert not hold_out(["a", "a"], 0.5, seed=0).any()


def test_progress_is_reported():
    said = []
    with progress.watch(lambda done, total, note: said.append((done, total, note))):
        fitted(epochs=3)
    assert [(done, total) for done, total, _ in said] == [(1, 3), (2, 3), (3, 3)]
    assert said[0][2].startswith("held-out loss")


def test_a_loss_that_explodes_is_a_sentence():
    with pytest.raises(BadInput, match="smaller lr"):
        fitted(lr=1e200, epochs=50)


def test_without_torch_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotInstalled, match=r"router 'tryage'.*pip install 'waypost\[train\]'"):
        torch_or_sentence("tryage")
