import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.errors import BadInput
from waypost.evaluation import baselines
from waypost.evaluation.measures import e_p, r_o, v_b, v_r
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes

NAN = np.nan


def table(quality):
    quality = np.array(quality, dtype=float)
    names = tuple(map(str, range(len(quality))))
    return Outcomes(names, names, names, tuple("abcd"[: quality.shape[1]]), quality, np.ones(quality.shape))


def earned(quality, calls):
    quality = np.array(quality, dtype=float)
    return Earned(tuple("abcd"[: len(calls[0])]), quality, quality, quality, np.array(calls, dtype=float))


def test_v_b_is_a_multiple_of_the_best_single_model():
    one = table([[1, 0], [1, 1], [0, 1], [1, 0]])
    assert v_b(earned([1, 1, 1, 1], [[1, 0]] * 4), one).value == pytest.approx(4 / 3)
    assert v_b(baselines.single(one, "b"), one).value == pytest.approx(2 / 3)


def test_v_b_leaves_out_and_counts_what_either_lacks():
    one = table([[1, 0], [1, 1], [1, 1]])
    assert v_b(earned([1, NAN, 0], [[1, 0]] * 3), one) == (0.5, 2, 1)


def test_v_r_is_a_multiple_of_a_model_outside_the_pool():
    assert v_r(earned([1, 0, NAN, 1], [[1, 0]] * 4), 0.8) == (pytest.approx(2 / 3 / 0.8), 3, 1)
    with pytest.raises(BadInput, match="above zero"):
        v_r(earned([1], [[1, 0]]), 0)


@given(arrays(float, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(0, 1)))
def test_no_router_is_above_the_oracles_v_b_and_no_model_above_one(quality):
    one = table(np.vstack([quality, [[1, 1, 1]]]))
    ceiling = v_b(baselines.oracle(one), one).value
    assert ceiling >= 1 - 1e-12
    for name in one.models:
        assert v_b(baselines.single(one, name), one).value <= 1 + 1e-12


@pytest.mark.parametrize(
    ("calls", "bits"), [([[1, 0, 0, 0]] * 4, 0), (np.eye(4), 2), ([[1, 0, 0, 0], [0, 1, 0, 0]], 1), ([[1, 1, 0, 0]], 1)]
)
def test_e_p_is_the_entropy_of_the_shares(calls, bits):
    assert e_p(earned(np.ones(len(calls)), calls)).value == pytest.approx(bits)


@given(st.lists(st.integers(0, 3), min_size=1), st.permutations(range(4)))
def test_e_p_is_bounded_and_does_not_know_names(columns, names):
    calls = np.eye(4)[columns]
    found = e_p(earned(np.ones(len(columns)), calls))
    assert 0 <= found.value <= 2 + 1e-12
    assert e_p(earned(np.ones(len(columns)), calls[:, names])).value == pytest.approx(found.value)


def test_e_p_of_nothing_measured_is_no_number():
    found = e_p(earned([NAN], [[1, 0]]))
    assert np.isnan(found.value) and (found.n, found.missing) == (0, 1)


def test_r_o_mixes_the_oracle_with_chance():
    one = table([[1, 0], [0, 1], [0, 0]])
    half = r_o(one, 0.5)
    np.testing.assert_allclose(half.quality_N, [0.75, 0.75, 0])
    np.testing.assert_allclose(half.calls_NM[0], [0.75, 0.25])
    assert (r_o(one, 0).quality, r_o(one, 1).quality) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


@pytest.mark.parametrize("p", [-0.1, 1.1, NAN])
def test_p_is_a_probability(p):
    with pytest.raises(BadInput, match="probability"):
        r_o(table([[1, 0]]), p)
