"""The level of a prompt is the mean of the models that were measured there, whichever they are."""

import numpy as np

from waypost.routers.parts.level import Level

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 5))
HARD = 0.2 * X[:, 0]
QUALITY = 0.5 + HARD[:, None] + np.array([0.2, 0.0, -0.2]) + 0.02 * RNG.normal(size=(400, 3))


def test_a_linear_level_is_found():
    level = Level.fitted(X, QUALITY, np.ones(400), dim=5)
    assert np.allclose(level(X), HARD - HARD.mean(), atol=0.03)


def test_models_that_are_missing_do_not_move_it():
    holes = QUALITY.copy()
    holes[X[:, 1] > 0, 0] = np.nan  # the best model was asked elsewhere only
    assert np.allclose(Level.fitted(X, holes, np.ones(400), dim=5)(X), HARD - HARD.mean(), atol=0.03)
    holes[7] = np.nan
    assert np.isfinite(Level.fitted(X, holes, np.ones(400), dim=5)(X)).all()
