import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.evaluation.measures import curves, zero, zero_router
from waypost.outcomes import Outcomes, example_table

NAN = np.nan
# Few values, so that points often have a cost or a quality in common.
STEPS = st.integers(0, 6).map(float)


@given(
    arrays(float, (3, 5), elements=STEPS),
    arrays(float, (3, 5), elements=STEPS),
    arrays(float, (3, 4), elements=st.floats(0, 7)),
)
def test_each_resample_is_mixed_from_its_own_points(usd, quality, asked):
    """The definition itself: the best mixture of two models within a cost, or within the cheapest one's."""
    found = zero.quality_at(asked, usd, quality)
    for b in range(3):
        points = list(zip(usd[b], quality[b], strict=True))
        for k, cost in enumerate(np.maximum(asked[b], usd[b].min())):
            pairs = [(low, high) for low in points for high in points if low[0] <= cost < high[0]]
            mixed = [q + (r - q) * (cost - low) / (high - low) for (low, q), (high, r) in pairs]
            assert found[b, k] == pytest.approx(max([*mixed, *(q for low, q in points if low <= cost)]))


def test_a_resample_without_a_model_has_no_zero_router():
    found = zero.quality_at(np.ones((2, 1)), np.array([[1.0, 2.0], [1.0, NAN]]), np.array([[0.5, 0.6], [0.5, NAN]]))
    np.testing.assert_array_equal(found, [[0.5], [NAN]])


def table(quality, usd):
    quality = np.array(quality, dtype=float)
    names = tuple(map(str, range(len(quality))))
    return Outcomes(names, names, names, tuple("abc"[: quality.shape[1]]), quality, np.array(usd, dtype=float))


def test_the_zero_router_mixes_single_models():
    """Model b costs 2 and earns 0.5, below the line from a (1, 0.5) to c (3, 1)."""
    found = zero_router(table([[1, 1, 1], [0, 0, 1]], [[1, 2, 3]] * 2))
    np.testing.assert_array_equal(found[:2], [[1, 3], [0.5, 1]])
    assert found[2:] == (2, 0, ())


def test_models_are_compared_on_the_questions_that_all_have():
    """Model b was asked only what is easy: where both were asked it is as good as a, and dearer."""
    found = zero_router(table([[1, 1], [1, 1], [0, NAN], [0, NAN]], [[1, 2]] * 4))
    assert (found.usd_H.tolist(), found.quality_H.tolist(), found.n, found.missing) == ([1], [1], 2, 2)


def test_a_model_of_unknown_cost_is_no_corner_and_named():
    found = zero_router(table([[1, 0, 1], [0, 1, 1]], [[1, 2, 3], [1, 2, NAN]]))
    assert (found.usd_H.tolist(), found.quality_H.tolist(), found.unpriced) == ([1], [0.5], ("c",))


@pytest.mark.parametrize(("quality", "usd", "n", "unpriced"), [
    ([[1, 0]], [[NAN, NAN]], 1, ("a", "b")), ([[1, NAN], [NAN, 1]], [[1, NAN], [NAN, 1]], 0, ()),
])  # fmt: skip
def test_without_costs_or_a_question_of_every_model_there_is_no_zero_router(quality, usd, n, unpriced):
    found = zero_router(table(quality, usd))
    assert (len(found.usd_H), len(found.quality_H), found.n, found.unpriced) == (0, 0, n, unpriced)


def test_a_mixture_costs_what_was_asked_and_lies_on_the_hull():
    table = example_table(500)
    usd_H, quality_H, *_ = zero_router(table)
    for usd in np.linspace(usd_H[0], usd_H[-1], 7):
        mixed = zero.mixture(table, usd)
        assert mixed.usd == pytest.approx(usd)
        assert mixed.quality == pytest.approx(curves.at(usd, usd_H, quality_H))
        assert sum(mixed.share.values()) == pytest.approx(1)


@given(arrays(float, (6, 4), elements=st.sampled_from([0.0, 0.5, 1.0, NAN])), st.floats(0, 5))
def test_the_mixture_that_is_played_is_the_one_that_is_drawn(quality, usd):
    """Also where cells are missing: both are of the questions that every model has."""
    quality[0] = 1.0
    one = table_of_prices(quality)
    mixed, hull = zero.mixture(one, usd), zero_router(one)
    on_complete = mixed.select(zero.complete(one))
    assert on_complete.quality == pytest.approx(curves.at(max(usd, hull.usd_H[0]), *hull[:2]))
    assert on_complete.n == hull.n


def test_outside_the_hull_a_mixture_is_its_nearest_end():
    table = example_table(500)
    assert zero.mixture(table, 0.0).share == {"tiny": 1, "maths-expert": 0, "large": 0}
    assert zero.mixture(table, 9.0).share == {"tiny": 0, "maths-expert": 0, "large": 1}


def table_of_prices(quality):
    """Four models, each dearer than the one before."""
    names = tuple(map(str, range(len(quality))))
    return Outcomes(names, names, names, tuple("abcd"), quality, np.tile([1.0, 2.0, 3.0, 4.0], (len(quality), 1)))


def test_models_are_mixed_by_the_questions_that_all_have():
    """Where both were asked they are equally good, so the dearer one has no part."""
    quality = np.array([[1, 1], [1, 1], [NAN, 1], [0, NAN]])
    table = Outcomes(tuple("1234"), tuple("pqrs"), ("g",) * 4, ("a", "b"), quality, np.array([[1.0, 2.0]] * 4))
    assert zero.complete(table).tolist() == [True, True, False, False]
    mixed = zero.mixture(table, 2.0)
    np.testing.assert_array_equal(mixed.quality_N, [1, 1, NAN, 0])
    assert (mixed.share, mixed.missing) == ({"a": 1, "b": 0}, 1)


@pytest.mark.parametrize(
    ("quality", "usd", "priced"),
    [
        ([[1, 0], [0, 1]], [[1, 2], [1, 2]], True),
        ([[1, 0], [0, 1]], [[1, 2], [1, NAN]], False),
        ([[1, 0], [0, NAN]], [[1, 2], [1, NAN]], True),
        ([[1, NAN], [NAN, 1]], [[1, NAN], [NAN, 1]], False),
    ],
)
def test_there_is_a_hull_only_where_every_model_has_a_cost(quality, usd, priced):
    table = Outcomes(("1", "2"), ("p", "q"), ("g", "g"), ("a", "b"), np.array(quality), np.array(usd, dtype=float))
    assert zero.priced(table) is priced
