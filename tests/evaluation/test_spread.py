from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput
from waypost.evaluation.spread import parts, spread

NAN = np.nan


def world(rng, splits=5, seeds=4, n=400, tested=0.3, *, questions, training, seed):
    """Gains and standard errors of a router whose spread has known parts; its true gain is 0.05."""
    effect_N = rng.normal(0.05, questions * np.sqrt(n * tested), n)
    gains, errors = np.empty((splits, seeds)), np.empty((splits, seeds))
    for s in range(splits):
        test_N = rng.permutation(n)[: int(n * tested)]
        learned = rng.normal(0, training)
        for r in range(seeds):
            gains[s, r] = effect_N[test_N].mean() + learned + rng.normal(0, seed)
            errors[s, r] = effect_N[test_N].std() / np.sqrt(len(test_N))
    return gains, errors


@pytest.mark.parametrize(
    "true",
    [
        {"questions": 0.03, "training": 0.02, "seed": 0.01},
        {"questions": 0.01, "training": 0.0, "seed": 0.02},
        {"questions": 0.01, "training": 0.04, "seed": 0.0},
    ],
)
def test_the_parts_are_those_that_the_world_was_made_of(true):
    rng = np.random.default_rng(0)
    found = [parts(*world(rng, **true), tested=0.3) for _ in range(400)]
    mean = {name: np.mean([getattr(one, name) ** 2 for one in found]) for name in ("questions", "splits", "seeds")}
    assert mean["questions"] == pytest.approx(true["questions"] ** 2, rel=0.05)
    assert mean["seeds"] == pytest.approx(true["seed"] ** 2, rel=0.1, abs=1e-9)
    # A variance that comes out negative is none, which lifts the mean a little where there is none.
    assert mean["splits"] == pytest.approx(true["training"] ** 2, rel=0.15, abs=0.6 * true["questions"] ** 2)


def test_the_interval_of_all_runs_covers_the_true_gain():
    rng = np.random.default_rng(1)
    found = [parts(*world(rng, questions=0.03, training=0.01, seed=0.01), tested=0.3) for _ in range(600)]
    covered = np.mean([one.ci95[0] < 0.05 < one.ci95[1] for one in found])
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize(
    ("splits", "seeds", "training", "seed"),
    [
        (2, 1, 0.02, 0),
        (2, 2, 0.02, 0),
        (3, 1, 0.02, 0),
        (3, 2, 0.03, 0.02),
        (5, 1, 0.03, 0),
        (2, 1, 0, 0),
        (1, 2, 0, 0.01),
        (1, 3, 0, 0.02),
    ],
)
def test_few_runs_give_few_false_verdicts(splits, seeds, training, seed):
    """A router without a gain, whose training questions or seeds change more than the test questions do."""
    rng, questions, tested, n = np.random.default_rng(3), 0.01, 0.3, 3000
    shared = rng.normal(0, np.sqrt(tested) * questions, (n, 1, 1))
    learned = rng.normal(0, np.hypot(np.sqrt(1 - tested) * questions, training), (n, splits, 1))
    gains = shared + learned + rng.normal(0, seed, (n, splits, seeds))
    errors = np.full((splits, seeds), questions)
    false = np.mean([parts(gain_SR, errors, tested).p < 0.05 for gain_SR in gains])
    assert false <= 0.075


def test_the_interval_and_the_p_value_say_the_same():
    found = parts(np.array([[0.02], [0.05]]), np.full((2, 1), 0.01), tested=0.3)
    assert 1 < found.freedom < 10
    assert found.ci95[1] - found.gain > 2.2 * found.se
    edge = replace(found, gain=found.ci95[1] - found.gain)
    assert edge.p == pytest.approx(0.05)


def test_more_splits_do_not_make_more_questions():
    """A hundred runs that agree leave what the table's own questions leave open: a share of one run's error."""
    found = parts(np.full((100, 1), 0.05), np.full((100, 1), 0.02), tested=0.3)
    assert found.se == pytest.approx(0.02 * np.sqrt(0.3 + 0.7 / 100))


def test_one_run_has_the_error_of_its_questions_and_no_other_parts():
    found = parts(np.array([[0.05]]), np.array([[0.02]]), tested=0.3)
    assert (found.gain, found.questions, found.se) == (0.05, 0.02, 0.02)
    assert np.isnan([found.splits, found.seeds]).all()


def test_splits_that_differ_by_no_more_than_their_questions_have_no_part():
    rng = np.random.default_rng(2)
    found = parts(rng.normal(0.05, 0.001, (5, 1)), np.full((5, 1), 0.02), tested=0.3)
    assert found.splits == 0


def test_routers_are_ranked_and_their_verdicts_corrected():
    """2.2 standard errors are enough for one that was asked alone, and not for one of five."""
    se = np.full((1, 1), 0.01)
    runs = {name: (np.array([[gain]]), se) for name, gain in zip("abcde", (0, 0.022, 0.05, 0, -0.05), strict=True)}
    found = spread(runs, tested=0.3)
    assert [(one.router, one.verdict) for one in found] == [
        ("c", "beats"), ("b", "matches"), ("a", "matches"), ("d", "matches"), ("e", "loses"),
    ]  # fmt: skip
    assert spread({"b": runs["b"]}, tested=0.3)[0].verdict == "beats"


def test_what_was_never_measured_has_no_verdict():
    (one,) = spread({"it": (np.full((2, 2), NAN), np.full((2, 2), NAN))}, tested=0.3)
    assert one.verdict == "not measured"


def test_a_router_that_is_the_best_single_model_matches_it():
    (one,) = spread({"it": (np.zeros((2, 2)), np.zeros((2, 2)))}, tested=0.3)
    assert (one.verdict, one.parts.se) == ("matches", 0)


@pytest.mark.parametrize(("shape", "tested"), [((0, 0), 0.3), ((2, 2), 0.0), ((2, 2), 1.5)])
def test_runs_that_cannot_be_taken_apart_are_refused(shape, tested):
    with pytest.raises(BadInput, match="runs of shapes"):
        parts(np.zeros(shape), np.zeros(shape), tested)
