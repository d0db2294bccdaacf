"""An explanation is what the request then does, and nothing happens by it."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from waypost.store.database import Database
from waypost.store.keystore import KeyStore
from waypost.store.limits import Limits


def explain(served, model: str, messages: list[Any]) -> Any:
    return served.client.post("/explain", body={"model": model, "messages": messages}, cast_to=object)


FIELDS = ("ranking", "why", "router", "predictions", "removed", "weights")


@pytest.mark.parametrize(
    "top",
    [
        "router: cheapest\nfallback: {auto: [dear, ok], dear: [ok]}",
        "router: cheapest\nshadow: {incumbent: dear}",
        "profiles: {default: {usd: 10, allowed: [dear]}}",
    ],
)
@pytest.mark.parametrize("model", ["auto", "dear"])
def test_an_explanation_equals_what_the_request_then_does(serve, pool, upstream, top: str, model: str) -> None:
    served = serve(pool("ok", "dear", top=top))
    messages: list[Any] = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "you"}]
    explained = explain(served, model, messages)
    assert not upstream.seen  # nobody is called
    reply = served.client.chat.completions.with_raw_response.create(model=model, messages=messages)
    row = served.client.get(f"/decisions/{reply.headers['x-waypost-decision']}", cast_to=object)
    assert {name: explained[name] for name in FIELDS} == {name: row[name] for name in FIELDS}
    assert (explained["model"], explained["session"], explained["canary"]) == (row["served"], row["session"], None)
    assert (explained["shadow"] or {}).get("model") == (row["shadow"] or {}).get("model")


def test_what_is_needed_and_what_was_removed_is_told(serve, pool, upstream) -> None:
    text = pool("ok", "dear").replace("{name: dear,", "{name: dear, capabilities: [vision], context: 4000,")
    served = serve(text.replace("{name: ok,", "{name: ok, capabilities: [tools], context: 4000,"))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    message = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}
    told = explain(served, "auto", [message])
    assert (told["needs"], told["model"], told["removed"]) == (["vision"], "dear", {"ok": "cannot do vision"})
    with pytest.raises(openai.UnprocessableEntityError, match="do not fit its context of 4000"):
        explain(served, "auto", [{"role": "user", "content": "x" * 20_000}])


def test_it_is_for_those_who_may_ask(serve, pool) -> None:
    served = serve(pool("ok", top="router: cheapest\nkeys: required"))
    with pytest.raises(openai.AuthenticationError):
        explain(served, "auto", [{"role": "user", "content": "Hi"}])


def test_it_counts_against_the_limits_of_a_key(serve, pool, tmp_path) -> None:
    database = Database(tmp_path / "waypost.sqlite")
    _, key = KeyStore(database).create("laptop", limits=Limits(requests_per_minute=2))
    database.close()
    served = serve(pool("ok", top="router: cheapest\nkeys: optional"))
    mine = served.client.with_options(api_key=key)
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(2):
        mine.post("/explain", body=body, cast_to=object)
    with pytest.raises(openai.RateLimitError):
        mine.post("/explain", body=body, cast_to=object)
