"""Settings by cross-validation: each question is judged by a fit that has not seen it, and the defaults come first."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.errors import BadInput
from waypost.evaluation.tune import candidates, tune
from waypost.objective import Objective
from waypost.outcomes import example_table
from waypost.routers import BestSingle, make

TABLE = example_table(150)


def knn(settings):
    return make("knn", **settings)


def test_what_is_given_is_not_tried():
    assert candidates({"a": (1, 2), "b": (3,)}, {"a": 9}) == [{"a": 9}, {"a": 9, "b": 3}]
    assert candidates({"a": (1, 2), "b": (3, 4)}, {})[1:] == [
        {"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4},
    ]  # fmt: skip
    assert candidates({}, {}) == [{}]


def test_no_question_is_judged_by_a_fit_that_saw_it_or_a_duplicate():
    class Spy(BestSingle):
        def fit(self, outcomes):
            self.saw = set(outcomes.prompts)
            return super().fit(outcomes)

        def predict(self, prompts):
            assert not set(prompts) & self.saw
            return super().predict(prompts)

    _, clusters_N = np.unique(np.array(TABLE.prompts), return_inverse=True)
    (trial,) = tune(lambda _: Spy(), [{}], TABLE, objective=Objective(), clusters_N=clusters_N)
    assert (trial.lead, trial.lead_error) == (0, 0)


def test_the_best_comes_first_and_its_lead_is_paired():
    best, *others = tune(knn, [{"k": 1}, {"k": 60}], TABLE, objective=Objective())
    assert best.settings == {"k": 60}
    assert best.lead == pytest.approx(best.score - others[0].score)
    assert 0 < best.lead_error < 0.1


def test_settings_that_earn_the_same_leave_the_defaults_first():
    found = tune(lambda _: make("best_single"), [{}, {"k": 3}], TABLE, objective=Objective())
    assert [trial.settings for trial in found] == [{}, {"k": 3}]


def test_money_counts_where_the_objective_weighs_it():
    """The dear model is always right; only where money weighs nothing does it pay to know that."""
    dear = replace(TABLE, quality_NM=np.tile([0.5, 0.4, 1.0], (150, 1)), usd_NM=np.tile([0.0, 0.0, 0.01], (150, 1)))
    (free,), (weighed,) = (
        tune(lambda _: make("best_single"), [{}], dear, objective=Objective(usd=usd)) for usd in (0.0, 40.0)
    )
    assert (free.score, weighed.score) == (pytest.approx(1.0), pytest.approx(0.6))


def test_too_few_questions_and_budgets_are_sentences():
    with pytest.raises(BadInput, match="3 different questions cannot be cut into 5 folds"):
        tune(knn, [{}], example_table(30).select([0, 1, 2]), objective=Objective())
    with pytest.raises(BadInput, match="give usd="):
        tune(knn, [{}], TABLE, objective=Objective(budget=0.1))


def test_a_model_that_is_hardly_measured_is_left_out_where_it_cannot_be_judged():
    quality_NM = np.array(TABLE.quality_NM)
    quality_NM[3:, 2] = np.nan
    sparse = replace(TABLE, quality_NM=quality_NM)
    best, *_ = tune(knn, [{}, {"k": 5}], sparse, objective=Objective())
    assert 0 < best.n < 150
    quality_NM[3:, 1:] = np.nan
    with pytest.raises(BadInput, match="only tiny is measured in and outside of fold"):
        tune(knn, [{}], replace(TABLE, quality_NM=quality_NM), objective=Objective())


def test_no_setting_wins_by_choosing_what_was_not_measured():
    """One always chooses a model that was asked easy questions only; paired, it is no better than the other."""

    class Says(BestSingle):
        best: int = 0

        def predict(self, prompts):
            found = super().predict(prompts)
            return found._replace(quality_NM=np.eye(3)[[self.best] * len(prompts)])

    quality_NM = np.zeros((150, 3))
    quality_NM[:75] = 1.0
    quality_NM[75:, 1] = np.where(np.arange(75) < 5, 0.0, np.nan)
    table = replace(TABLE, quality_NM=quality_NM)

    def make_it(settings):
        router = Says()
        router.best = settings["best"]
        return router

    first, second = tune(make_it, [{"best": 0}, {"best": 1}], table, objective=Objective())
    assert first.settings == {"best": 0}
    assert second.score > first.score
    assert second.lead == 0
