"""Every router of the registry keeps every promise, with each of its example settings."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from waypost import checks, routers
from waypost.outcomes import Outcomes, example_table
from waypost.types import Outcome


def _cases():
    for name, kind in routers.ROUTERS.items():
        for number, settings in enumerate(kind.examples()):
            for promise in checks.promises():
                yield pytest.param(name, settings, promise, id=f"{name}-{number}-{promise.__name__}")


@pytest.mark.parametrize(("name", "settings", "promise"), list(_cases()))
def test_promise(name, settings, promise):
    promise(lambda: routers.make(name, **settings))


def test_a_router_that_forgets_its_seed_is_caught():
    class Forgetful(routers.Random):
        count = 0

        def fit(self, outcomes):
            Forgetful.count += 1
            self.seed = Forgetful.count
            return super().fit(outcomes)

    with pytest.raises(AssertionError, match="same_seed"):
        checks.check_router(Forgetful)


def test_a_router_that_takes_missing_for_zero_is_caught():
    class Zeros(routers.BestSingle):
        def fit(self, outcomes):
            return super().fit(replace(outcomes, quality_NM=np.nan_to_num(outcomes.quality_NM)))

    with pytest.raises(AssertionError, match="missing cells"):
        checks.check_router(Zeros)


def test_a_router_that_leans_on_the_first_row_is_caught():
    class First(routers.BestSingle):
        def fit(self, outcomes):
            super().fit(outcomes)
            self.means_K = self.means_K.copy()
            self.means_K[: len(self.models)] = (self.means_K[: len(self.models)] + outcomes.quality_NM[0]) / 2
            return self

    with pytest.raises(AssertionError, match="row_order"):
        checks.check_router(First)


def test_a_router_that_tires_is_caught():
    class Tired(routers.BestSingle):
        calls = 0

        def predict(self, prompts):
            self.calls += 1
            found = super().predict(prompts)
            return found if self.calls < 20 else found._replace(quality_NM=found.quality_NM / 2)

    with pytest.raises(AssertionError, match="mutated"):
        checks.check_router(Tired)


@pytest.mark.parametrize("name", routers.KINDS)
def test_what_was_trained_predicts_without_torch(name, tmp_path, monkeypatch):
    kind = routers.KINDS[name]
    table = example_table(60, seed=5)
    if kind.when == "after an answer":
        table = Outcomes.from_rows([
            Outcome(f"{n}", prompt, "", model, quality, 1e-6, 0.1, answer=f"{prompt} {quality}")
            for n, prompt in enumerate(table.prompts)
            for model, quality in zip(table.models, table.quality_NM[n], strict=True)
        ])  # fmt: skip
    made = routers.make(name, **kind.examples()[0]).fit(table)
    routers.save(made, tmp_path)
    expected = made.predict(["What is 12 plus 30?"])
    monkeypatch.setitem(sys.modules, "torch", None)
    found = routers.load(tmp_path).predict(["What is 12 plus 30?"])
    np.testing.assert_array_equal(found.quality_NM, expected.quality_NM)
