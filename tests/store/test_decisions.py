"""Every decision has an id of its own."""

from __future__ import annotations

import time

from waypost.store.decisions import new_id


def test_ids_come_one_after_the_other_and_none_comes_twice():
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids) and {len(id) for id in ids} == {24}
    assert [id[:10] for id in ids] == sorted(id[:10] for id in ids)
    assert abs(int(ids[-1][:10], 16) - int(time.time() * 1000) % 16**10) < 60_000
