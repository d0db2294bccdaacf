"""Who can serve is told truly, promptly, and without asking the providers more than needed."""

from __future__ import annotations

import asyncio

import pytest

from waypost.errors import Declined, ModelFailed
from waypost.gateway.running import readiness
from waypost.gateway.running.readiness import LOADING, Readiness
from waypost.types import Answer, ModelCard


class Model:
    def __init__(self, *, local: bool = False, problem: str | None = None, bug: Exception | None = None) -> None:
        self.bug = bug
        self.card = ModelCard("m", local=local)
        self.problem = problem
        self.asked = self.called = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.warm = asyncio.Event()

    async def ready(self) -> str | None:
        self.asked += 1
        await self.go_on.wait()
        if self.bug is not None:
            raise self.bug
        return self.problem

    async def complete(self, query) -> Answer:
        self.called += 1
        await self.warm.wait()
        raise Declined("not mine")


async def test_a_local_model_is_loading_until_it_has_said_its_first_word(monkeypatch):
    monkeypatch.setattr(readiness, "_WAIT_SECONDS", 0.01)
    model = Model(local=True)
    states = Readiness({"m": model})
    states.start()
    assert await states.states() == {"m": LOADING}
    model.warm.set()
    await asyncio.gather(*states._checks.values())
    assert await states.states() == {"m": None}
    assert model.called == 1


async def test_a_remote_model_is_never_called_to_warm_it_up():
    model = Model()
    states = Readiness({"m": model})
    states.start()
    assert await states.states() == {"m": None}
    assert model.called == 0


async def test_a_model_that_says_why_not_is_not_called():
    model = Model(local=True, problem="no file")
    states = Readiness({"m": model}, {"other": "no key"})
    states.start()
    await asyncio.gather(*states._checks.values())
    assert await states.states() == {"m": "no file", "other": "no key"}
    assert model.called == 0


async def test_a_silent_model_holds_nobody_up_and_is_asked_once_at_a_time(monkeypatch):
    monkeypatch.setattr(readiness, "_WAIT_SECONDS", 0.01)
    model = Model()
    model.go_on.clear()
    states = Readiness({"m": model})
    assert await states.states() == {"m": "no answer in 0.01 s"}
    assert await states.states() == {"m": "no answer in 0.01 s"}
    assert model.asked == 1
    await states.close()


async def test_a_probe_every_moment_does_not_ask_the_provider_every_moment(monkeypatch):
    model = Model()
    states = Readiness({"m": model})
    for _ in range(10):
        await states.states()
    assert model.asked == 1
    monkeypatch.setattr(readiness, "_FRESH_SECONDS", -1.0)
    model.problem = "it has died"
    assert await states.states() == {"m": "it has died"}


@pytest.mark.parametrize(
    ("bug", "says"),
    [
        (OSError("no such device"), "OSError: no such device"),
        (RuntimeError("native crash"), "RuntimeError: native crash"),
        (ModelFailed("key refused"), "key refused"),
    ],
)
@pytest.mark.parametrize("local", [False, True])
async def test_a_model_that_breaks_when_asked_says_so_and_may_recover(monkeypatch, bug, says, local):
    monkeypatch.setattr(readiness, "_FRESH_SECONDS", -1.0)
    model = Model(local=local, bug=bug)
    model.warm.set()
    states = Readiness({"m": model})
    states.start()
    assert await states.states() == {"m": says}
    model.bug = None
    assert await states.states() == {"m": None}
    model.bug = bug
    assert await states.states() == {"m": says}
    await states.close()


async def test_a_warm_up_that_breaks_is_the_reason_and_is_tried_again(monkeypatch):
    monkeypatch.setattr(readiness, "_FRESH_SECONDS", -1.0)

    class Crashing(Model):
        async def complete(self, query) -> Answer:
            self.called += 1
            if self.called < 3:
                raise RuntimeError("native crash")
            return Answer("m", "Hi")

    states = Readiness({"m": Crashing(local=True)})
    states.start()
    assert await states.states() == {"m": "RuntimeError: native crash"}
    assert await states.states() == {"m": "RuntimeError: native crash"}
    assert await states.states() == {"m": None}
    await states.close()


async def test_closing_ends_a_question_that_is_under_way(monkeypatch):
    monkeypatch.setattr(readiness, "_WAIT_SECONDS", 0.01)
    model = Model(local=True)
    states = Readiness({"m": model})
    states.start()
    assert await states.states() == {"m": LOADING}
    await states.close()
    assert all(task.done() for task in states._checks.values())
