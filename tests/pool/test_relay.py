"""Pieces are pushed in their order, nobody runs ahead of a slow reader, and whoever leaves ends the call."""

from __future__ import annotations

import asyncio

import pytest

from waypost.errors import ModelFailed
from waypost.pool.relay import drawn, relay, show_all
from waypost.types import Answer, Delta, ModelCard, Query

HELLO = Query.of("Hi")
PIECES = [Delta(word) for word in ("one ", "two ", "three")]
ANSWER = Answer("m", "one two three")


class Drawn:
    """A model whose pieces are drawn."""

    card = ModelCard("m")

    def __init__(self, *pieces: Delta | Answer) -> None:
        self.pieces = pieces
        self.left = False

    async def stream(self, query):
        try:
            for piece in self.pieces:
                yield piece
        except GeneratorExit:
            self.left = True
            raise


class Pushed:
    """A model that pushes; ``shown`` are the pieces that it has handed over."""

    card = ModelCard("m")

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.shown: list[Delta] = []
        self.left = False

    async def relay(self, query, show):
        try:
            for piece in PIECES:
                self.shown.append(piece)
                if (wait := show(piece)) is not None:
                    await wait
            if self.error is not None:
                raise self.error
        except asyncio.CancelledError:
            self.left = True
            raise
        return ANSWER


def slow(shown: list[str]):
    """Shows to a reader who takes a while."""

    async def wait() -> None:
        await asyncio.sleep(0)
        shown.append("-")

    def show(piece: Delta):
        shown.append(piece.text.strip())
        return wait()

    return show


@pytest.mark.parametrize("model", [Drawn(*PIECES, ANSWER), Pushed()], ids=["drawn", "pushed"])
async def test_pieces_are_shown_in_order_and_each_waits_for_its_reader(model):
    shown: list[str] = []
    assert await relay(model, HELLO, slow(shown)) is ANSWER
    assert shown == ["one", "-", "two", "-", "three", "-"]


async def test_without_an_answer_nothing_was_whole():
    shown: list[Delta] = []
    with pytest.raises(ModelFailed, match="m ended its answer"):
        await relay(Drawn(*PIECES), HELLO, shown.append)
    assert shown == PIECES


async def test_who_does_not_show_on_ends_the_call_at_once():
    model = Drawn(*PIECES, ANSWER)

    def show(piece: Delta):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await relay(model, HELLO, show)
    assert model.left


async def test_several_pieces_wait_for_one_another():
    shown: list[str] = []
    wait = show_all(slow(shown), PIECES)
    assert shown == ["one"]
    await wait
    assert shown == ["one", "-", "two", "-", "three", "-"]
    assert show_all(lambda piece: None, PIECES) is None


async def test_a_model_that_pushes_can_be_drawn_and_is_never_a_piece_ahead():
    model = Pushed()
    seen = []
    async for piece in drawn(model, HELLO):
        seen.append(piece)
        await asyncio.sleep(0)
        assert model.shown == seen[:3]
    assert seen == [*PIECES, ANSWER]


async def test_an_error_is_raised_to_who_draws():
    with pytest.raises(ModelFailed, match="gone"):
        async for _ in drawn(Pushed(ModelFailed("gone")), HELLO):
            pass


async def test_who_draws_no_more_ends_the_call():
    model = Pushed()
    pieces = drawn(model, HELLO)
    await anext(pieces)
    await pieces.aclose()
    assert model.left
