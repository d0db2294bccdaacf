"""Decisions wait for their outcome: late, twice, unknown, too many, and over a restart."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.routers.feedback import Pending, Waiting


def decision(id, time=0.0):
    return Waiting(str(id), time, "small", 0.5, (1.0, -2.5), 0.001, None)


def test_an_outcome_is_taken_once_with_its_decision():
    pending = Pending()
    pending.put(decision("a"))
    assert pending.take("a", 1.0) == ("taken", decision("a"))
    assert pending.take("a", 2.0) == ("twice", None)
    assert pending.take("b", 2.0) == ("unknown", None)
    assert len(pending) == 0 and pending.expired == 0


def test_after_its_age_an_outcome_is_late_and_stays_so():
    pending = Pending(max_age=10)
    pending.put(decision("a", 0.0))
    pending.put(decision("b", 5.0))
    assert pending.take("a", 10.0)[0] == "taken"
    assert pending.take("b", 15.5) == ("late", None)
    assert pending.take("b", 15.6) == ("late", None)
    assert pending.expire(99.0) == 1


def test_one_that_is_too_old_behind_a_younger_one_is_late_too():
    pending = Pending(max_age=10)
    pending.put(decision("young", 9.0))
    pending.put(decision("old", 0.0))
    assert pending.take("old", 12.0)[0] == "late"
    assert pending.take("young", 12.0)[0] == "taken"


def test_when_there_is_no_room_the_oldest_goes():
    pending = Pending(most=2)
    for id in "abc":
        pending.put(decision(id))
    assert [pending.take(id, 0.0)[0] for id in "abc"] == ["late", "taken", "taken"]
    assert pending.expired == 1


def test_what_is_settled_is_forgotten_in_the_end():
    pending = Pending(most=2)
    for id in "abcd":
        pending.put(decision(id))
        pending.take(id, 0.0)
    assert [pending.take(id, 0.0)[0] for id in "abcd"] == ["unknown", "unknown", "twice", "twice"]


def test_putting_a_decision_again_revives_nothing():
    pending = Pending()
    for _ in range(2):
        pending.put(decision("a"))
    assert len(pending) == 1
    pending.take("a", 0.0)
    pending.put(decision("a"))
    assert pending.take("a", 0.0)[0] == "twice"


EVENTS = st.lists(st.tuples(st.sampled_from(["put", "take"]), st.integers(0, 9), st.integers(0, 5)), max_size=60)


@given(EVENTS, st.integers(0, 60))
def test_a_restart_at_any_place_changes_no_answer(events, place):
    """Whatever was acknowledged before is known after, to the same end."""
    kept, restarted, now = Pending(most=5, max_age=8), Pending(most=5, max_age=8), 0.0
    for n, (what, id, passed) in enumerate(events):
        if n == place:
            restarted = Pending(most=5, max_age=8).restore(restarted.lines())
        now += passed
        for pending in (kept, restarted):
            if what == "put":
                pending.put(decision(id, now))
        if what == "take":
            assert kept.take(str(id), now) == restarted.take(str(id), now)
        assert len(kept) == len(restarted) <= 5


@given(EVENTS)
def test_no_outcome_is_taken_twice_or_after_its_age(events):
    pending, now, put, taken = Pending(most=4, max_age=6), 0.0, {}, set()
    for what, id, passed in events:
        now += passed
        if what == "put":
            put.setdefault(str(id), now)
            pending.put(decision(id, now))
            continue
        verdict, found = pending.take(str(id), now)
        assert (verdict == "taken") == (found is not None)
        if found:
            # An id may come again once it is long forgotten, as a new decision.
            assert now - found.time <= 6 and (found.id, found.time) not in taken
            taken.add((found.id, found.time))


def test_a_decision_that_is_put_back_is_taken_again():
    pending = Pending()
    pending.put(decision("a"))
    _, taken = pending.take("a", 1.0)
    pending.put_back(taken)
    assert pending.take("a", 2.0) == ("taken", taken) and pending.take("a", 3.0) == ("twice", None)


def test_of_many_threads_one_takes_it():
    pending = Pending()
    for n in range(200):
        pending.put(decision(n))
    verdicts: list[str] = []
    threads = [
        threading.Thread(target=lambda: verdicts.extend(pending.take(str(n), 0.0)[0] for n in range(200)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts.count("taken") == 200 and verdicts.count("twice") == 1000


@pytest.mark.parametrize("line", ["nonsense", '{"id": "a"}', "[1]", '{"id": "a", "time": "x", "model": "m"}'])
def test_a_line_that_is_none_of_ours_is_named(line):
    with pytest.raises(BadInput, match="line 2"):
        Pending().restore([*Pending().lines(), "", line])


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="most"):
        Pending(most=0)
    with pytest.raises(ValueError, match="max_age"):
        Pending(max_age=0)


def test_what_is_written_is_what_was_there_when_it_was_asked_for():
    pending = Pending()
    for id in "ab":
        pending.put(decision(id))
    lines = pending.lines()
    pending.take("a", 0.0)
    pending.put(decision("c"))
    again = Pending().restore(lines)
    assert [again.take(id, 1.0)[0] for id in "abc"] == ["taken", "taken", "unknown"]
