"""Estimates of a router that was not there, on made logs whose true value is known."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from waypost.errors import BadInput, BadTable
from waypost.evaluation.logged import Logged
from waypost.evaluation.off_policy import cross_fitted, estimate, policy
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import make
from waypost.types import Prediction

MODELS = ("large", "medium", "small")
# What each model is worth on each of three kinds of prompts, what it costs, and how the log's policy chose.
QUALITY_GM = np.array([[0.9, 0.8, 0.7], [0.8, 0.3, 0.2], [0.6, 0.7, 0.1]])
USD_M = np.array([0.010, 0.004, 0.001])
CHANCE_GM = np.array([[0.2, 0.2, 0.6], [0.3, 0.4, 0.3], [0.5, 0.1, 0.4]])
# The target: medium, large, medium.
TARGET_GM = np.eye(3)[[1, 0, 1]]
TRUE_QUALITY = (QUALITY_GM * TARGET_GM).sum(axis=1).mean()
TRUE_USD = (USD_M * TARGET_GM).sum(axis=1).mean()


def log(seed, n=300, chance_GM=CHANCE_GM, sources=()):
    """A log of n decisions and the kind of each prompt; quality is 0 or 1, cost varies by a half."""
    rng = np.random.default_rng(seed)
    kind_N = rng.integers(3, size=n)
    chosen_N = (rng.random(n)[:, None] > chance_GM[kind_N].cumsum(axis=1)).sum(axis=1)
    quality_N = (rng.random(n) < QUALITY_GM[kind_N, chosen_N]).astype(float)
    usd_N = USD_M[chosen_N] * rng.uniform(0.5, 1.5, n)
    prompts = tuple(f"kind {k} number {i}" for i, k in enumerate(kind_N))
    return Logged(prompts, MODELS, chosen_N, chance_GM[kind_N], quality_N, usd_N, sources), kind_N


def believing(quality_GM, kind_N, usd_M=USD_M):
    """A model of the outcome that expects this of each kind."""
    quality_NM = quality_GM[kind_N]
    usd_NM = np.broadcast_to(usd_M, quality_NM.shape)
    return Prediction(MODELS, quality_NM, usd_NM, np.full(quality_NM.shape, np.nan), np.zeros(quality_NM.shape))


def estimates(seed, expected_GM=QUALITY_GM, usd_M=USD_M, resamples=1, **settings):
    logged, kind_N = log(seed, **settings)
    return estimate(logged, TARGET_GM[kind_N], believing(expected_GM, kind_N, usd_M), resamples=resamples)


def off_by_standard_errors(values, truth):
    return abs(np.mean(values) - truth) / (np.std(values) / np.sqrt(len(values)))


@pytest.fixture(scope="module")
def many():
    """The estimates of 400 logs; the model of the outcome is right."""
    return [estimates(seed) for seed in range(400)]


@pytest.mark.parametrize("name", ["ips", "snips", "direct", "doubly robust"])
def test_over_many_logs_the_mean_is_the_true_value(many, name):
    assert off_by_standard_errors([e.estimate(name).quality.value for e in many], TRUE_QUALITY) < 4
    assert off_by_standard_errors([e.estimate(name).usd.value for e in many], TRUE_USD) < 4


def test_with_a_wrong_model_direct_is_wrong_and_doubly_robust_is_not():
    found = [estimates(seed, 1 - QUALITY_GM, USD_M[::-1]) for seed in range(400)]
    robust = [(e.estimate("doubly robust").quality.value, e.estimate("doubly robust").usd.value) for e in found]
    assert off_by_standard_errors([q for q, _ in robust], TRUE_QUALITY) < 4
    assert off_by_standard_errors([c for _, c in robust], TRUE_USD) < 4
    assert off_by_standard_errors([e.estimate("direct").quality.value for e in found], TRUE_QUALITY) > 20


def test_with_a_good_model_doubly_robust_varies_less_than_ips(many):
    variance = {name: np.var([e.estimate(name).quality.value for e in many]) for name in ("ips", "doubly robust")}
    assert variance["doubly robust"] < 0.5 * variance["ips"]


@pytest.mark.parametrize("sources", [(), tuple(f"talk {n // 2}" for n in range(1000))], ids=["alone", "in pairs"])
def test_intervals_hold_the_true_value_in_about_95_of_100_logs(sources):
    found = [estimates(seed, n=1000, resamples=400, sources=sources) for seed in range(400)]
    for name in ("ips", "snips", "doubly robust"):
        inside = [low <= TRUE_QUALITY <= high for low, high in (e.estimate(name).quality.ci95 for e in found)]
        assert 0.92 <= np.mean(inside) <= 0.98, name
        inside = [low <= TRUE_USD <= high for low, high in (e.estimate(name).usd.ci95 for e in found)]
        assert 0.92 <= np.mean(inside) <= 0.98, name


def rare(seed, p, n, quality):
    """A log in which b is chosen with a small probability, and is as good as a."""
    rng = np.random.default_rng(seed)
    chosen_N = (rng.random(n) < p).astype(int)
    quality_N = (rng.random(n) < quality).astype(float)
    prompts = tuple(map(str, range(n)))
    return Logged(prompts, ("a", "b"), chosen_N, np.tile([1 - p, p], (n, 1)), quality_N, np.full(n, np.nan))


def always_b(logged, expected=None, **settings):
    flat = np.full((len(logged), 2), np.nan if expected is None else expected)
    prediction = Prediction(logged.models, flat, flat * np.nan, flat, flat)
    target_NM = np.tile([0.0, 1.0], (len(logged), 1))
    return estimate(logged, target_NM, None if expected is None else prediction, **settings)


@pytest.mark.parametrize(
    ("p", "n", "quality"), [(0.01, 1000, 0.9), (0.02, 1000, 0.9), (0.05, 1000, 0.9), (0.02, 6000, 0.99)]
)
def test_intervals_hold_where_few_decisions_agree_and_no_luck_is_called_better(p, n, quality):
    logs = [rare(seed, p, n, quality) for seed in range(200)]
    found = [always_b(one, quality, resamples=300) for one in logs if one.chosen_N.any()]
    for name in ("ips", "snips", "doubly robust"):
        inside = [low <= quality <= high for low, high in (e.estimate(name).quality.ci95 for e in found)]
        assert np.mean(inside) >= 0.91, name
        inside = [low <= 0 <= high for low, high in (e.estimate(name).gain.ci95 for e in found)]
        assert np.mean(inside) >= 0.91, name
    assert all(e.verdict == "cannot tell" for e in found if e.effective < 100)
    assert np.mean([e.verdict == "better" for e in found]) <= 0.03


def test_four_lucky_decisions_are_no_certainty():
    rows = [
        {"prompt": f"p{n}", "model": "b" if n < 4 else "a", "propensities": {"a": 0.99, "b": 0.01}, "quality": n < 4}
        for n in range(600)
    ]
    logged = Logged.from_rows(rows)
    for found in (always_b(logged), always_b(logged, expected=1.0)):
        assert found.best.quality.value == 1.0 and found.effective == pytest.approx(4)
        low, high = found.best.quality.ci95
        assert low < 0.7 and high == pytest.approx(1, abs=0.05)
        assert found.verdict == "cannot tell"
    many = replace(logged, chosen_N=np.arange(600) % 2, quality_N=np.arange(600) % 2 * 1.0)
    many = replace(many, propensity_NM=np.full((600, 2), 0.5))
    assert 0.97 < always_b(many).best.quality.ci95[0] < 1 and always_b(many).verdict == "better"


def test_what_is_expected_is_read_by_the_names_of_its_models():
    logged, kind_N = log(0)
    expected = believing(QUALITY_GM, kind_N)
    turned = Prediction(MODELS[::-1], *(values_NM[:, ::-1] for values_NM in expected[1:]))
    one, other = (estimate(logged, TARGET_GM[kind_N], each, resamples=50) for each in (expected, turned))
    assert one == other
    with pytest.raises(BadInput, match="what is expected is of 300 prompts and large, medium, the log of 300"):
        estimate(logged, TARGET_GM[kind_N], Prediction(MODELS[:2], *(each[:, :2] for each in expected[1:])))
    with pytest.raises(BadInput, match="give the prediction of each logged prompt"):
        estimate(logged, TARGET_GM[kind_N], Prediction(MODELS, *(each[:9] for each in expected[1:])))


def test_rows_of_one_source_widen_the_interval_as_they_say_the_same():
    logged, kind_N = log(0)
    twice = np.repeat(np.arange(len(logged)), 2)
    doubled = logged.select(twice)
    together = replace(doubled, sources=tuple(f"s{n}" for n in twice))
    width = {
        name: np.ptp(estimate(one, TARGET_GM[kinds]).estimate("ips").quality.ci95)
        for name, one, kinds in [
            ("once", logged, kind_N),
            ("apart", doubled, kind_N[twice]),
            ("together", together, kind_N[twice]),
        ]
    }
    assert width["apart"] < 0.8 * width["once"]
    assert width["together"] == pytest.approx(width["once"], rel=0.1)
    effective = [estimate(one, TARGET_GM[k]).effective for one, k in ((logged, kind_N), (together, kind_N[twice]))]
    assert effective[0] == pytest.approx(effective[1]), "who says everything twice has not said more"


@pytest.mark.parametrize("sources", [(), tuple(f"talk {n // 2}" for n in range(300))], ids=["alone", "in pairs"])
def test_a_target_that_is_the_logs_own_policy_earns_what_was_served_exactly(sources):
    logged, _ = log(1, sources=sources)
    found = estimate(logged, logged.propensity_NM)
    for name in ("ips", "snips"):
        one = found.estimate(name)
        assert (one.quality.value, one.usd.value) == (found.served.quality.value, found.served.usd.value)
        assert one.gain.value == 0 and one.gain.ci95 == pytest.approx((0, 0), abs=1e-12)
    assert found.effective == pytest.approx(len(set(logged.sources)) if sources else len(logged))
    assert found.verdict == "cannot tell" and found.doubts == ()


@given(st.integers(0, 10**6))
def test_it_agrees_with_the_formulas_written_out(seed):
    logged, kind_N = log(seed, n=40)
    rng = np.random.default_rng(seed)
    target_NM = rng.dirichlet(np.ones(3), size=40)
    expected = believing(rng.random((3, 3)), kind_N)
    found = estimate(logged, target_NM, expected, resamples=2)
    weights, served, direct, robust = [], [], [], []
    for n, m in enumerate(logged.chosen_N):
        weights.append(target_NM[n, m] / logged.propensity_NM[n, m])
        served.append(logged.quality_N[n])
        direct.append(sum(target_NM[n, k] * expected.quality_NM[n, k] for k in range(3)))
        robust.append(direct[-1] + weights[-1] * (served[-1] - expected.quality_NM[n, m]))
    ips = sum(w * r for w, r in zip(weights, served, strict=True)) / 40
    by_hand = {
        "ips": ips,
        "snips": ips * 40 / sum(weights),
        "direct": np.mean(direct),
        "doubly robust": np.mean(robust),
    }
    for name, value in by_hand.items():
        assert found.estimate(name).quality.value == pytest.approx(value)
        assert found.estimate(name).gain.value == pytest.approx(value - np.mean(served))
    assert found.effective == pytest.approx(sum(weights) ** 2 / sum(w * w for w in weights))
    assert 0 < found.effective <= 40 + 1e-9 and min(weights) >= 0


@given(st.integers(0, 10**6), st.floats(0, 0.5))
def test_self_normalised_and_doubly_robust_shift_with_the_reward(seed, shift):
    logged, kind_N = log(seed, n=200)  # of fewer, the target may have chosen none
    halved = replace(logged, quality_N=logged.quality_N / 2)
    shifted = replace(logged, quality_N=logged.quality_N / 2 + shift)
    before, after = (estimate(one, TARGET_GM[kind_N], resamples=1) for one in (halved, shifted))
    moved = after.estimate("snips").quality.value - before.estimate("snips").quality.value
    assert moved == pytest.approx(shift)


def test_weights_average_one_and_propensities_that_are_wrong_are_noticed():
    right, wrong = [], []
    for seed in range(50):
        logged, kind_N = log(seed, n=1000)
        right.append(estimate(logged, TARGET_GM[kind_N], resamples=1).doubts)
        flat = replace(logged, propensity_NM=np.full((1000, 3), 1 / 3))
        wrong.append(estimate(flat, TARGET_GM[kind_N], resamples=1).doubts)
    assert not any(right)
    assert all("the weights' mean is" in doubts[0] for doubts in wrong)


def test_a_small_effective_sample_is_said():
    rare_GM = np.tile([0.02, 0.02, 0.96], (3, 1))
    logged, kind_N = log(0, n=400, chance_GM=rare_GM)
    [doubt] = estimate(logged, TARGET_GM[kind_N]).doubts
    assert "effective sample is" in doubt and "of 400 decisions, below 100" in doubt


def test_a_target_without_support_is_refused_with_models_counts_and_a_way_out():
    logged, kind_N = log(0, chance_GM=np.array([[0.5, 0.0, 0.5]] * 3))
    count = Counter(kind_N.tolist())
    with pytest.raises(BadInput) as refused:
        estimate(logged, TARGET_GM[kind_N])
    said = str(refused.value)
    assert f"in {count[0] + count[2]} of 300 decisions" in said and f"(medium in {count[0] + count[2]})" in said
    assert "propensity above zero" in said and "waypost collect" in said
    estimate(logged, np.eye(3)[np.zeros(300, int)])  # what was explored can be estimated


def test_a_certain_log_is_refused_for_any_other_choice():
    rows = [{"prompt": f"p{n}", "model": "ab"[n % 2], "propensity": 1, "quality": 1.0} for n in range(10)]
    logged = Logged.from_rows(rows)
    with pytest.raises(BadInput, match=r"\(a in 5\).*Every choice in it was certain"):
        estimate(logged, np.eye(2)[np.zeros(10, int)])
    assert estimate(logged, logged.propensity_NM).estimate("ips").quality.value == 1.0


def test_unstated_propensities_are_said_and_a_model_never_chosen_is_refused():
    rows = [{"prompt": f"p{n}", "model": "ab"[n % 2], "propensity": 0.5, "quality": 1.0} for n in range(400)]
    logged = Logged.from_rows(rows)
    found = estimate(logged, np.eye(2)[np.zeros(400, int)])
    assert found.supported == 0.5
    assert any("of 50% of the target's choices the log does not state" in doubt for doubt in found.doubts)
    unknown_NM = np.insert(logged.propensity_NM, 2, np.nan, axis=1)
    third = replace(logged, models=("a", "b", "c"), propensity_NM=unknown_NM)
    with pytest.raises(BadInput, match="c in 400"):
        estimate(third, np.eye(3)[np.full(400, 2)])


def test_a_target_that_never_does_what_was_logged_is_refused():
    logged = Logged(("p", "q"), ("a", "b"), np.array([0, 0]), np.full((2, 2), 0.5), np.ones(2), np.ones(2))
    with pytest.raises(BadInput, match="never chooses what was chosen"):
        estimate(logged, np.eye(2)[[1, 1]])


@pytest.mark.parametrize("counts", [True, False])
def test_a_cost_that_is_unknown_makes_the_mean_unknown_where_it_counts(counts):
    logged, kind_N = log(0)
    target_NM = TARGET_GM[kind_N]
    agrees_N = target_NM[np.arange(len(logged)), logged.chosen_N] > 0
    gap_N = np.arange(len(logged)) == np.flatnonzero(agrees_N == counts)[0]
    found = estimate(
        replace(logged, usd_N=np.where(gap_N, np.nan, logged.usd_N)), target_NM, believing(QUALITY_GM, kind_N)
    )
    whole = estimate(logged, target_NM, believing(QUALITY_GM, kind_N))
    for name in ("ips", "snips", "doubly robust"):
        usd = found.estimate(name).usd
        assert np.isnan([usd.value, *usd.ci95]).all() if counts else usd == whole.estimate(name).usd
    assert found.estimate("direct").usd == whole.estimate("direct").usd
    assert np.isnan(found.served.usd.value) and np.isnan(found.best.extra_usd.value)
    assert found.best.quality == whole.best.quality
    assert any("1 decisions that count for the target have no cost" in doubt for doubt in found.doubts) == counts


@given(arrays(float, (4, 2), elements=st.floats(-1, 2)))
def test_a_target_that_is_no_probability_is_refused(target_NM):
    logged = Logged.from_rows(
        [{"prompt": f"p{n}", "model": "ab"[n % 2], "propensity": 0.5, "quality": 1} for n in range(4)]
    )
    if (target_NM >= 0).all() and np.allclose(target_NM.sum(axis=1), 1):
        return
    with pytest.raises(BadInput, match="probabilities from 0 that sum to 1"):
        estimate(logged, target_NM)
    with pytest.raises(BadInput, match="has shape"):
        estimate(logged, target_NM[:, :1])


# Routers as targets and as models of the outcome.


@dataclass
class Spy:
    """Remembers what it was fitted on; expects the mean of it."""

    fitted: list[Outcomes] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)

    def fit(self, outcomes):
        self.fitted.append(outcomes)
        self.models = outcomes.models
        return self

    def predict(self, prompts):
        self.asked.append(list(prompts))
        values = np.tile([self.fitted[-1].means()[name] for name in self.models], (len(prompts), 1, 1))
        flat = np.zeros(values.shape[:2])
        return Prediction(self.models, values[..., 0], values[..., 1], flat, flat)


def test_no_prediction_is_of_a_prompt_that_it_was_fitted_on_nor_of_its_duplicate_or_conversation():
    rows = [
        {
            "prompt": f"{word} {n % 20}",
            "model": "ab"[n % 3 % 2],
            "propensity": 0.5,
            "quality": 1,
            "source": f"talk {n}" if word == "say" else "one",
        }
        for word in ("say", "go")
        for n in range(60)
    ]
    logged, spy = Logged.from_rows(rows), Spy()
    expected = cross_fitted(logged, lambda: spy, folds=5)
    assert np.isfinite(expected.quality_NM).all() and len(spy.fitted) == 5
    assert Counter(p for asked in spy.asked for p in asked) == Counter(logged.prompts)
    for table, asked in zip(spy.fitted, spy.asked, strict=True):
        assert not set(table.prompts) & set(asked)
        assert not ("one" in table.sources and any(prompt.startswith("go") for prompt in asked))


def test_a_model_that_the_other_folds_never_chose_is_unknown_and_snips_is_believed():
    rows = [{"prompt": f"p{n}", "model": "a" if n % 2 else "b", "propensity": 0.4, "quality": 1} for n in range(50)]
    logged = Logged.from_rows([*rows, {"prompt": "rare", "model": "c", "propensity": 0.2, "quality": 0}])
    expected = cross_fitted(logged, Spy)
    assert np.isnan(expected.quality_NM[-1, 2]) and not np.isnan(expected.quality_NM[:, :2]).any()
    found = estimate(logged, np.full((51, 3), 1 / 3), expected)
    assert np.isnan(found.estimate("doubly robust").quality.value)
    assert found.best.name == "snips"


def test_too_few_prompts_or_models_for_a_model_of_the_outcome_are_refused():
    rows = [{"prompt": f"p{n % 3}", "model": "ab"[n % 2], "propensity": 0.5, "quality": 1} for n in range(9)]
    with pytest.raises(BadInput, match="3 different prompts or sources cannot be cut into 5 folds"):
        cross_fitted(Logged.from_rows(rows), Spy)
    with pytest.raises(BadTable, match="chose one model only, 'a'"):
        cross_fitted(Logged.from_rows([{**row, "model": "a", "propensity": 1} for row in rows]), Spy, folds=2)


def test_a_fitted_router_is_estimated_as_it_would_choose():
    table = Outcomes(
        tuple(map(str, range(60))),
        tuple(f"kind {n % 3} number {n + 1000}" for n in range(60)),
        tuple(f"kind {n % 3}" for n in range(60)),
        MODELS,
        QUALITY_GM[np.arange(60) % 3],
        np.tile(USD_M, (60, 1)),
    )
    router = make("ridge").fit(table)
    logged, _ = log(3)
    target_NM = policy(router, logged, Objective())
    prediction = router.predict(logged.prompts)
    column = [MODELS.index(name) for name in prediction.models]
    np.testing.assert_array_equal(target_NM.argmax(axis=1), np.array(column)[prediction.quality_NM.argmax(axis=1)])
    frugal = policy(router, logged, Objective(usd=1e6))
    assert frugal[:, MODELS.index("small")].all()
    assert 0 < estimate(logged, frugal).estimate("snips").usd.value < 0.002


def test_a_router_that_chooses_models_the_log_does_not_know_is_refused():
    logged, _ = log(3)
    spy = Spy()
    spy.fit(Outcomes(("1",), ("p",), ("",), ("small", "strange"), np.array([[0.1, 0.9]]), np.array([[0.1, 0.1]])))
    with pytest.raises(BadInput, match=r"in 300 of 300 decisions.*\(strange in 300\)"):
        policy(spy, logged, Objective())
