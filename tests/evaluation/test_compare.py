import numpy as np
import pytest

from waypost.evaluation import Earned, compare, seen_in_training
from waypost.evaluation.baselines import chosen, single
from waypost.outcomes import Outcomes, example_table

NAN = np.nan


@pytest.fixture(scope="module")
def test():
    return example_table(600, seed=1)


@pytest.fixture(scope="module")
def found(test):
    by_group = {"maths": 1, "chat": 2, "code": 2}
    asked = {
        "domain by hand": chosen(test, np.array([by_group[group] for group in test.groups])),
        "always large": single(test, "large"),
        "always tiny": single(test, "tiny"),
    }
    return compare(test, asked, train=example_table(200), resamples=500)


def test_every_baseline_is_beside_what_was_asked(found):
    assert [(line.kind, line.name) for line in found.lines] == [
        ("asked", "domain by hand"),
        ("asked", "always large"),
        ("asked", "always tiny"),
        ("model", "tiny"),
        ("model", "maths-expert"),
        ("model", "large"),
        ("bound", "chance"),
        ("bound", "oracle"),
    ]
    assert (found.n, found.best_single, found.best_single_in_training, found.cheapest) == (
        600,
        "large",
        "large",
        "tiny",
    )


@pytest.mark.parametrize(
    ("name", "verdict"), [("domain by hand", "beats"), ("always large", "matches"), ("always tiny", "loses")]
)
def test_the_verdict_follows_the_paired_interval(found, name, verdict):
    assert found.line(name).verdict == verdict


def test_the_best_single_model_differs_from_itself_by_exactly_nothing(found):
    line = found.line("always large")
    assert (line.gain_ci95, line.gap_closed) == ((0, 0), 0)


def test_intervals_hold_the_mean(found):
    for line in found.lines:
        assert line.ci95[0] <= line.quality <= line.ci95[1]


def test_the_oracle_closes_the_gap(found):
    assert found.line("oracle", "bound").gap_closed == 1


def test_the_same_seed_gives_the_same_numbers(test):
    again = [compare(test, {"it": single(test, "tiny")}, resamples=50, seed=3) for _ in range(2)]
    assert again[0] == again[1]


def test_a_choice_that_hits_a_missing_cell_is_left_out_and_counted():
    quality = np.array([[1, 1], [np.nan, 1], [1, 0.0]])
    one = Outcomes(("1", "2", "3"), ("p", "q", "r"), ("g",) * 3, ("a", "b"), quality, np.full((3, 2), np.nan))
    line = compare(one, {"it": single(one, "a")}, resamples=50).line("it")
    assert (line.n, line.missing, line.quality) == (2, 1, 1)
    assert np.isnan([line.usd, line.seconds]).all()


def test_what_was_never_measured_gets_no_verdict(test):
    nothing = np.full(len(test), np.nan)
    never = Earned(test.models, nothing, nothing, nothing, np.zeros((len(test), 3)))
    assert compare(test, {"it": never}, resamples=50).line("it").verdict == "not measured"


def test_prompts_seen_in_training_are_counted_whatever_their_case(test):
    assert seen_in_training(test.select([0, 1]), test.select([1, 2])) == 1


def test_a_partly_measured_line_is_set_against_the_oracle_of_its_own_questions():
    quality = np.array([[0.5, 0.8, 1.0], [1, NAN, 0], [1, NAN, 0]])
    one = Outcomes(("1", "2", "3"), ("p", "q", "r"), ("g",) * 3, ("a", "b", "c"), quality, np.full((3, 3), NAN))
    assert compare(one, {}, resamples=50).line("b").gap_closed == pytest.approx(0.6)


def test_a_line_is_also_set_against_the_cheapest_router_when_that_was_asked_for(test):
    asked = {"cheapest": single(test, "tiny"), "it": single(test, "large")}
    found = compare(test, asked, resamples=200)
    low, high = found.line("it").vs_cheapest_ci95
    assert 0 < low < found.line("it").quality - found.line("cheapest").quality < high
    assert found.line("cheapest").vs_cheapest_ci95 == (0, 0)
    assert found.line("large", "model").vs_cheapest_ci95 is None
    assert compare(test, {"it": single(test, "large")}, resamples=50).line("it").vs_cheapest_ci95 is None
