"""The live driver makes the calls of any strategy, and shows what may be shown as it arrives."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import Declined, ModelFailed, NoModelLeft, NotInstalled
from waypost.gateway.calls.drive import Drive
from waypost.types import Answer, Call, Delta, ModelCard, Query

HELLO = Query.of("Hi")


class Scripted:
    """A model that says its pieces and then ends as it is told."""

    def __init__(self, name: str, *pieces: str | Delta, error: Exception | None = None, gate=None) -> None:
        self.card = ModelCard(name)
        self.pieces = [Delta(p) if isinstance(p, str) else p for p in pieces]
        self.error = error
        self.gate = gate
        self.left = False

    async def stream(self, query):
        try:
            for piece in self.pieces:
                yield piece
            if self.gate is not None:
                await self.gate()
            if self.error is not None:
                raise self.error
            yield self.answer()
        except (asyncio.CancelledError, GeneratorExit):
            self.left = True
            raise

    async def complete(self, query):
        async with aclosing(self.stream(query)) as stream:
            return [piece async for piece in stream][-1]

    def answer(self) -> Answer:
        return Answer(self.card.name, "".join(p.text for p in self.pieces), usd=0.5)


def in_turn(*names: str):
    """Asks one after the other until one answers."""
    for name in names:
        answer = yield Call(name, HELLO)
        if answer.ok:
            break
    return answer


def drive_of(*models: Scripted) -> Drive:
    return Drive({model.card.name: model for model in models})


def keeping(shown: list[Delta | Answer]):
    """Shows pieces by putting them into a list."""

    async def show(piece: Delta) -> None:
        shown.append(piece)

    return show


async def collect(drive: Drive, run, *, show: bool = True) -> list[Delta | Answer]:
    if not show:
        return [await drive.whole(run)]
    shown: list[Delta | Answer] = []
    answer = await drive.stream(run, keeping(shown))
    return [*shown, answer]


async def test_pieces_are_shown_as_they_come_and_the_answer_ends_them():
    drive = drive_of(Scripted("a", "Hel", "lo"))
    *pieces, answer = await collect(drive, in_turn("a"))
    assert [p.text for p in pieces] == ["Hel", "lo"]
    assert answer.text == "Hello"
    assert (drive.showing, [(a.model, a.outcome) for a in drive.attempts]) == ("a", [("a", "ok")])


@pytest.mark.parametrize("show", [False, True])
@pytest.mark.parametrize(
    ("error", "outcome"), [(ModelFailed("x"), "failed"), (Declined("x"), "declined"), (NotInstalled("x"), "failed")]
)
async def test_a_model_that_does_not_answer_is_the_strategy_s_to_replace(show, error, outcome):
    drive = drive_of(Scripted("a", error=error), Scripted("b", "Hello"))
    *_, answer = await collect(drive, in_turn("a", "b"), show=show)
    assert (answer.model, answer.text) == ("b", "Hello")
    assert [(a.model, a.outcome) for a in drive.attempts] == [("a", outcome), ("b", "ok")]


async def test_nobody_replaces_a_model_that_fails_after_its_first_piece():
    drive = drive_of(Scripted("a", "Hel", error=ModelFailed("gone")), Scripted("b", "Hello"))
    shown = []
    with pytest.raises(ModelFailed, match="gone"):
        await drive.stream(in_turn("a", "b"), keeping(shown))
    assert [piece.text for piece in shown] == ["Hel"]
    assert [(a.model, a.outcome) for a in drive.attempts] == [("a", "cut")]


async def test_a_call_that_is_not_final_is_never_shown():
    def cascade():
        cheap = yield Call("a", HELLO, final=False)
        assert cheap.ok
        return (yield Call("b", HELLO))

    drive = drive_of(Scripted("a", "secret"), Scripted("b", "shown"))
    *pieces, answer = await collect(drive, cascade())
    assert [p.text for p in pieces] == ["shown"]
    assert answer.model == "b"
    assert drive.usd() == 1.0


async def test_several_calls_run_at_once():
    both = asyncio.Barrier(2)

    def team():
        first, second = yield [Call("a", HELLO), Call("b", HELLO)]
        return Answer("team", first.text + second.text)

    async with asyncio.timeout(10):  # one after the other would wait for ever
        drive = drive_of(Scripted("a", "1", gate=both.wait), Scripted("b", "2", gate=both.wait))
        *_, answer = await collect(drive, team())
    assert answer.text == "12"


@pytest.mark.parametrize("show", [False, True])
async def test_who_cancels_the_drive_cancels_the_call(show):
    begun, forever = asyncio.Event(), asyncio.Event()

    async def gate() -> None:
        begun.set()
        await forever.wait()

    model = Scripted("a", gate=gate)
    drive = drive_of(model)
    task = asyncio.create_task(collect(drive, in_turn("a"), show=show))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.left
    assert [(a.model, a.outcome) for a in drive.attempts] == [("a", "cut")]
    assert drive.usd() is None


async def test_leaving_in_the_middle_closes_the_model_s_stream_and_its_cost_is_unknown():
    model = Scripted("a", "Hel", "lo")
    drive = drive_of(model)

    async def leave(piece: Delta) -> None:
        assert piece.text == "Hel"
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await drive.stream(in_turn("a"), leave)
    assert model.left
    assert [(a.model, a.outcome) for a in drive.attempts] == [("a", "cut")]
    assert (drive.usd(), drive.usd(broken=0.5)) == (None, 0.5)


async def test_a_stream_without_its_answer_is_a_failure():
    class Short(Scripted):
        async def stream(self, query):
            for piece in self.pieces:
                yield piece

    drive = drive_of(Short("a"), Scripted("b", "Hello"))
    *_, answer = await collect(drive, in_turn("a", "b"))
    assert answer.model == "b"
    assert "without saying that it was whole" in str(drive.failure())


async def test_an_unknown_price_makes_the_whole_cost_unknown():
    class Priceless(Scripted):
        def answer(self) -> Answer:
            return Answer(self.card.name, "x", usd=None)

    def two():
        yield Call("a", HELLO, final=False)
        return (yield Call("b", HELLO))

    drive = drive_of(Priceless("a"), Scripted("b"))
    await collect(drive, two(), show=False)
    assert drive.usd() is None


async def test_all_declined_is_not_a_failure_of_ours():
    drive = drive_of(Scripted("a", error=Declined("not maths")), Scripted("b", error=Declined("no idea")))
    *_, answer = await collect(drive, in_turn("a", "b"))
    assert not answer.ok
    assert isinstance(drive.failure(), NoModelLeft)
    assert "a: not maths; b: no idea" in str(drive.failure())


@given(st.lists(st.sampled_from(["ok", "fail", "decline"]), min_size=1, max_size=6), st.booleans())
def test_the_first_that_can_answers_and_nobody_after_it_is_asked(kinds, show):
    errors = {"ok": None, "fail": ModelFailed("x"), "decline": Declined("x")}
    models = [Scripted(str(i), "text", error=None) for i in range(len(kinds))]
    for model, kind in zip(models, kinds, strict=True):
        model.error = errors[kind]
        model.pieces = model.pieces if kind == "ok" else []
    drive = drive_of(*models)
    *_, answer = asyncio.run(collect(drive, in_turn(*(m.card.name for m in models)), show=show))
    asked = kinds.index("ok") + 1 if "ok" in kinds else len(kinds)
    assert len(drive.attempts) == asked
    assert answer.ok == ("ok" in kinds)
    assert answer.model == str(asked - 1)


async def test_the_head_of_a_native_stream_says_nothing_yet_and_its_first_block_does():
    head, ping = (Delta("", {"type": kind}, b"event\n\n", "messages") for kind in ("message_start", "ping"))
    block = Delta("", {"type": "content_block_start"}, b"event\n\n", "messages")
    drive = drive_of(Scripted("a", head, ping, error=ModelFailed("cut")), Scripted("b", head, block))
    pieces = await collect(drive, in_turn("a", "b"))
    assert pieces[:2] == [head, block]
    assert [(a.model, a.outcome) for a in drive.attempts] == [("a", "failed"), ("b", "ok")]
