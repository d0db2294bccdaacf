"""What a router in the shadow would save, from either kind of store."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    return tmp_path / "rows.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


WATCHED = {"model": "small", "quality": 0.85, "incumbent": "large", "incumbent_quality": 0.9, "usd": 0.004}


def test_what_would_be_saved_is_told_for_people_and_for_machines(store, keep, rows, waypost):
    keep(store, shadow=WATCHED)
    keep(store)
    keep(store, shadow=WATCHED, old=40 * 86_400)
    (found,) = rows("shadow", "--store", store)
    assert (found["requests"], found["conversations"], found["shares"]) == (40, 20, {"small": 1.0})
    assert found["saved_usd"] == pytest.approx(0.24) and found["saved_percent_ci95"] == pytest.approx([60, 60])
    assert "would fall" in found["warning"]
    (longer,) = rows("shadow", "--store", store, "--days", 50)
    assert longer["requests"] == 80
    out, _ = waypost("shadow", "--store", store)
    assert out.startswith("Turn it on and you save $0.24 of $0.4: 60.0 (60.0 to 60.0) % on 40 requests of 20")
    assert "Warning: the expected quality would fall: -0.050" in out and "small" in out


def test_a_store_without_any_says_what_to_do(store, keep, waypost):
    keep(store)
    assert "no request was watched" in waypost("shadow", "--store", store, fails=True)[1]
