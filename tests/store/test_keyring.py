"""Keys are found without waiting, also while the store is away; what changes there is known soon."""

from __future__ import annotations

import queue
import time
from itertools import pairwise

import pytest

from waypost.store.database import StoreDown
from waypost.store.keyring import KeyRing
from waypost.store.keys import Key


class Source:
    """A store whose answers a test decides, one at a time."""

    def __init__(self):
        self.asked, self.answers = queue.Queue(), queue.Queue()

    def __call__(self):
        self.asked.put(time.monotonic())
        answer = self.answers.get(timeout=30)
        if isinstance(answer, Exception):
            raise answer
        return {name: Key(name, name, name) for name in answer}


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def ring(source):
    made = KeyRing(source, every=3600, least=0.01)
    yield made
    source.answers.put([])
    made.close()


def test_keys_are_found_once_they_are_loaded(source, ring):
    assert ring.get("a") is None and not ring.loaded
    source.answers.put(["a"])
    assert ring.wait(30) and ring.get("a").name == "a" and ring.loaded


def test_an_unknown_key_makes_it_look_again_and_a_known_one_does_not(source, ring):
    source.answers.put(["a"])
    assert ring.wait(30)
    source.asked.get(timeout=30)
    assert ring.get("a") is not None
    with pytest.raises(queue.Empty):
        source.asked.get(timeout=0.2)
    assert ring.get("b") is None
    source.asked.get(timeout=30)
    source.answers.put(["b"])
    ring.get("c")
    source.asked.get(timeout=30)  # so the answer before is in
    assert ring.get("b") is not None and ring.get("a") is None, "what is gone from the store is refused"


def test_however_many_unknown_keys_come_the_store_is_asked_seldom(source):
    ring = KeyRing(source, every=3600, least=0.2)
    times = []
    for _ in range(3):
        ring.get("nobody's")
        times.append(source.asked.get(timeout=30))
        source.answers.put([])
        for _ in range(1000):
            ring.get("nobody's")
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.19
    ring.close()


def test_while_the_store_is_away_known_keys_go_on_working(source, ring, caplog):
    source.answers.put(["a"])
    assert ring.wait(30)
    source.asked.get(timeout=30)
    for _ in range(3):
        ring.get("unknown")
        source.asked.get(timeout=30)
        source.answers.put(StoreDown("it does not answer"))
    ring.get("unknown")
    source.asked.get(timeout=30)
    assert ring.get("a") is not None
    assert caplog.text.count("it does not answer") == 1, "told once, not at every try"


def test_a_row_that_nobody_can_read_does_not_end_the_search(source, ring, caplog):
    source.answers.put(["a"])
    assert ring.wait(30)
    source.asked.get(timeout=30)
    ring.get("unknown")
    source.asked.get(timeout=30)
    source.answers.put(ValueError("no JSON"))
    ring.get("unknown")
    source.asked.get(timeout=30)
    source.answers.put([])
    ring.get("unknown")
    source.asked.get(timeout=30)  # so the answer before is in
    assert ring.get("a") is None, "what was revoked meanwhile is refused"
    assert "no JSON" in caplog.text and "the keys can be read again" in caplog.text
