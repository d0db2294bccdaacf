from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.evaluation import bootstrap
from waypost.evaluation.bootstrap import chance_above, holm, interval, percentiles, resample, step_down


def slow(values_NK, clusters_N, resamples, seed):
    """One resample, one cluster and one column at a time, with the same stream of draws."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(clusters_N == label) for label in dict.fromkeys(clusters_N.tolist())]
    means = []
    for _ in range(resamples):
        rows = np.concatenate([members[c] for c in rng.integers(0, len(members), size=len(members))])
        means.append([np.nan if np.isnan(c).all() else np.nanmean(c) for c in values_NK[rows].T])
    return np.array(means)


@pytest.fixture
def values():
    rng = np.random.default_rng(1)
    values = rng.random((40, 4))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 3] = rng.random(40)
    return values


@pytest.mark.parametrize("resamples", [1, 7, 300])
def test_it_equals_the_plain_loop(values, resamples):
    found = resample(values, resamples=resamples, seed=5)
    np.testing.assert_allclose(found, slow(values, np.arange(40), resamples, seed=5), atol=1e-12)


@pytest.mark.parametrize("labels", [3, 12, 39])
def test_with_clusters_it_equals_the_plain_loop(values, labels):
    clusters = np.random.default_rng(2).integers(0, labels, size=40)
    found = resample(values, clusters_N=clusters, resamples=100, seed=5)
    np.testing.assert_allclose(found, slow(values, clusters, 100, seed=5), atol=1e-12)


def test_the_resamples_of_many_blocks_have_the_law_of_the_plain_bootstrap(monkeypatch):
    """Counts of the plain bootstrap have mean 1, variance 1 - 1/n and covariance -1/n, within blocks and across."""
    monkeypatch.setattr(bootstrap, "_BLOCK", 5)
    n, resamples = 23, 40_000
    counts = n * resample(np.eye(n), resamples=resamples)
    np.testing.assert_allclose(counts.sum(axis=1), n)
    covariance = np.cov(counts.T)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(covariance, np.eye(n) - 1 / n, atol=0.05)
    # A question is drawn 0, 1, 2 … times as a binomial of n draws says: here never, and thrice.
    never, thrice = (np.isclose(counts, k).mean() for k in (0, 3))
    assert never == pytest.approx((1 - 1 / n) ** n, abs=0.003)
    assert thrice == pytest.approx(1771 * (1 / n) ** 3 * (1 - 1 / n) ** (n - 3), abs=0.003)


def test_the_same_seed_draws_the_same_questions_for_another_matrix(values):
    together = resample(values, resamples=50, seed=3)
    apart = [resample(values[:, [k]], resamples=50, seed=3)[:, 0] for k in range(values.shape[1])]
    np.testing.assert_allclose(together, np.column_stack(apart), atol=1e-12)


def test_duplicates_in_one_cluster_are_no_evidence(values):
    """Copied rows leave every resample as it was; taken for separate questions they would sharpen the interval."""
    twice = np.repeat(values, 2, axis=0)
    clusters = np.repeat(np.arange(40), 2)
    np.testing.assert_array_equal(resample(twice, clusters_N=clusters), resample(values))
    honest, naive = interval(twice, clusters_N=clusters), interval(twice)
    assert (np.diff(honest) > 1.2 * np.diff(naive)).all()


def test_the_names_of_clusters_do_not_matter(values):
    clusters = np.arange(40) // 3
    renamed = np.random.default_rng(0).permutation(100)[clusters]
    np.testing.assert_array_equal(resample(values, clusters_N=clusters), resample(values, clusters_N=renamed))
    np.testing.assert_array_equal(resample(values, clusters_N=np.arange(40)[::-1]), resample(values))


@pytest.mark.parametrize("a_cluster", [1, 4])
def test_intervals_cover_the_truth_as_often_as_they_say(a_cluster):
    """2,000 samples of 100 clusters whose questions share half of their noise; the true mean is zero."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(100), a_cluster)
    shared = rng.normal(size=(100, 2000)).repeat(a_cluster, axis=0)
    bounds = interval(shared + rng.normal(size=shared.shape), 1000, clusters_N=clusters)
    assert 0.93 <= ((bounds[:, 0] < 0) & (bounds[:, 1] > 0)).mean() <= 0.97


def test_without_clusters_shared_noise_is_covered_too_seldom():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(100, 1000)).repeat(4, axis=0)
    bounds = interval(shared + rng.normal(size=shared.shape), 500)
    assert ((bounds[:, 0] < 0) & (bounds[:, 1] > 0)).mean() < 0.85


def test_it_equals_the_normal_theory_interval_of_a_large_sample():
    values = np.random.default_rng(3).normal(size=(2000, 1))
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(interval(values, 4000)[0], values.mean() + np.array([-half, half]), atol=0.1 * half)


def test_a_paired_difference_is_sharper_than_two_separate_intervals():
    rng = np.random.default_rng(0)
    hard = rng.random(500)
    a, b = hard + 0.01, hard + 0.005 * rng.normal(size=500)
    own, _, paired = interval(np.column_stack([a, b, a - b]), 1000)
    assert paired[0] > 0
    assert own[0] < b.mean()


def test_a_column_that_was_never_measured_has_no_interval():
    values = np.column_stack([np.ones(5), np.full(5, np.nan)])
    np.testing.assert_array_equal(interval(values, 50), [[1, 1], [np.nan, np.nan]])


def test_percentiles_leave_out_resamples_without_a_value():
    np.testing.assert_array_equal(percentiles(np.array([[1.0], [np.nan], [3.0]]), level=1.0), [[1, 3]])


@settings(max_examples=50, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(0, 1)),
    st.lists(st.integers(0, 4), min_size=12, max_size=12),
)
def test_an_interval_lies_within_what_was_measured(values, labels):
    found = interval(values, 60, clusters_N=np.array(labels[: len(values)]))
    assert (found[:, 0] <= found[:, 1]).all()
    assert (found[:, 0] >= values.min(axis=0) - 1e-12).all()
    assert (found[:, 1] <= values.max(axis=0) + 1e-12).all()


def test_the_chance_above_leaves_out_resamples_without_a_value():
    found = chance_above(np.array([[1.0, np.nan], [np.nan, np.nan], [-1.0, np.nan]]))
    np.testing.assert_array_equal(found, [0.5, np.nan])


def slow_step_down(means_K, means_BK):
    """The hypotheses one by one, as the algorithm is written."""
    s_K = means_BK.std(axis=0)
    t_K, t_BK = abs(means_K) / s_K, abs(means_BK - means_K) / s_K
    p_K, before = np.empty(len(means_K)), 0.0
    left = list(np.argsort(-t_K))
    while left:
        largest_B = t_BK[:, left].max(axis=1)
        before = p_K[left[0]] = max(before, (1 + sum(largest_B >= t_K[left[0]])) / (1 + len(means_BK)))
        left.pop(0)
    return p_K


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_step_down_equals_the_algorithm_as_written(seed, k):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=k)
    resampled = rng.normal(means, rng.uniform(0.2, 1, k), size=(60, k))
    np.testing.assert_allclose(step_down(means, resampled), slow_step_down(means, resampled))


@pytest.mark.parametrize(("n", "at_most"), [(80, 0.12), (400, 0.08)])
def test_of_many_routers_without_a_gain_one_is_seldom_called_better(n, at_most):
    """20 routers that are no better in 300 worlds: an uncorrected test would find a winner in most of them."""
    rng = np.random.default_rng(0)
    corrected = alone = 0
    for _ in range(300):
        values = rng.normal(size=(n, 20)) + 0.5 * rng.normal(size=(n, 1))
        means, resampled = values.mean(axis=0), resample(values, resamples=300)
        corrected += step_down(means, resampled).min() < 0.05
        alone += min(step_down(means[[k]], resampled[:, [k]])[0] for k in range(20)) < 0.05
    assert corrected / 300 < at_most
    assert alone / 300 > 0.5


def test_a_gain_that_never_varies_is_certain_and_none_at_all_is_none():
    means = np.array([0.5, 0.0, np.nan])
    np.testing.assert_array_equal(step_down(means, np.tile(means, (99, 1))), [0.01, 1, np.nan])


def test_routers_that_choose_alike_are_not_charged_for_each_other():
    means = np.array([0.2])
    resampled = np.random.default_rng(1).normal(means, 0.1, size=(999, 1))
    assert step_down(means.repeat(9), resampled.repeat(9, axis=1))[0] == step_down(means, resampled)[0]


@given(st.lists(st.floats(0, 1) | st.just(np.nan), max_size=6))
def test_holm_calls_as_many_different_as_testing_one_after_the_other_does(p):
    """At each level the smallest p-values are compared with level / K, level / (K - 1) … until one is too large."""
    found = holm(np.array(p))
    known = sorted(one for one in p if not np.isnan(one))
    for level in (0.01, 0.05, 0.3):
        called = 0
        while called < len(known) and known[called] * (len(known) - called) <= level:
            called += 1
        assert np.count_nonzero(found <= level) == called


@pytest.mark.parametrize(("n", "resamples"), [(0, 10), (5, 0)])
def test_nothing_to_resample_is_refused(n, resamples):
    with pytest.raises(ValueError, match="needs a question and a resample"):
        interval(np.empty((n, 1)), resamples)


def test_clusters_of_another_length_are_refused():
    with pytest.raises(ValueError, match="clusters_N has 3 entries, expected 5"):
        resample(np.zeros((5, 1)), clusters_N=np.arange(3))


def test_ten_thousand_resamples_of_twelve_routers_on_a_large_test_set_take_seconds():
    """Quality and cost of twelve routers, eleven models and two bounds, as a comparison needs them."""
    values = np.random.default_rng(0).random((20_000, 50))
    # Processor time, which other programs do not stretch and which counts the threads that only wait for each other.
    started = process_time()
    interval(values, 10_000)
    assert process_time() - started < 5
