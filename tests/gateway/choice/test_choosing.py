"""Whom a request goes to: fallbacks, conversations that stay where their cache is, the shadow, the canary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadConfig, NoModelLeft
from waypost.gateway.apis import CHAT
from waypost.gateway.ask import Ask, parse
from waypost.gateway.choice.choosing import Canary, Choosing, Shadow
from waypost.gateway.choice.sessions import Sessions
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import make, save
from waypost.store.database import Database
from waypost.store.keystore import KeyStore
from waypost.strategies import Single
from waypost.types import Answer, ModelCard, Outcome, Prediction, Query

NAMES = ("a", "b", "c", "d")
CARDS = {name: ModelCard(name, 2.0, 8.0, usd_per_mtok_cached=0.2) for name in NAMES}


@dataclass
class Fixed:
    """Expects of each model what it is told, by a word of the prompt."""

    quality: Mapping[str, tuple[float, ...]]
    models: tuple[str, ...] = NAMES

    def predict(self, prompts) -> Prediction:
        rows = [next((q for word, q in self.quality.items() if word in prompt), (0.5,) * 4) for prompt in prompts]
        quality_NM = np.array(rows)[:, : len(self.models)]
        return Prediction(self.models, quality_NM, *(np.full(quality_NM.shape, 0.001) for _ in range(3)))


@dataclass
class Broken:
    error: Exception
    models: tuple[str, ...] = NAMES

    def predict(self, prompts) -> Prediction:
        raise self.error


FLAPS = Fixed({"sea": (0.8, 0.7, 0.6, 0.5), "war": (0.7, 0.8, 0.6, 0.5), "proof": (0.2, 0.9, 0.1, 0.1)})
ROUTED = Single(FLAPS, CARDS)


def ask(text: str = "the sea", model: str = "auto", objective: Objective | None = None, **fields: Any) -> Ask:
    routed = None if model in CARDS else objective or Objective()
    if routed is not None and fields.get("barred"):
        routed = replace(routed, barred=fields["barred"])
    query = fields.pop("query", None) or Query.of(text)
    return Ask(CHAT, {}, query, model, routed, False, **fields)


def choose(choosing: Choosing, asked: Ask, tenant: str = "t"):
    return choosing.choose(asked, [], tenant)


def order(choosing: Choosing, asked: Ask) -> tuple[str, ...]:
    """Whom the run really asks, when everyone fails."""
    choice = choose(choosing, asked)
    run, asked_in_order = choice.run, []
    call = next(run)
    while True:
        asked_in_order.append(call.model)
        try:
            call = run.send(Answer(call.model, error="down"))
        except StopIteration:
            assert tuple(asked_in_order) == choice.decision.ranking
            return tuple(asked_in_order)


def test_fallbacks_go_by_what_was_asked_for_and_else_by_the_router_s_order() -> None:
    choosing = Choosing(ROUTED, CARDS, {"auto": ("d", "c"), "auto:cheap": ("c",), "b": ("d",)})
    assert order(choosing, ask()) == ("a", "d", "c")
    assert order(choosing, ask(model="auto:default")) == ("a", "d", "c")
    assert order(choosing, ask(model="auto:cheap")) == ("a", "c")
    assert order(choosing, ask(model="auto:other")) == ("a", "b", "c", "d")
    assert order(choosing, ask(model="b")) == ("b", "d")
    assert order(choosing, ask(model="a")) == ("a",)


subsets = st.sets(st.sampled_from(NAMES))


@given(
    st.lists(st.sampled_from(NAMES), unique=True),
    st.sampled_from(["auto", *NAMES]),
    subsets,
    subsets,
    subsets,
    st.one_of(st.none(), st.sampled_from(NAMES)),
    st.sampled_from(["sea", "war", "proof"]),
    st.booleans(),
)
def test_nobody_is_asked_who_was_removed_or_may_not_or_cannot(
    fallbacks, model, barred, unable, disallowed, incumbent, word, breaks
) -> None:
    cards = {name: replace(CARDS[name], capabilities=frozenset(() if name in unable else {"tools"})) for name in NAMES}
    if model in barred:  # is refused before
        return
    allowed = tuple(set(NAMES) - disallowed)
    objective = Objective(min_quality=0.55, allowed=allowed)
    query = replace(Query.of(word), needs=frozenset({"tools"}))
    asked = ask(model=model, objective=objective, barred=dict.fromkeys(barred, "not theirs"), query=query)
    strategy = Single(Broken(RuntimeError("bug")) if breaks and incumbent else FLAPS, cards)
    shadow = Shadow(incumbent, Objective()) if incumbent else None
    choosing = Choosing(strategy, cards, {model: tuple(fallbacks)}, shadow=shadow)
    possible = set(NAMES) - barred - unable - (disallowed if asked.routed else set())
    try:
        choice = choose(choosing, asked)
    except NoModelLeft:
        assert asked.routed and (not possible or (shadow and incumbent not in possible))
        return
    first, *others = choice.decision.ranking
    assert set(others) <= possible and first in possible | ({model} - {"auto"})
    assert len(set(choice.decision.ranking)) == len(choice.decision.ranking)
    assert not set(choice.decision.ranking) & set(choice.decision.removed)
    if incumbent in possible and model in ("auto", incumbent):
        assert first == incumbent


def test_capabilities_and_context_come_before_scores_and_are_told() -> None:
    cards = {
        **CARDS,
        "a": replace(CARDS["a"], context=100),
        "b": replace(CARDS["b"], capabilities=frozenset()),
        "c": replace(CARDS["c"], capabilities=frozenset({"tools"})),
        "d": replace(CARDS["d"], capabilities=frozenset({"tools"})),
    }
    query = replace(Query.of("proof " + "x" * 1000), needs=frozenset({"tools"}))
    choosing = Choosing(Single(FLAPS, cards), cards, {"auto": ("a", "b", "d"), "c": ("a", "d")})
    decision = choose(choosing, ask(query=query)).decision
    assert decision.ranking == ("c", "d")
    assert set(decision.scores) == {"c", "d"}
    assert decision.removed == {"a": "cannot do tools", "b": "cannot do tools"}
    named = choose(choosing, ask(model="c", query=replace(query, needs=frozenset()))).decision
    assert named.removed == {"a": "252 tokens do not fit its context of 100"}


def talk(word: str, history: int) -> Query:
    turns = ("Tell me of the sea", "x" * history, f"And of the {word}?")
    return Query(
        tuple({"role": role, "content": t} for role, t in zip(("user", "assistant", "user"), turns, strict=True))
    )


@pytest.mark.parametrize(("usd", "models"), [(30.0, "aab"), (5.0, "abb"), (0.0, "abb")])
def test_a_conversation_stays_with_its_cache_as_long_as_that_is_cheaper(usd: float, models: str) -> None:
    sessions = Sessions(300.0)
    choosing = Choosing(ROUTED, CARDS, sessions=sessions)
    first = choose(choosing, ask("Tell me of the sea", objective=Objective(usd=usd)))
    assert first.decision.model == "a"
    sessions.put(first.session, CARDS["a"], Answer("a", tokens_in=10, tokens_out=3000))
    asked = [ask(query=talk(word, 16_000), objective=Objective(usd=usd)) for word in ("sea", "war", "proof")]
    assert "".join(choose(choosing, each).decision.model for each in asked) == models
    # Another tenant's conversation of the same words knows nothing of the cache.
    assert choose(choosing, asked[1], "other").decision.model == "b"
    assert choose(choosing, asked[1]).cached == {"a": 3010} and choose(choosing, asked[1], "other").cached == {}


@settings(max_examples=20)
@given(st.floats(0.0, 1.0))
def test_the_canary_takes_its_share_and_keeps_its_conversations(share: float) -> None:
    taken = [Canary(ROUTED, share).takes(str(number)) for number in range(2000)]
    assert abs(sum(taken) / 2000 - share) < 5 * 0.5 / np.sqrt(2000)
    assert all(Canary(ROUTED, 1.0).takes(str(number)) for number in range(50))
    more = [Canary(ROUTED, min(1.0, share + 0.1)).takes(str(number)) for number in range(2000)]
    assert all(after for before, after in zip(taken, more, strict=True) if before)  # growing moves nobody back


def test_a_conversation_s_arm_decides_all_its_turns_and_a_named_model_has_none() -> None:
    trial = Single(Fixed({"": (0.1, 0.1, 0.1, 0.9)}), CARDS)
    choosing = Choosing(ROUTED, CARDS, sessions=Sessions(300.0), canary=Canary(trial, 0.5))
    arms = set()
    for number in range(40):
        turns = ({"role": "user", "content": f"{number}: the sea"}, {"role": "user", "content": "the war"})
        first, second = (choose(choosing, ask(query=Query(turns[:length]))) for length in (1, 2))
        assert first.arm == second.arm
        assert first.decision.model == ("d" if first.arm == "canary" else "a")
        arms.add(first.arm)
    assert arms == {"canary", "stable"}
    assert choose(choosing, ask(model="a")).arm is None


@pytest.mark.parametrize("error", [RuntimeError("a bug"), NoModelLeft("none"), MemoryError()])
def test_the_incumbent_serves_though_the_router_breaks(error: Exception) -> None:
    choosing = Choosing(Single(Broken(error), CARDS), CARDS, {"auto": ("d",)}, shadow=Shadow("c", Objective()))
    for model, ranking in (("auto", ("c", "d")), ("c", ("c",))):
        choice = choose(choosing, ask(model=model))
        assert (choice.decision.ranking, choice.watched) == (ranking, None)


def test_the_shadow_serves_as_before_and_says_what_the_router_would_have_done() -> None:
    choosing = Choosing(ROUTED, CARDS, shadow=Shadow("c", Objective()))
    routed, named, other = (choose(choosing, ask(model=model)) for model in ("auto", "c", "d"))
    assert routed.decision.ranking == ("c", "a", "b", "d")
    assert routed.watched is not None and routed.watched.model == "a"
    assert named.decision.ranking == ("c",) and named.watched is not None
    assert other.decision.ranking == ("d",) and other.watched is None
    # A prompt without text cannot be routed, and is served all the same.
    assert choose(choosing, ask(query=Query.of(""))).decision.model == "c"


def test_who_may_not_have_the_incumbent_gets_the_next_in_order() -> None:
    choosing = Choosing(ROUTED, CARDS, shadow=Shadow("c", Objective()))
    asked = ask(barred={"c": "not theirs", "a": "not theirs"})
    decision = choose(choosing, asked).decision
    assert decision.ranking == ("b", "d") and decision.removed == {"c": "not theirs", "a": "not theirs"}
    named = choose(choosing, ask(model="c", barred={"a": "not theirs"}))
    assert named.watched is not None and named.watched.model == "b"
    with pytest.raises(NoModelLeft, match="c: not theirs"):
        choose(choosing, ask(barred=dict.fromkeys(NAMES, "not theirs")))


def test_vectors_come_of_the_same_model_in_another_place_only() -> None:
    cards = {
        name: ModelCard(name, upstream="e" if name != "c" else "f", apis=frozenset({"embeddings"})) for name in "abc"
    }
    choosing = Choosing(ROUTED, cards, {"a": ("c", "b")})
    asked = parse(_embeddings(), {"model": "a", "input": "Hi"}, [], cards, {"default": Objective()})
    decision = choose(choosing, asked).decision
    assert decision.ranking == ("a", "b") and decision.removed == {"c": "its vectors are not those of a"}


def _embeddings():
    from waypost.gateway.apis import APIS

    return APIS["/v1/embeddings"]


# With the real gateway and OpenAI's client.

TRAFFIC = {"sea": "The tide of the sea and its ships, number", "war": "The war between kings and armies, number"}
GOOD = {"sea": {"ok": 0.8, "dear": 0.7}, "war": {"ok": 0.7, "dear": 0.8}}


@pytest.fixture(scope="module")
def routers(tmp_path_factory) -> Path:
    """Two saved routers: one that flaps by the subject, and one that prefers the dear model."""
    folder = tmp_path_factory.mktemp("routers")
    for name, good in (("flaps", GOOD), ("dear", {word: {"ok": 0.1, "dear": 0.9} for word in GOOD})):
        rows = [
            Outcome(f"{word}{i}", f"{text} {i}", word, model, good[word][model], 0.001, 0.1, 10, 10)
            for word, text in TRAFFIC.items()
            for i in range(30)
            for model in ("ok", "dear")
        ]
        save(make("ridge").fit(Outcomes.from_rows(rows)), folder / name)
    return folder


@pytest.fixture
def yaml(upstream) -> Callable[..., str]:
    def text(*names: str, top: str) -> str:
        rows = [
            f"  - {{name: {name}, kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}', usd_per_mtok_in: 2, "
            "usd_per_mtok_out: 8, usd_per_mtok_cached: 0.2}"
            for name in names
        ]
        return "\n".join(["models:", *rows, top])

    return text


def turns(*texts: str) -> list[Any]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def said(served, texts: tuple[str, ...], model: str = "auto", client=None, **more: Any):
    """One request: who answered, and its row."""
    client = client or served.client
    reply = client.chat.completions.with_raw_response.create(model=model, messages=turns(*texts), **more)
    reply.parse() if not more.get("stream") else list(reply.parse())
    return client.get(f"/decisions/{reply.headers['x-waypost-decision']}", cast_to=object)


@pytest.mark.parametrize("stream", [False, True])
def test_who_is_asked_when_models_fail_is_in_the_order_of_the_config(serve, pool, upstream, stream: bool) -> None:
    top = "router: cheapest\nprofiles: {cheap: {usd: 1000}}\nreliability: {retries: 0}\n"
    top += "fallback: {auto: [reset, dear, ok], 'auto:cheap': [limit429, ok, dear], limit429: [error500, ok]}"
    served = serve(pool("error500", "ok", "dear", "limit429", "reset", top=top))
    wanted = {
        "auto": ["error500", "reset", "dear"],
        "auto:default": ["error500", "reset", "dear"],
        "auto:cheap": ["error500", "limit429", "ok"],
        "limit429": ["limit429", "error500", "ok"],
    }
    for model, tried in wanted.items():
        row = said(served, ("Hi",), model, stream=stream)
        assert [attempt["model"] for attempt in row["attempts"]] == tried and row["served"] == tried[-1]
    with pytest.raises(openai.APIStatusError):
        said(served, ("Hi",), "reset", stream=stream)


@pytest.mark.parametrize(("usd", "stays"), [(30, True), (1, False)])
def test_stickiness_with_the_real_gateway(serve, yaml, routers, usd: int, stays: bool) -> None:
    served = serve(yaml("ok", "dear", top=f"router: {routers / 'flaps'}\nprofiles: {{default: {{usd: {usd}}}}}"))
    sea, war = (f"{text} 5" for text in TRAFFIC.values())
    first = said(served, (sea,))
    second = said(served, (sea, "x" * 16_000, war))
    alone = said(served, (war,))
    assert (first["served"], second["served"], alone["served"]) == ("ok", "ok" if stays else "dear", "dear")
    assert first["session"] == second["session"] != alone["session"]


def test_a_conversation_stays_with_its_cache_when_another_gateway_has_it_next(serve, yaml, routers, redis_url) -> None:
    top = f"router: {routers / 'flaps'}\nprofiles: {{default: {{usd: 30}}}}\n"
    sea, war = (f"{text} 5" for text in TRAFFIC.values())
    for more, goes_on in (("", "dear"), (f"sessions: {{redis: '{redis_url}'}}", "ok")):
        first, second = (serve(yaml("ok", "dear", top=top + more)) for _ in range(2))
        remotes = [served.gateway.config.app.built.app.serving.choosing.sessions.remote for served in (first, second)]
        for remote in remotes if more else ():
            remote.patience = 30  # this machine may be busy
        assert said(first, (sea,))["served"] == "ok"
        deadline = time.monotonic() + 30
        while more and remotes[0]._writes and time.monotonic() < deadline:  # the answer does not wait for what is noted
            threading.Event().wait(0.01)
        assert said(second, (sea, "x" * 16_000, war))["served"] == goes_on


def test_the_shadow_end_to_end(serve, yaml, routers) -> None:
    top = f"router: {routers / 'flaps'}\nshadow: {{incumbent: ok}}"
    served = serve(yaml("ok", "dear", top=top))
    sea, war = (f"{text} 5" for text in TRAFFIC.values())
    for model in ("auto", "ok"):
        for stream in (False, True):
            row = said(
                served, (war,), model, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {})
            )
            shadow = row["shadow"]
            assert row["served"] == "ok" and (shadow["model"], shadow["incumbent"]) == ("dear", "ok")
            # 1,000 tokens in, of which the incumbent had 500 cached, and 2,000 out.
            assert (row["usd"], shadow["usd"]) == (pytest.approx(0.0171), pytest.approx(0.018))
            assert shadow["quality"] - shadow["incumbent_quality"] == pytest.approx(0.1, abs=0.03)
    row = said(served, (sea,))
    assert row["shadow"]["model"] == "ok" and row["shadow"]["usd"] == row["usd"]  # the same, and so is its cost
    assert said(served, (war,), "dear")["shadow"] is None


def test_the_canary_end_to_end(serve, yaml, routers) -> None:
    top = f"router: {routers / 'flaps'}\ncanary: {{router: {routers / 'dear'}, share: 0.5}}"
    served = serve(yaml("ok", "dear", top=top))
    rows = [said(served, (f"{TRAFFIC['sea']} {number}",)) for number in range(20)]
    assert {(row["canary"], row["served"]) for row in rows} == {("canary", "dear"), ("stable", "ok")}
    again = [said(served, (f"{TRAFFIC['sea']} {number}", "Aye", "And?")) for number in range(20)]
    assert [row["canary"] for row in again] == [row["canary"] for row in rows]


def test_a_canary_that_knows_no_model_of_the_pool_is_refused_at_the_start(serve, yaml, routers) -> None:
    with pytest.raises(BadConfig, match=r"the canary's router knows .* and none of the models"):
        serve(yaml("other", top=f"router: cheapest\ncanary: {{router: {routers / 'dear'}, share: 0.5}}"))


def test_keys_hold_for_the_incumbent_and_for_fallbacks(serve, pool, tmp_path) -> None:
    database = Database(tmp_path / "waypost.sqlite")
    secrets = {name: KeyStore(database).create(name, models=[name, "error500"])[1] for name in ("ok", "dear")}
    database.close()
    top = "router: cheapest\nkeys: required\nreliability: {retries: 0}\nshadow: {incumbent: ok}\n"
    served = serve(pool("ok", "dear", "error500", top=f"{top}fallback: {{error500: [ok, dear]}}"))
    for name, secret in secrets.items():
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key=secret, max_retries=0, timeout=30) as client:
            row = said(served, ("Hi",), client=client)
            assert (row["served"], row["shadow"]["model"]) == (name, name)
            row = said(served, ("Hi",), "error500", client=client)
            assert [attempt["model"] for attempt in row["attempts"]] == ["error500", name]
