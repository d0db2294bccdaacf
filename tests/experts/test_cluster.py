"""The model of a cluster: right at its limits, and never taken for a measurement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import BadInput
from waypost.experts import cluster
from waypost.experts.cluster import Cluster, Link, Modelled, by_nodes, exchange

FAST, SLOW = Link(1e-6, 300e9), Link(1e-5, 50e9)


def test_a_small_cluster_can_be_reckoned_by_hand() -> None:
    """Two machines of two; 4 rows of 100 bytes, one for each process."""
    found = exchange(Cluster(2, 2, inside=Link(1.0, 100.0), between=Link(3.0, 100.0)), rows=4, row_bytes=100)
    # Away: 2 messages of 100 bytes at half of the link's 100 bytes a second.
    assert found.flat_modelled_seconds == max(2 * 3 + 200 / 50, 1 + 1)
    # One message of 200 bytes to the other machine; then 200 of the 400 bytes that are on it go to the neighbour.
    assert found.two_level_modelled_seconds == (3 + 200 / 50) + (1 + 2)
    assert (found.bytes_between, found.flat_messages_between, found.two_level_messages_between) == (200, 2, 1)


@given(st.integers(1, 64), st.integers(1, 16), st.integers(0, 10_000))
def test_the_same_bytes_cross_and_fewer_messages(nodes: int, per_node: int, rows: int) -> None:
    found = exchange(Cluster(nodes, per_node, FAST, SLOW), rows, 512)
    assert found.flat_messages_between == per_node * found.two_level_messages_between
    assert found.bytes_between == pytest.approx(rows * 512 * (nodes - 1) / nodes)


@given(st.integers(1, 64), st.integers(1, 16), st.integers(1, 10_000))
def test_without_latency_two_levels_never_win(nodes: int, per_node: int, rows: int) -> None:
    """All that the model has for them is fewer messages."""
    found = exchange(Cluster(nodes, per_node, Link(0, 300e9), Link(0, 50e9)), rows, 512)
    assert found.modelled_ratio <= 1 + 1e-12


def test_on_one_machine_both_are_the_same() -> None:
    assert exchange(Cluster(1, 8, FAST, SLOW), 1000, 512).modelled_ratio == pytest.approx(1.0)


def test_with_small_messages_the_advantage_grows_with_machines() -> None:
    ratios = [found.modelled_ratio for found in by_nodes(Cluster(1, 8, FAST, SLOW), (1, 2, 4, 8, 16, 32), 1024, 1024)]
    assert ratios == sorted(ratios) and ratios[-1] > 2


def test_with_large_messages_there_is_none() -> None:
    assert exchange(Cluster(16, 8, FAST, SLOW), 1_000_000, 4096).modelled_ratio < 1


def test_every_answer_says_that_it_is_a_model() -> None:
    assert str(exchange(Cluster(2, 2, FAST, SLOW), 10, 10)).startswith("model, not measured:")
    assert {name for name in Modelled._fields if "seconds" in name} == {
        "flat_modelled_seconds",
        "two_level_modelled_seconds",
    }
    for what in (cluster, Link.seconds, Cluster, Modelled, exchange, by_nodes):
        assert "model" in what.__doc__


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Link(-1, 1), "latency is 0 or more"),
        (lambda: Link(0, 0), "bandwidth above 0"),
        (lambda: Cluster(0, 1, FAST, SLOW), "0 machines of 1 processes"),
        (lambda: exchange(Cluster(1, 1, FAST, SLOW), -1, 4), "-1 rows of 4 bytes"),
    ],
)
def test_what_makes_no_sense_is_said(wrong, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        wrong()
