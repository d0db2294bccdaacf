"""The curve from similarity to quality."""

import numpy as np

from waypost.routers.parts.similarity_scale import SimilarityScale


def test_levels_and_slope_are_found_again():
    rng = np.random.default_rng(0)
    similarity_NM, domain_N = rng.normal(0.4, 0.1, (4000, 3)), np.arange(4000) % 2
    truth_NM = 1 / (1 + np.exp(-(np.array([-1.0, 1.0])[domain_N][:, None] + 20 * (similarity_NM - 0.4))))
    quality_NM = (rng.random(truth_NM.shape) < truth_NM).astype(float)
    quality_NM[::3, 1] = np.nan
    made = SimilarityScale.fitted(similarity_NM, quality_NM, domain_N, np.ones(4000), domains=2)
    assert np.abs(made(similarity_NM, domain_N) - truth_NM).max() < 0.05


def test_more_similar_is_never_worse_even_where_the_table_says_so():
    similarity_NM = np.random.default_rng(0).normal(0, 1, (500, 2))
    made = SimilarityScale.fitted(similarity_NM, 1.0 * (similarity_NM < 0), np.zeros(500, int), np.ones(500), domains=1)
    found_N = made(np.array([[-1.0], [0.0], [1.0]]), np.zeros(3, int))[:, 0]
    assert (np.diff(found_N) > 0).all() and np.abs(found_N - 0.5).max() < 0.05


def test_without_a_known_cell_nothing_is_said():
    made = SimilarityScale.fitted(np.full((3, 2), np.nan), np.ones((3, 2)), np.zeros(3, int), np.ones(3), domains=1)
    assert made(np.zeros((1, 1)), np.zeros(1, int)) == 0.5
