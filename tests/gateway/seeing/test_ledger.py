"""What the gateway remembers of its decisions, whatever its store does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from waypost.gateway.seeing.ledger import Ledger
from waypost.gateway.wire import NotFound
from waypost.store import Decided, Feedback, Writer
from waypost.store.database import StoreDown
from waypost.types import Decision


def decided(id: str) -> Decided:
    decision = Decision("cheapest", ("small",), {}, {}, {}, {}, {}, {}, "why")
    return Decided(id, 1_795_000_000.0, "", None, "auto", decision, (), "small", 0.01, 0.1, 9, 5, 200, key="k1")


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose Postgres is not there, and is known not to be."""
    writer = Writer("postgresql://waypost@127.0.0.1:1/rows", spool=tmp_path / "spool")
    with pytest.raises(StoreDown):
        writer.settled().result(30)
    yield Ledger(writer)
    writer.close(0.1)


async def test_a_decision_is_told_from_the_spool_while_the_store_is_away(away: Ledger) -> None:
    away.note(decided("d1"))
    away.note(decided("d2"))
    away.keep()
    told = await away.explain("d1")
    assert (told["id"], told["key"], told["served"], told["feedback"], told["stored"]) == (
        "d1",
        "k1",
        "small",
        [],
        False,
    )


async def test_nothing_is_said_to_be_stored_or_unknown_by_a_store_that_does_not_answer(away: Ledger) -> None:
    away.note(decided("d1"))
    away.keep()
    away.writer.find = Mock(side_effect=AssertionError("it was asked, in a thread that others need"))
    with pytest.raises(StoreDown):
        await away.explain("of another process")
    with pytest.raises(StoreDown):
        await away.feedback(Feedback("d1", 0.0, 1.0))


async def test_without_a_store_the_latest_are_told() -> None:
    ledger = Ledger(None)
    for number in range(1000):
        ledger.note(decided(f"d{number}"))
    ledger.keep()
    told = await ledger.explain("d999")
    assert (told["served"], told["stored"]) == ("small", False)
    with pytest.raises(NotFound):
        await ledger.explain("d0")


async def test_a_decision_that_is_told_as_stored_is_on_disk(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "rows.sqlite")
    ledger = Ledger(writer)
    ledger.note(decided("d1"))
    ledger.keep()
    assert (await ledger.explain("d1"))["stored"] is True
    assert writer.find("d1") is not None
    with pytest.raises(NotFound):
        await ledger.explain("d2")
    ledger.close()
