"""What breaks inside a model, in the application itself: no sockets, so that the order of its messages is seen."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from waypost.errors import Declined, ModelFailed, NotInstalled
from waypost.gateway.app import App
from waypost.gateway.choice.budgets import Budgets
from waypost.gateway.choice.choosing import Canary, Choosing
from waypost.gateway.choice.drifting import Drifting
from waypost.gateway.choice.sessions import Sessions
from waypost.gateway.running.readiness import Readiness
from waypost.gateway.seeing.ledger import Ledger
from waypost.gateway.serving import Serving
from waypost.objective import Objective
from waypost.outcomes.drift import Reference
from waypost.routers import Cheapest
from waypost.store import Writer
from waypost.strategies import Single
from waypost.types import Answer, Call, Delta, ModelCard, Query

CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
LOGPROBS = {"content": [{"token": "12", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}


class Fake:
    """A model that answers, or breaks where it is told to."""

    def __init__(self, name: str, *, before=None, middle=None, body=None, local=False, closing=None) -> None:
        self.card = ModelCard(name, 2.0, 4.0, local=local)
        self.before, self.middle, self.body, self.closing = before, middle, body, closing
        self.closed = False

    def answer(self) -> Answer:
        finish = self.body["choices"][0]["finish_reason"] if self.body else "stop"
        return Answer(self.card.name, "x y", 5, 2, 0.1, 0.25, finish=finish, body=self.body)

    async def complete(self, query: Query) -> Answer:
        if self.before:
            raise self.before
        return self.answer()

    async def stream(self, query: Query):
        if self.before:
            raise self.before
        yield Delta("x ")
        if self.middle:
            raise self.middle
        yield Delta("y")
        yield self.answer()

    async def ready(self) -> None:
        return None

    async def close(self) -> None:
        self.closed = True
        if self.closing:
            raise self.closing


class Held(Single):
    """Looks at each answer before it gives it, as a cascade does."""

    def run(self, query, decision):
        return (yield Call(decision.model, query, final=False))


def app_of(*models: Fake, kind=Single, store=None) -> App:
    pool = {model.card.name: model for model in models}
    cards = {name: model.card for name, model in pool.items()}
    strategy = kind(Cheapest.from_cards(cards), cards)
    ledger = Ledger(Writer(store) if store else None)
    serving = Serving(
        pool, Choosing(strategy, cards), {"default": Objective()}, ledger, Budgets(lambda objective: objective)
    )
    return App(serving, Readiness(pool))


async def chat(app: App, **fields: Any) -> list[dict[str, Any]]:
    """The messages that one chat request is answered with."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi there, you"}], **fields}
    arrived = iter([{"type": "http.request", "body": json.dumps(body).encode()}])
    sent: list[dict[str, Any]] = []

    async def receive():
        return next(arrived, None) or await asyncio.Event().wait()

    async def send(message) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}, receive, send)
    return sent


def events(sent: list[dict[str, Any]]) -> list[Any]:
    lines = b"".join(m.get("body", b"") for m in sent).decode().split("\n\n")
    words = [line.removeprefix("data: ") for line in lines if line]
    return [word if word == "[DONE]" else json.loads(word) for word in words]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("secret detail"), 500, "internal_error"),
        (NotInstalled("the file is gone"), 503, "not_installed"),
        (ModelFailed("boom"), 502, "upstream_error"),
    ],
)
async def test_whatever_breaks_a_stream_that_has_begun_ends_it_with_one_error_event(error, status, code, caplog):
    app = app_of(Fake("a", middle=error), Fake("b"))
    sent = await chat(app, stream=True)
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [200]
    assert not sent[-1].get("more_body")
    first, last = events(sent)
    assert first["choices"][0]["delta"]["content"] == "x "
    assert last["error"]["code"] == code
    assert "secret detail" not in last["error"]["message"]
    assert ("secret detail" in caplog.text) == isinstance(error, RuntimeError)
    assert app.serving.metrics.requests == {("chat", status, "a"): 1}


async def test_a_bug_before_the_first_byte_is_a_clean_500():
    sent = await chat(app_of(Fake("a", before=RuntimeError("secret detail"))), stream=True)
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [500]


async def test_an_answer_that_was_looked_at_first_streams_all_that_the_provider_said():
    message = {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "call_2"}]}
    choice = {"index": 0, "message": message, "logprobs": LOGPROBS, "finish_reason": "tool_calls"}
    body = {"id": "up", "object": "chat.completion", "choices": [choice], "usage": {"total_tokens": 77}, "vendor": 1}
    app = app_of(Fake("a", body=body), kind=Held)
    *chunks, done = events(await chat(app, stream=True, stream_options={"include_usage": True}))
    assert done == "[DONE]"
    [piece, last] = chunks
    assert (piece["object"], piece["model"], piece["vendor"]) == ("chat.completion.chunk", "a", 1)
    [choice] = piece["choices"]
    assert [(c["index"], c["id"]) for c in choice["delta"]["tool_calls"]] == [(0, "call_1"), (1, "call_2")]
    assert (choice["logprobs"], choice["finish_reason"]) == (LOGPROBS, "tool_calls")
    assert "usage" not in piece
    assert (last["choices"], last["usage"]) == ([], {"total_tokens": 77})


async def test_an_answer_of_text_alone_that_was_looked_at_first_is_one_piece():
    piece, last, done = events(await chat(app_of(Fake("a"), kind=Held), stream=True))
    assert piece["choices"][0]["delta"] == {"role": "assistant", "content": "x y"}
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


async def test_who_declines_has_read_the_prompt_and_that_is_paid():
    sent = await chat(app_of(Fake("a", before=Declined("not mine")), Fake("b")))
    headers = dict(sent[0]["headers"])
    assert headers[b"x-waypost-attempts"] == b"a=declined,b=ok"
    read = Query.of("Hi there, you").size * 2.0 / 1e6
    assert float(headers[b"x-waypost-cost"]) == pytest.approx(0.25 + read)


async def test_who_could_not_even_be_asked_is_not_paid():
    sent = await chat(app_of(Fake("a", before=Declined("has no such thing", kind="unsent")), Fake("b")))
    headers = dict(sent[0]["headers"])
    assert headers[b"x-waypost-attempts"] == b"a=declined,b=ok"
    assert float(headers[b"x-waypost-cost"]) == 0.25


@pytest.mark.parametrize(("share", "watched"), [(0.0, 1), (1.0, 0)])
async def test_what_a_canary_decides_is_no_traffic_of_the_calibrated_router(share, watched):
    app = app_of(Fake("a"))
    choosing, objective = app.serving.choosing, app.serving.profiles["default"]
    choosing.sessions, choosing.canary = Sessions(300.0), Canary(choosing.strategy, share)
    app.serving.drifting = Drifting(Reference({"a": 1}, {}, {}, 1.0), objective)
    await chat(app)
    assert app.serving.drifting.seen == watched


@pytest.mark.parametrize("broken", [{"before": RuntimeError("native crash")}, {"closing": OSError("gone")}])
async def test_the_end_comes_in_order_whatever_breaks(tmp_path, caplog, broken):
    bad, good = Fake("bad", local=True, **broken), Fake("good")
    app = app_of(bad, good, store=tmp_path / "rows.sqlite")
    app.readiness.start()
    await chat(app, model="good")
    await app.readiness.states()  # so that the warm-up has come to its end
    await app.close()
    assert (bad.closed, good.closed) == (True, True)
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as connection:
        assert connection.execute("select served from decisions").fetchall() == [("good",)]
