"""What a log says of a router in the shadow and of a canary: sums that a hand can check, and honest doubt."""

from __future__ import annotations

import math

import numpy as np
import pytest

from waypost.errors import BadInput
from waypost.evaluation.live import tried, watched


def seen(usd=0.01, router_usd=0.002, quality=0.8, incumbent=0.9, session=None, status=200, model="small"):
    shadow = {"model": model, "quality": quality, "incumbent": "large", "incumbent_quality": incumbent}
    return {"session": session, "status": status, "usd": usd, "shadow": {**shadow, "usd": router_usd}}


def test_the_saving_is_of_the_requests_whose_prices_are_known():
    rows = [seen(session=str(number)) for number in range(20)]
    rows += [seen(usd=None, session="20"), seen(router_usd=None, session="21", model="large")]
    rows += [seen(usd=9.0, status=502), {"session": None, "status": 200, "usd": 9.0, "shadow": None}]
    found = watched(rows)
    assert (found.requests, found.priced, found.unpriced, found.conversations) == (22, 20, 2, 22)
    assert found.saved == pytest.approx((0.16, 0.16, 0.16)) and found.percent == pytest.approx((80, 80, 80))
    assert (found.usd, found.router_usd) == (pytest.approx(0.2), pytest.approx(0.04))
    assert found.shares == {"small": 21 / 22, "large": 1 / 22}
    sentences = list(found.says())
    assert sentences[0].startswith("Turn it on and you save $0.16 of $0.2: 80.0 (80.0 to 80.0) % on 20 requests")
    assert sentences[1] == "Warning: the expected quality would fall: -0.100 (-0.100 to -0.100)."
    assert "2 of 22 requests have no known price" in sentences[2]


def test_the_interval_holds_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        # Conversations differ more than their requests do: 8 % saved in the mean.
        rows = [
            seen(1.0, 1.0 - 0.08 - shift + 0.01 * rng.normal(), session=str(session))
            for session, shift in enumerate(0.3 * rng.normal(size=80))
            for _ in range(10)
        ]
        percent = watched(rows, resamples=400).percent
        covered += percent.low <= 8 <= percent.high
    assert covered >= 51  # of 57 expected; fewer than this has a chance of 1 in 500


def test_what_would_cost_more_or_is_not_known_is_said_so():
    assert next(watched([seen(0.01, 0.03)] * 12).says()).startswith("Turn it on and you spend $0.24")
    unknown = watched([seen(None, None, None, None)] * 12)
    assert next(unknown.says()).startswith("What it would save is not known")
    assert math.isnan(unknown.gain.value) and math.isnan(unknown.percent.value)


def test_few_conversations_have_no_interval():
    found = watched([seen(session=str(number % 3)) for number in range(100)])
    assert found.saved.value == pytest.approx(0.8) and math.isnan(found.saved.low)
    assert list(found.says())[-1] == "There are no intervals of 3 conversations; wait for at least 10."


def test_quality_that_rises_is_no_warning():
    found = watched([seen(quality=0.95)] * 20)
    assert found.warning is None and "would change by +0.050" in list(found.says())[1]


def test_nothing_watched_is_told_with_what_to_do():
    with pytest.raises(BadInput, match=r"say `shadow: \{incumbent: \.\.\.\}`"):
        watched([])


def arm(name, n, *, usd=0.01, spread=0.002, errors=0, quality=None, seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "session": f"{name}{number}",
            "canary": name,
            "status": 502 if number < errors else 200,
            "usd": usd + spread * rng.normal(),
            "seconds": seconds + number / n,
            "quality": None if quality is None or number % 2 else quality,
        }
        for number in range(n)
    ]


def test_arms_are_described_and_told_apart():
    rows = [*arm("canary", 100, usd=0.005, errors=2, quality=0.9), *arm("stable", 400, quality=0.5, seed=1)]
    trial = tried([*rows, {"canary": None}])
    canary, stable = trial.arms
    assert (canary.requests, canary.errors, canary.feedback, stable.feedback) == (100, 2, 50, 200)
    assert (canary.quality, stable.quality) == (pytest.approx(0.9), pytest.approx(0.5))
    assert canary.seconds_p50 == pytest.approx(1.5, abs=0.03) and canary.seconds_p95 == pytest.approx(1.94, abs=0.03)
    usd, quality = (next(each for each in trial.differences if each.measure == name) for name in ("usd", "quality"))
    assert usd.more == quality.more == 0
    assert usd.figure.high < 0 < quality.figure.low
    assert usd.says().endswith("the canary's is lower.")


def test_a_client_that_left_is_no_error():
    rows = [row | {"status": 499} for row in arm("canary", 20)] + arm("stable", 20)
    assert tried(rows).arms[0].errors == 0


def test_failures_make_an_arm_no_cheaper():
    failed = [row | {"usd": 0.0} if row["status"] != 200 else row for row in arm("canary", 20, errors=10)]
    assert tried([*failed, *arm("stable", 20)]).arms[0].usd == pytest.approx(0.01, abs=0.002)


def test_few_requests_that_went_well_are_no_certainty():
    trial = tried([*arm("canary", 12), *arm("stable", 1000, errors=10)])
    errors = trial.differences[0]
    assert errors.measure == "errors" and errors.figure.low < 0 < errors.figure.high
    assert errors.more is not None and errors.more > 0
    assert "cannot be told apart yet; if it stays so, about" in errors.says()


def test_as_many_more_as_it_says_do_tell_them_apart():
    trial = tried([*arm("canary", 40, usd=0.0104), *arm("stable", 40, seed=1)])
    usd = trial.differences[1]
    assert usd.more
    factor = (80 + usd.more) / 80
    n = int(40 * factor)
    later = [
        tried([*arm("canary", n, usd=0.01 + usd.figure.value, seed=s), *arm("stable", n, seed=s + 99)], 200)
        for s in range(10)
    ]
    assert sum(each.differences[1].more == 0 for each in later) >= 5


def test_an_arm_without_requests_is_told():
    with pytest.raises(BadInput, match="no request was decided by the arm canary in that time"):
        tried(arm("stable", 5))


def test_what_only_rounding_tells_apart_is_no_difference_and_what_is_not_known_is_said_so():
    trial = tried([*arm("canary", 90, usd=0.0005, spread=0.0), *arm("stable", 110, usd=0.0005, spread=0.0)])
    usd, quality = (next(each for each in trial.differences if each.measure == name) for name in ("usd", "quality"))
    assert (usd.figure.value, usd.figure.low, usd.figure.high, usd.more) == (0.0, 0.0, 0.0, None)
    assert usd.says().endswith("cannot be told apart yet.")
    assert quality.says() == "quality: not known of both arms yet."
