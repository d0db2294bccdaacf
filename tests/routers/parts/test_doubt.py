"""The spread of a linear head: small near what was seen, large far from it, as large as the errors are."""

import numpy as np

from waypost.routers.parts.doubt import Doubt

RNG = np.random.default_rng(0)
X_ND = RNG.normal(size=(500, 4))


def test_it_is_the_standard_error_of_a_ridge_regression():
    """Beside the textbook's formula, written out."""
    residual_NM = RNG.normal(scale=[0.1, 0.3], size=(500, 2))
    found = Doubt.fitted(X_ND, residual_NM, np.ones(500), alpha=2.0)(X_ND[:7])
    centred_ND = X_ND - X_ND.mean(axis=0)
    inverse_DD = np.linalg.inv(centred_ND.T @ centred_ND + 2.0 * np.eye(4))
    sigma_M = np.sqrt((np.square(residual_NM).sum(axis=0) + 0.25) / 501)
    for n in range(7):
        expected = sigma_M * np.sqrt(1 / 500 + centred_ND[n] @ inverse_DD @ centred_ND[n])
        assert np.allclose(found[n], expected)


def test_it_grows_with_distance_and_with_error():
    doubt = Doubt.fitted(X_ND, RNG.normal(scale=[0.1, 0.4], size=(500, 2)), np.ones(500))
    near, far = doubt(np.array([[0.0] * 4, [5.0] * 4]))
    assert (near < far).all()
    assert near[0] < near[1]


def test_a_model_without_held_out_errors_is_not_taken_for_exact():
    doubt = Doubt.fitted(X_ND, np.full((3, 1), np.nan), np.ones(500))
    assert doubt(X_ND[:1])[0, 0] > 0
