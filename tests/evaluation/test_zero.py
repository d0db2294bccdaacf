import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.evaluation import zero
from waypost.evaluation.measures import curves
from waypost.outcomes import Outcomes, example_table

NAN = np.nan
# Few values, so that points often have a cost or a quality in common.
STEPS = st.integers(0, 6).map(float)


@given(
    arrays(float, (3, 5), elements=STEPS),
    arrays(float, (3, 5), elements=STEPS),
    arrays(float, (3, 4), elements=st.floats(0, 7)),
)
def test_each_resample_has_the_hull_of_its_own_points(usd, quality, asked):
    """Against one hull at a time, which is not defined below its cheapest corner."""
    found = zero.quality_at(asked, usd, quality)
    for b in range(3):
        usd_H, quality_H = curves.hull(usd[b], quality[b])
        expected = curves.at(np.maximum(asked[b], usd_H[0]), usd_H, quality_H)
        np.testing.assert_allclose(found[b], expected, atol=1e-9)


def test_the_corners_are_models_from_the_cheapest_to_the_best():
    usd = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 3.0, 2.0]])
    quality = np.array([[0.5, 0.5, 0.9, 0.8], [0.9, 0.8, 0.9, 0.9]])
    np.testing.assert_array_equal(zero.corners(usd, quality), [[0, 2], [0, 0]])


def test_a_mixture_costs_what_was_asked_and_lies_on_the_hull():
    table = example_table(500)
    usd_H, quality_H = curves.zero_router(table)
    for usd in np.linspace(usd_H[0], usd_H[-1], 7):
        mixed = zero.mixture(table, usd)
        assert mixed.usd == pytest.approx(usd)
        assert mixed.quality == pytest.approx(curves.at(usd, usd_H, quality_H))
        assert sum(mixed.share.values()) == pytest.approx(1)


def test_outside_the_hull_a_mixture_is_its_nearest_end():
    table = example_table(500)
    assert zero.mixture(table, 0.0).share == {"tiny": 1, "maths-expert": 0, "large": 0}
    assert zero.mixture(table, 9.0).share == {"tiny": 0, "maths-expert": 0, "large": 1}


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
