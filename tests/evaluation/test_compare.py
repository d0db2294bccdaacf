from dataclasses import replace

import numpy as np
import pytest

from waypost.evaluation import Earned, compare, resample
from waypost.evaluation.baselines import chosen, single
from waypost.evaluation.compare import p_values, verdict
from waypost.evaluation.measures import curves, zero
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
        ("bound", "zero"),
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


def test_a_mixture_of_models_gains_nothing_on_the_zero_router(test):
    found = compare(test, {"mixed": zero.mixture(test, 1e-4)}, resamples=300)
    line = found.line("mixed")
    assert line.zero_gain == pytest.approx(0, abs=1e-12)
    assert found.line("zero").usd == pytest.approx(line.usd)
    assert (found.zero_at, found.line("zero").share) == ("mixed", pytest.approx(line.share))


def test_a_router_may_match_the_best_model_and_still_be_above_the_zero_router(test):
    """It is right as often as the best model at about a third of the cost, where a mixture is worse."""
    third = chosen(test, np.array([2 if group == "code" else 1 if group == "maths" else 0 for group in test.groups]))
    line = compare(test, {"third": third}, resamples=500).line("third")
    assert line.usd < test.means()["large"][1] / 2
    assert line.zero_gain_ci95[0] > 0.2
    usd_H, quality_H, *_ = zero.zero_router(test)
    assert line.zero_gain == pytest.approx(line.quality - curves.at(line.usd, usd_H, quality_H))


def test_the_hull_is_made_anew_in_each_resample():
    """Of two equally good models either may come out best, so the best mixture is above both in most resamples."""
    quality = np.random.default_rng(0).integers(0, 2, (300, 2)).astype(float)
    names = tuple(map(str, range(300)))
    one = Outcomes(names, names, ("g",) * 300, ("a", "b"), quality, np.ones((300, 2)))
    low, high = compare(one, {}, resamples=500).line("a").zero_gain_ci95
    assert low < -0.02
    assert high == 0


def test_a_line_of_unknown_cost_has_no_zero_gain(test):
    usd = test.usd_NM.copy()
    usd[:, 2] = NAN
    parts = (test.ids, test.prompts, test.groups, test.models, test.quality_NM)
    found = compare(Outcomes(*parts, usd), {"tiny": single(test, "tiny")}, resamples=50)
    assert found.zero_at is None
    assert np.isnan([line.zero_gain for line in found.lines]).all()
    unpriced = Earned(test.models, test.quality_NM[:, 0], usd[:, 2], usd[:, 2], np.zeros(usd.shape))
    found = compare(test, {"it": unpriced}, resamples=50)
    assert np.isnan(found.line("it").zero_gain_ci95).all()
    assert found.line("large").zero_gain == 0


def test_with_missing_cells_the_zero_router_is_that_of_the_complete_questions(test):
    """Leaving out half of the answers of one model changes neither its cost nor its place on the hull by much."""
    quality = test.quality_NM.copy()
    quality[::2, 2] = NAN
    parts = (test.ids, test.prompts, test.groups, test.models)
    holes = Outcomes(*parts, quality, test.usd_NM)
    found, whole = (compare(one, {"it": single(one, "maths-expert")}, resamples=50) for one in (holes, test))
    assert (found.complete, whole.complete) == (300, 600)
    on_complete = compare(test.select(np.arange(1, 600, 2)), {}, resamples=50)
    assert found.line("it").zero_gain == pytest.approx(on_complete.line("maths-expert").zero_gain)


def test_one_winner_among_many_is_held_to_more(test):
    """The same gain beats alone and only matches among forty routers without any."""
    rng = np.random.default_rng(0)
    large = single(test, "large")
    better = large.quality_N.copy()
    better[np.flatnonzero(better == 0)[:8]] = 1
    better[np.flatnonzero(better == 1)[-1:]] = 0
    slightly = replace(large, quality_N=better)
    noise = [replace(large, quality_N=rng.permutation(large.quality_N)) for _ in range(40)]
    alone = compare(test, {"it": slightly}, resamples=500).line("it")
    crowd = compare(test, {"it": slightly, **{f"{k}": one for k, one in enumerate(noise)}}, resamples=500).line("it")
    assert (alone.verdict, crowd.verdict) == ("beats", "matches")
    assert alone.gain_ci95 == crowd.gain_ci95
    assert alone.p_beats == crowd.p_beats > 0.97


def test_near_duplicates_that_are_drawn_together_take_the_certainty_from_a_gain(test):
    """Six copies of each of 100 questions are the evidence of 100."""
    some = test.select(np.repeat(np.arange(100), 6))
    clusters = np.repeat(np.arange(100), 6)
    asked = {"it": chosen(some, np.array([{"maths": 1}.get(group, 2) for group in some.groups]))}
    naive, honest = compare(some, asked, resamples=400), compare(some, asked, resamples=400, clusters_N=clusters)
    plain = compare(test.select(np.arange(100)), {"it": asked["it"].select(np.arange(0, 600, 6))}, resamples=400)
    assert (naive.clusters, honest.clusters) == (600, 100)
    assert honest.line("it").gain_ci95 == pytest.approx(plain.line("it").gain_ci95)
    assert honest.line("it").gain_se == pytest.approx(plain.line("it").gain_se)
    assert naive.line("it").gain_se < 0.5 * honest.line("it").gain_se


def verdicts(worlds, n, models, choose, *, holes=0.0, better=0.0):
    """How often each verdict falls in worlds of equally good models, ``choose`` giving each question's column."""
    rng = np.random.default_rng(0)
    count = dict.fromkeys(["beats", "matches", "loses"], 0)
    for seed in range(worlds):
        quality = (rng.random((n, models)) < 0.6 + better * (np.arange(models) == models - 1)).astype(float)
        quality[rng.random(quality.shape) < holes] = NAN
        names = tuple(map(str, range(n)))
        unpriced = np.full_like(quality, NAN)
        world = Outcomes(names, names, ("",) * n, tuple("abcdefghijk"[:models]), quality, unpriced)
        found = compare(world, {"it": chosen(world, choose(rng, n, models))}, resamples=200, seed=seed)
        count[found.line("it").verdict] += 1
    return count


def always_the_first(rng, n, models):
    return np.zeros(n, dtype=int)


def at_random(rng, n, models):
    return rng.integers(0, models, n)


@pytest.mark.parametrize("holes", [0.0, 0.2])
@pytest.mark.parametrize("choose", [always_the_first, at_random])
def test_among_equal_models_no_router_is_said_to_lose_because_one_of_them_was_lucky(choose, holes):
    """The luckiest of eleven equal models is above any router; held fixed, it would beat one in a sixth of the worlds.

    At a level of 5 % for both sides together, so of 200 worlds 10 are expected at most and 14 are bad luck.
    """
    count = verdicts(200, 300, 11, choose, holes=holes)
    assert count["loses"] + count["beats"] <= 14


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_a_router_that_is_worse_by_a_margin_still_loses(holes):
    """One model is right 15 points more often than what is always asked, and ten others are as bad as that."""
    count = verdicts(20, 600, 11, always_the_first, holes=holes, better=0.15)
    assert count["loses"] >= 19


@pytest.mark.parametrize("models", [2, 11])
def test_the_best_single_model_asked_for_as_a_router_has_no_difference_that_could_be_tested(models):
    rng = np.random.default_rng(3)
    quality = rng.random((500, models))
    names = tuple(map(str, range(500)))
    world = Outcomes(names, names, ("",) * 500, tuple("abcdefghijk"[:models]), quality, np.ones_like(quality))
    best = compare(world, {}, resamples=10).best_single
    line = compare(world, {"it": single(world, best)}, resamples=200).line("it")
    assert (line.gain, line.gain_ci95, line.p, line.p_adjusted, line.verdict) == (0, (0, 0), 1, 1, "matches")


def test_differences_from_models_are_on_the_questions_that_both_have(test):
    """A model that was asked only easy questions has a higher mean than all, and nobody loses against that."""
    quality = np.column_stack([test.quality_NM[:, 2], test.quality_NM[:, 2]])
    quality[quality[:, 0] == 0, 1] = NAN
    one = Outcomes(test.ids, test.prompts, test.groups, ("all", "easy"), quality, np.ones_like(quality))
    line = compare(one, {"it": single(one, "all")}, resamples=200).line("it")
    assert one.means()["easy"][0] > line.quality + 0.05
    assert (line.p_adjusted, line.verdict) == (1, "matches")


def test_one_among_many_that_lose_is_corrected_for_all_of_them_and_all_models(test):
    found = compare(test, {f"{k}": chosen(test, np.full(600, k)) for k in range(3)}, resamples=500)
    for line in found.lines:
        assert line.p <= line.p_adjusted
    assert [found.line(f"{k}").verdict for k in range(3)] == ["loses", "loses", "matches"]
    assert found.line("0").p_adjusted == pytest.approx(1 / 501)


def test_a_router_as_good_as_the_best_model_on_other_questions_is_seldom_said_to_differ():
    """No luck of a choice here, as one model is far above the other: each side has half of the level of 5 %."""
    rng = np.random.default_rng(0)
    said = []
    for seed in range(1000):
        quality_NL = (rng.random((300, 3)) < (0.6, 0.6, 0.2)).astype(float)  # the router, a good and a bad model
        means = np.vstack([quality_NL.mean(axis=0), resample(quality_NL, resamples=200, seed=seed)])
        apart = means[:, :1, None] - means[:, None, 1:]
        said.append(verdict(apart[0, 0, 0], p_values(apart[:, :, 0], apart)[0]))
    assert 0.01 < said.count("beats") / 1000 < 0.04
    assert 0.01 < said.count("loses") / 1000 < 0.04
