import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.evaluation.reliability import reliability

CELLS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        arrays(float, (n, 3), elements=st.floats(0, 1) | st.just(np.nan)),
        arrays(float, (n, 3), elements=st.floats(0, 1) | st.just(np.nan)),
    )
)


def slow_error(expected, seen, bins=10):
    """The mean distance of each bin's two means, one cell at a time."""
    cells = [(e, s) for e, s in zip(expected.ravel(), seen.ravel(), strict=True) if e == e and s == s]
    error = 0.0
    edges = np.linspace(0, 1, bins + 1)
    for b in range(bins):
        inside = [(e, s) for e, s in cells if edges[b] <= e < edges[b + 1] or (b == bins - 1 and e == 1)]
        if inside:
            e, s = np.mean(inside, axis=0)
            error += abs(e - s) * len(inside) / len(cells)
    return error if cells else float("nan")


@given(CELLS)
def test_the_error_is_that_of_a_loop_over_the_cells(cells):
    found = reliability(*cells, resamples=20)
    assert found.error == pytest.approx(slow_error(*cells), nan_ok=True)
    assert sum(b.count for b in found.bins) == found.n == int((~np.isnan(cells[0] + cells[1])).sum())


@given(CELLS)
def test_a_bin_holds_what_was_expected_within_it(cells):
    for found in reliability(*cells, resamples=20).bins:
        assert found.low <= found.expected + 1e-9
        assert found.expected <= found.high + 1e-9
        assert found.ci95[0] - 1e-9 <= found.ci95[1]


def test_a_prophet_has_no_error():
    seen_NM = np.random.default_rng(0).integers(0, 2, (50, 2)).astype(float)
    found = reliability(seen_NM, seen_NM, resamples=100)
    assert (found.error, found.error_ci95) == (0, (0, 0))


def test_the_interval_of_a_calibrated_router_reaches_nearly_to_zero_and_that_of_a_boaster_does_not():
    rng = np.random.default_rng(1)
    said_NM = rng.random((1000, 3))
    seen_NM = (rng.random((1000, 3)) < said_NM).astype(float)
    honest, boaster = (reliability(said, seen_NM, resamples=400) for said in (said_NM, np.sqrt(said_NM)))
    assert honest.error_ci95[0] < 0.01
    assert boaster.error_ci95[0] > 0.1
    assert boaster.error_ci95[0] <= boaster.error <= boaster.error_ci95[1]


def test_questions_that_share_a_cluster_are_drawn_together():
    """Ten copies of each question tell no more than the question itself, so the interval stays as wide."""
    rng = np.random.default_rng(2)
    said_NM = np.full((60, 1), 0.5)
    seen_NM = rng.integers(0, 2, (60, 1)).astype(float)
    copies = np.repeat(np.arange(60), 10)

    def width(**settings):
        low, high = reliability(said_NM[copies], seen_NM[copies], resamples=400, **settings).bins[0].ci95
        return high - low

    assert width(clusters_N=copies) > 2 * width()


def test_costs_are_cut_into_bins_of_about_as_many_cells():
    usd_NM = 10.0 ** np.linspace(-6, -1, 200).reshape(100, 2)
    found = reliability(usd_NM, 2 * usd_NM, quantiles=True, bins=5, resamples=50)
    assert {b.count for b in found.bins} == {40}
    assert all(b.seen == pytest.approx(2 * b.expected) for b in found.bins)


def test_one_price_for_all_is_one_bin():
    found = reliability(np.full((4, 2), 0.01), np.full((4, 2), 0.03), quantiles=True, resamples=10)
    assert [(b.count, b.low, b.high) for b in found.bins] == [(8, 0.01, 0.01)]
    assert found.error == pytest.approx(0.02)


def test_nothing_known_is_no_error_of_zero():
    found = reliability(np.full((3, 2), np.nan), np.ones((3, 2)))
    assert (found.bins, found.n) == ((), 0)
    assert np.isnan(found.error)


def test_tables_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must agree"):
        reliability(np.ones((2, 3)), np.ones((3, 2)))
