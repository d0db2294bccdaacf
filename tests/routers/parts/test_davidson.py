"""One strength a model and one number for ties say as much as the softmax of three, and a newcomer's can be found."""

import numpy as np
import pytest
from scipy.optimize import minimize

from waypost.routers.parts import davidson as _davidson
from waypost.routers.parts.davidson import leads, strength_among, wins

RNG = np.random.default_rng(0)


def softmax(logits):
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def test_any_three_outputs_can_be_written_with_strengths_and_ties():
    strong, tie, weak = RNG.normal(0, 3, size=(3, 500))
    outputs = np.stack([tie - (strong + weak) / 2, strong, weak], axis=1)
    p_strong, _, p_weak = softmax(np.stack([strong, tie, weak], axis=1)).T
    assert np.allclose(wins(outputs)[:, 0, 1], p_strong)
    assert np.allclose(wins(outputs)[:, 1, 0], p_weak)


def test_great_strengths_do_not_overflow():
    found = wins(np.array([[5.0, 2000.0, -2000.0], [2000.0, 0.0, 0.0]]))
    assert found[0, 0, 1] == 1
    assert found[0, 1, 0] == 0
    assert not found[1].any()


def test_a_lead_is_the_mean_of_wins_less_losses(monkeypatch):
    outputs = RNG.normal(size=(40, 6))
    win = wins(outputs)
    slow = np.array([[np.mean([w[a, b] - w[b, a] for b in range(3) if b != a]) for a in range(5)] for w in win])
    assert np.allclose(leads(outputs, 3), slow)
    monkeypatch.setattr(_davidson, "_CELLS", 60)
    assert np.allclose(leads(outputs, 3), slow)


def test_a_newcomers_head_is_the_summit_of_the_likelihood():
    features, outputs = RNG.normal(size=(60, 3)), RNG.normal(size=(60, 5))
    met = (RNG.random((60, 4)) < 0.7).astype(float)
    won = RNG.choice([0.0, 0.5, 1.0], size=(60, 4)) * met
    start = outputs[:, 1:].mean()

    def surprise(head):
        strength = features @ head[:3] + head[3]
        total = (np.square(head[:3]).sum() + 1e-2 * (head[3] - start) ** 2) / 2
        for n, m in np.argwhere(met):
            pair = wins(np.array([[outputs[n, 0], strength[n], outputs[n, 1 + m]]]))[0]
            chance = {1.0: pair[0, 1], 0.0: pair[1, 0], 0.5: 1 - pair[0, 1] - pair[1, 0]}
            total -= np.log(chance[won[n, m]])
        return total

    weight, bias = strength_among(features, outputs, met, won)
    best = minimize(surprise, np.zeros(4), tol=1e-10)
    assert surprise(np.append(weight, bias)) == pytest.approx(best.fun, abs=1e-6)


def test_a_newcomer_that_always_wins_has_a_finite_strength():
    outputs = RNG.normal(size=(30, 4))
    weight, bias = strength_among(RNG.normal(size=(30, 2)), outputs, np.ones((30, 3)), np.ones((30, 3)))
    assert np.isfinite(weight).all()
    assert outputs[:, 1:].max() < bias < 50
