"""Every router of the registry keeps every promise, with each of its example settings."""

from dataclasses import replace

import numpy as np
import pytest

from waypost import checks, routers


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


@pytest.mark.parametrize("kind", list(routers.ROUTERS.values()))
def test_every_router_says_when_what_and_how(kind):
    assert kind.when in ("before the answer", "after an answer")
    assert kind.looks_at
    assert kind.learns in ("means", "similarity", "supervised")
