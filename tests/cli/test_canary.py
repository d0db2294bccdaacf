"""Two arms side by side, from the store of a gateway."""

from __future__ import annotations


def test_the_arms_are_compared_for_people_and_for_machines(tmp_path, keep, rows, waypost):
    store = tmp_path / "rows.sqlite"
    keep(store, canary="canary")
    assert "no request was decided by the arm stable" in waypost("canary", "--store", store, fails=True)[1]
    keep(store, canary="stable", old=5.0)
    (found,) = rows("canary", "--store", store)
    assert found["canary"] == {**found["stable"], "name": "canary"}
    assert (found["canary"]["requests"], found["canary"]["feedback"], found["canary"]["quality"]) == (40, 20, 0.75)
    assert found["difference"]["usd"]["value"] == 0 and found["difference"]["errors"]["more"] is None
    out, _ = waypost("canary", "--store", store)
    assert "quality: +0" in out and out.count("cannot be told apart yet") == 4
