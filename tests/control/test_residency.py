"""Rules for what leaves memory: against brute force, and what each of them is there for."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.control.residency import RULES, Memory, replay, switching
from waypost.errors import BadInput

MODELS = "abcd"


def equal(room, seconds=None):
    """Models of one size."""
    return Memory(dict.fromkeys(MODELS, 1.0), seconds or dict.fromkeys(MODELS, 2.0), room)


def fewest_misses(trace, room):
    """By trying, at every miss, every model that could leave."""

    @cache
    def from_(place, kept):
        if place == len(trace):
            return 0
        model = trace[place]
        if model in kept:
            return from_(place + 1, kept)
        if len(kept) < room:
            return 1 + from_(place + 1, kept | {model})
        return 1 + min(from_(place + 1, kept - {leaves} | {model}) for leaves in kept)

    return from_(0, frozenset())


@settings(max_examples=150, deadline=None)
@given(st.text(MODELS, max_size=12), st.integers(1, 4))
def test_belady_has_the_fewest_misses_that_are_possible(trace, room):
    found = replay(trace, equal(room), "belady")
    assert found.misses == fewest_misses(tuple(trace), room)
    assert all(replay(trace, equal(room), rule).misses >= found.misses for rule in RULES)


@settings(max_examples=100, deadline=None)
@given(st.text(MODELS, max_size=40), st.sampled_from(sorted(RULES)), st.floats(4, 12))
def test_every_request_is_counted_and_memory_is_never_overfull(trace, rule, room):
    sizes = {"a": 1.0, "b": 2.5, "c": 4.0, "d": 1.0}
    memory = Memory.of(sizes, room=room, gb_per_second=0.5)
    for end in range(len(trace) + 1):
        found = replay(trace[:end], memory, rule)
        assert found.hits + found.misses == end and found.misses >= len(set(trace[:end]))
        assert sum(sizes[model] for model in found.resident) <= room
        assert end == 0 or trace[end - 1] in found.resident


def test_where_everything_fits_each_model_is_loaded_once():
    for rule in RULES:
        found = replay("abcdabcd", equal(4), rule)
        assert (found.hits, found.misses, found.seconds) == (4, 4, 8.0) and found.hit_rate == 0.5


def test_least_recently_used_leaves_first():
    assert replay("abac", equal(2), "lru").resident == ("a", "c")


def test_of_models_that_are_asked_for_in_turn_cost_aware_keeps_what_is_slow_to_load():
    memory = equal(2, {"a": 60.0, "b": 1.0, "c": 1.0, "d": 1.0})
    trace = "abcd" * 10
    assert replay(trace, memory, "lru").seconds == 630
    assert replay(trace, memory, "cost_aware").seconds == 90


def test_a_slow_model_that_nobody_asks_for_any_more_leaves_in_the_end():
    memory = equal(2, {"a": 5.0, "b": 1.0, "c": 1.0, "d": 1.0})
    assert "a" in replay("abcbc", memory, "cost_aware").resident
    assert "a" not in replay("abc" + "bcd" * 10, memory, "cost_aware").resident


def test_where_all_cost_the_same_cost_aware_still_forgets_what_is_old():
    assert replay("ab" + "cd" * 5, equal(2), "cost_aware").hits == 8


def test_what_is_loaded_at_the_start_costs_nothing():
    found = replay("ab", equal(2), "lru", start=["a", "b"])
    assert (found.hits, found.seconds) == (2, 0.0)
    assert replay("c", equal(2), "lru", start=["b", "a"]).resident == ("a", "c")


def test_switching_counts_what_is_new():
    assert switching("ab", "bcd", equal(3)) == 4.0
    assert switching("ab", "ba", equal(3)) == 0.0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: replay("a", equal(2), "fifo"), "no rule 'fifo'; there are lru, cost_aware, belady"),
        (lambda: replay("ax", equal(2)), "no size or no seconds of 'x'"),
        (lambda: replay("a", equal(0.5)), "'a' takes 1 GB, and there are 0.5; it never fits"),
        (lambda: replay("a", equal(2), start="abc"), "takes 3 GB, and there are 2"),
    ],
)
def test_what_cannot_be_is_a_sentence(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()
