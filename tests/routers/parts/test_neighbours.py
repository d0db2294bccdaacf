"""The nearest rows: exact for a small table, and nearly all of them through an index."""

import builtins

import numpy as np
import pytest

from waypost.routers.parts import neighbours
from waypost.routers.parts.neighbours import Neighbours

RNG = np.random.default_rng(4)
CENTRES = RNG.normal(size=(30, 32))
ROWS = (CENTRES[RNG.integers(30, size=3000)] + RNG.normal(size=(3000, 32))).astype(np.float32)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
QUERIES, KNOWN = ROWS[:200], ROWS[200:]


@pytest.fixture
def indexed(monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    return Neighbours.fitted(KNOWN)


@pytest.fixture
def no_faiss(monkeypatch):
    importing = builtins.__import__

    def refuse(name, *rest, **more):
        if name == "faiss":
            raise ImportError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)


def slow(query, k):
    """All rows by their cosine, equal ones in their order."""
    return sorted(range(len(KNOWN)), key=lambda n: (-round(float(KNOWN[n] @ query) * 1e6), n))[:k]


def test_a_small_table_is_looked_through():
    exact = Neighbours.fitted(KNOWN)
    assert not exact.index_B.size
    ids, similarity = exact.near(QUERIES[:70], 25)
    assert (np.diff(similarity, axis=1) < 2e-6).all()
    for query, found in zip(QUERIES[:70], ids, strict=True):
        assert np.allclose(KNOWN[found] @ query, KNOWN[slow(query, 25)] @ query, atol=2e-6)


def test_equal_rows_are_found_in_their_order():
    twice = np.vstack([KNOWN[:10]] * 6)
    ids, _ = Neighbours(twice).near(KNOWN[:10], 4)
    assert ids.tolist() == [[n, n + 10, n + 20, n + 30] for n in range(10)]


@pytest.mark.parametrize("k", [1, 3, 24, 25, 59, 60])
def test_one_query_is_answered_as_by_sorting_all_rows(k):
    """Many rows are equal, so that some tie with the last that is wanted."""
    rows = Neighbours(KNOWN[RNG.integers(25, size=60)])
    for query in KNOWN[:25]:
        cosines = query[None] @ rows.vectors_ND.T
        slow = sorted(range(60), key=lambda n: (-np.rint(cosines[0, n] * np.float32(1e6)), n))[:k]
        ids, similarity = rows.near(query[None], k)
        assert ids.tolist() == [slow] and np.array_equal(similarity, cosines[:, slow])


def test_more_neighbours_than_rows_are_all_rows():
    ids, similarity = Neighbours(KNOWN[:3]).near(QUERIES[:2], 50)
    assert ids.shape == similarity.shape == (2, 3)


def test_no_query_has_no_neighbours(indexed):
    assert indexed.near(QUERIES[:0], 5)[0].shape == (0, 5)
    assert Neighbours(KNOWN).near(QUERIES[:0], 5)[0].shape == (0, 5)


def test_an_index_finds_nearly_all_of_the_nearest_and_says_how_near(indexed):
    assert indexed.index_B.size
    ids, similarity = indexed.near(QUERIES, 20)
    exact, _ = Neighbours(KNOWN).near(QUERIES, 20)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(ids, exact, strict=True)]) > 0.95
    assert np.allclose(similarity, np.einsum("bkd,bd->bk", KNOWN[ids], QUERIES), atol=0.01)


def test_the_same_rows_give_the_same_index(indexed):
    assert np.array_equal(Neighbours.fitted(KNOWN.copy()).index_B, indexed.index_B)


def test_many_queries_are_answered_as_one_by_one(indexed):
    ids, _ = indexed.near(QUERIES, 20)
    assert np.array_equal(ids, np.vstack([indexed.near(query[None], 20)[0] for query in QUERIES]))


def test_all_are_looked_through_where_the_cells_hold_too_few(indexed):
    few = np.vstack([KNOWN[:1]] * 1500 + [KNOWN]).astype(np.float32)
    found, _ = Neighbours.fitted(few).near(QUERIES[:3], 2500)
    exact, _ = Neighbours(few).near(QUERIES[:3], 2500)
    assert np.array_equal(np.sort(found), np.sort(exact))


def test_without_faiss_a_saved_index_is_not_needed(indexed, no_faiss):
    exact, _ = Neighbours(KNOWN).near(QUERIES, 20)
    assert np.array_equal(Neighbours(KNOWN, indexed.index_B).near(QUERIES, 20)[0], exact)


def test_without_faiss_a_large_table_is_looked_through(monkeypatch, no_faiss):
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    found = Neighbours.fitted(KNOWN)
    assert not found.index_B.size
    assert np.array_equal(found.near(QUERIES, 20)[0], Neighbours(KNOWN).near(QUERIES, 20)[0])
