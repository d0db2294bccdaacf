"""Keys, allow-lists, limits and budgets of a real gateway, asked by the clients that people use."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from waypost.store.database import Database, StoreDown
from waypost.store.keystore import KeyStore
from waypost.store.limits import Limits

HELLO: list[Any] = [{"role": "user", "content": "Hi"}]
# What the upstream says that a call has used: 500 of 1,000 tokens cached, 2,000 out, at 1 USD a million: 0.003.
COST = 0.003
REQUIRED = "router: cheapest\nkeys: required"


@pytest.fixture
def secret(tmp_path: Path) -> Callable[..., str]:
    """Make a key in the gateway's store, before it starts; gives the secret."""

    def make(name: str = "laptop", **settings: Any) -> str:
        database = Database(tmp_path / "waypost.sqlite")
        _, made = KeyStore(database).create(name, **settings)
        database.close()
        return made

    return make


def client(served, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0, timeout=30)


def ask(key_client: openai.OpenAI, model: str = "ok", **settings: Any):
    return key_client.chat.completions.with_raw_response.create(model=model, messages=HELLO, **settings)


def rows(served) -> list[dict[str, Any]]:
    """What the log has, when all that has ended is in it."""
    writer = served.gateway._reloading.built.app.serving.ledger.writer
    writer.settled().result(10)
    with writer.database.begin() as connection:
        found = connection.exec_driver_sql("select key, team, status, usd from decisions order by time").mappings()
        return [dict(row) for row in found]


def test_without_a_good_key_nothing_is_answered_and_the_api_s_shape_is_kept(serve, pool, secret) -> None:
    good = secret()
    expired = secret("old", expires=1.0)
    served = serve(pool("ok", top=REQUIRED))
    with client(served, "wp-wrong") as wrong, client(served, expired) as old, client(served, good) as right:
        with pytest.raises(openai.AuthenticationError, match="not known here") as told:
            ask(wrong)
        assert told.value.response.headers["www-authenticate"] == "Bearer"
        assert told.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError, match="has expired"):
            ask(old)
        with pytest.raises(openai.AuthenticationError):
            wrong.models.list()
        assert ask(right).headers["x-waypost-model"] == "ok"
        assert [model.id for model in right.models.list() if model.id == "ok"] == ["ok"]
    for path in ("/v1/models", "/v1/decisions/x"):
        reply = served.raw(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert b"401" in reply.split(b"\r\n")[0]
    assert b"200" in served.raw(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").split(b"\r\n")[0]


def test_anthropic_s_client_sends_its_key_in_its_own_header_and_hears_errors_in_its_own_shape(
    serve, pool, secret
) -> None:
    good = secret()
    served = serve(pool("ok", top=REQUIRED))
    with anthropic.Anthropic(base_url=served.url, api_key=good, max_retries=0) as right:
        assert right.messages.create(model="ok", max_tokens=100, messages=HELLO).role == "assistant"
    with anthropic.Anthropic(base_url=served.url, api_key="wp-wrong", max_retries=0) as wrong:
        with pytest.raises(anthropic.AuthenticationError) as told:
            wrong.messages.create(model="ok", max_tokens=100, messages=HELLO)
        assert told.value.body["type"] == "error"


def test_a_key_calls_its_models_only_and_auto_chooses_among_them(serve, pool, secret) -> None:
    key = secret(models=["dear"])
    served = serve(pool("ok", "dear", top=REQUIRED))
    with client(served, key) as asks:
        with pytest.raises(openai.PermissionDeniedError, match="may not call 'ok'; it may call dear"):
            ask(asks)
        answer = ask(asks, "auto")
        assert answer.headers["x-waypost-model"] == "dear"
        assert [model.id for model in asks.models.list()] == ["auto", "auto:default", "dear"]
        assert asks.models.retrieve("dear").id == "dear"
        with pytest.raises(openai.NotFoundError):
            asks.models.retrieve("ok")
        decision = asks.get(f"/decisions/{answer.headers['x-waypost-decision']}", cast_to=object)
        assert decision["removed"] == {"ok": "not among the models of this key"}


def test_a_decision_and_its_feedback_are_for_the_key_that_asked(serve, pool, secret) -> None:
    mine, other = secret("mine"), secret("other")
    served = serve(pool("ok", top=REQUIRED))
    with client(served, mine) as asks, client(served, other) as curious:
        id = ask(asks).headers["x-waypost-decision"]
        for forbidden in (
            lambda: curious.get(f"/decisions/{id}", cast_to=object),
            lambda: curious.post("/feedback", body={"decision": id, "quality": 0.0}, cast_to=object),
        ):
            with pytest.raises(openai.NotFoundError, match="no decision"):
                forbidden()
        assert asks.post("/feedback", body={"decision": id, "quality": 1.0}, cast_to=object)["stored"]
        assert asks.get(f"/decisions/{id}", cast_to=object)["id"] == id


def test_feedback_and_looks_at_decisions_count_among_the_requests(serve, pool, secret) -> None:
    key = secret(limits=Limits(requests_per_minute=3))
    served = serve(pool("ok", top=REQUIRED))
    with client(served, key) as asks:
        id = ask(asks).headers["x-waypost-decision"]
        assert asks.get(f"/decisions/{id}", cast_to=object)["id"] == id
        assert asks.post("/feedback", body={"decision": id, "quality": 1.0}, cast_to=object)["stored"]
        for refused in (
            lambda: asks.get(f"/decisions/{id}", cast_to=object),
            lambda: asks.post("/feedback", body={"decision": id, "quality": 1.0}, cast_to=object),
        ):
            with pytest.raises(openai.RateLimitError, match="3 requests a minute"):
                refused()


def limited(served) -> dict[str, int]:
    """Refused requests by the kind of limit, as the metrics have it."""
    page = served.gateway._reloading.built.app.page()
    return {
        kind: int(count) for kind, count in re.findall(r'^waypost_limited_total\{limit="(\w+)"\} (\d+)', page, re.M)
    }


def test_a_key_at_its_limit_hears_when_to_come_again_and_what_is_left(serve, pool, secret) -> None:
    key = secret(limits=Limits(requests_per_minute=2, tokens_per_minute=10_000))
    served = serve(pool("ok", top=REQUIRED))
    with client(served, key) as asks:
        first = ask(asks).headers
        assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("2", "1")
        assert first["x-ratelimit-limit-tokens"] == "10000"
        second = ask(asks).headers
        assert int(second["x-ratelimit-remaining-tokens"]) < 7000  # 3,000 were used by the first
        with pytest.raises(openai.RateLimitError, match="may use 2 requests a minute") as told:
            ask(asks)
        headers = told.value.response.headers
        assert told.value.code == "rate_limit_exceeded"
        assert 0 < int(headers["retry-after"]) <= 61
        assert headers["x-ratelimit-remaining-requests"] == "0"
    assert limited(served) == {"requests": 1}


def test_a_team_spends_together_and_a_spent_budget_is_told_as_one(serve, pool, secret) -> None:
    one, other = secret("one", team="research"), secret("other", team="research")
    served = serve(pool("ok", top=f"{REQUIRED}\nteams: {{research: {{usd: 0.008, per: total}}}}"))
    with client(served, one) as first, client(served, other) as second:
        for asks in (first, second):
            assert ask(asks, max_tokens=2000).headers["x-waypost-cost"] == f"{COST:g}"
        with pytest.raises(openai.RateLimitError, match=r"the team 'research' may spend 0\.008 USD in all") as told:
            ask(first, max_tokens=2000)
        assert told.value.code == "insufficient_quota"
        assert told.value.response.headers["x-should-retry"] == "false"
        assert ask(first, max_tokens=1000).headers["x-waypost-model"] == "ok", "what fits may still be asked"
    assert limited(served) == {"budget": 1}
    assert [(row["team"], row["usd"]) for row in rows(served) if row["usd"]] == [("research", COST)] * 3


def test_what_was_spent_before_a_restart_stays_spent(serve, pool, secret) -> None:
    key = secret(limits=Limits(usd=0.005))
    with client(serve(pool("ok", top=REQUIRED)), key) as asks:
        ask(asks, max_tokens=2000)
    with client(serve(pool("ok", top=REQUIRED)), key) as asks, pytest.raises(openai.RateLimitError):
        ask(asks, max_tokens=3000)


def test_a_nearly_spent_budget_falls_to_a_cheaper_model(serve, pool, secret) -> None:
    key = secret(limits=Limits(usd=0.0035, per="total"))
    # The third model is three times as dear as the first.
    served = serve(pool("ok", "middle", "dear", top=f"{REQUIRED}\nprofiles: {{default: {{bias: {{dear: 1}}}}}}"))
    with client(served, key) as asks:
        answer = ask(asks, "auto", max_tokens=2000)
    assert answer.headers["x-waypost-model"] == "ok"
    assert answer.headers["x-waypost-attempts"] == "dear=failed,ok=ok"


def test_a_model_over_its_own_budget_is_skipped_and_named(serve, upstream) -> None:
    row = f"{{kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}', usd_per_mtok_in: 1, usd_per_mtok_out: 1, "
    served = serve(
        f"models:\n  - {row}name: small, limits: {{usd: 0.0001}}}}\n  - {row}name: other, limits: {{parallel: 1}}}}\n"
        "router: cheapest"
    )
    assert ask(served.client, "auto").headers["x-waypost-model"] == "other"
    with pytest.raises(openai.RateLimitError, match=r"the model 'small' may spend 0\.0001 USD a month"):
        served.client.chat.completions.create(model="small", messages=HELLO)
    assert limited(served) == {"budget": 1}


def test_metrics_tell_limits_of_tokens_of_parallel_requests_and_of_models_apart(serve, upstream, secret) -> None:
    tokens, parallel = secret("tokens", limits=Limits(tokens_per_minute=100)), secret("one", limits=Limits(parallel=1))
    row = f"{{kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}', "
    served = serve(f"models:\n  - {row}name: hang, limits: {{requests_per_minute: 1}}}}\n{REQUIRED}")
    with client(served, tokens) as asks, pytest.raises(openai.RateLimitError):
        ask(asks, "hang", max_tokens=1000)
    with client(served, parallel) as asks, ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ask, asks, "hang", timeout=5)
        assert upstream.began.get(timeout=30) == "hang"
        with pytest.raises(openai.RateLimitError, match="1 requests under way"):
            ask(asks, "hang")
        assert isinstance(hanging.exception(30), openai.APITimeoutError)
        assert upstream.gone.get(timeout=30) == "hang"
        with pytest.raises(openai.RateLimitError, match="the model 'hang' may use 1 requests a minute"):
            ask(asks, "hang")
    assert limited(served) == {"tokens": 1, "parallel": 1, "model": 1}


def test_a_model_without_a_price_cannot_be_paid_from_a_budget_and_is_free_to_others(serve, upstream, secret) -> None:
    paying, free = secret("paying", limits=Limits(usd=1.0)), secret("free")
    served = serve(
        f"models: [{{name: unpriced, kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}'}}]\n{REQUIRED}"
    )
    with client(served, paying) as asks, pytest.raises(openai.UnprocessableEntityError, match="usd_per_mtok_in"):
        ask(asks, "unpriced")
    with client(served, free) as asks:
        assert "x-waypost-cost" not in ask(asks, "unpriced").headers


@pytest.mark.parametrize("stream", [False, True])
async def test_many_parallel_requests_never_overspend_a_budget(serve, pool, secret, stream) -> None:
    key = secret(limits=Limits(usd=0.06, per="total"))
    served = serve(pool("ok", top=REQUIRED))
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0, timeout=60) as asks:

        async def call() -> bool:
            options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
            try:
                answer = await asks.chat.completions.create(model="ok", messages=HELLO, max_tokens=4000, **options)
                if stream:
                    async for _ in answer:
                        pass
            except openai.RateLimitError as error:
                assert error.code == "insufficient_quota"
                return False
            return True

        paid = sum(await asyncio.gather(*(call() for _ in range(110))))
    assert paid >= 10
    assert paid * COST <= 0.06 + 1e-9
    booked = [row["usd"] for row in rows(served) if row["status"] == 200]
    assert booked == [COST] * paid


def test_a_client_that_leaves_in_the_middle_has_paid_for_what_was_read_and_written(
    serve, pool, upstream, secret
) -> None:
    key = secret(limits=Limits(usd=1.0, per="total"))
    served = serve(pool("hang-midway", top=REQUIRED))
    with client(served, key) as asks:
        stream = asks.chat.completions.create(
            model="hang-midway", messages=[{"role": "user", "content": "word " * 3000}], stream=True
        )
        next(iter(stream))
        stream.close()
    assert upstream.gone.get(timeout=30) == "hang-midway"
    limiter = served.gateway._reloading.built.app.serving.access.limiter
    accounts = [scope.account for scope in limiter._scopes.values() if scope.account is not None]
    for _ in range(1000):
        row = rows(served)
        if row:
            break
    assert row[0]["status"] == 499
    assert 0.004 < row[0]["usd"] < 0.006, "5,000 tokens at 1 USD a million, and a few words"
    assert [(a.reserved, a.spent / 1e9) for a in accounts] == [(0, pytest.approx(row[0]["usd"], abs=1e-8))]


def test_tokens_of_every_kind_are_paid_at_their_own_price(serve, upstream, secret) -> None:
    key = secret(limits=Limits(usd=1.0, per="total"))
    served = serve(
        f"models: [{{name: ok, kind: openai, base_url: '{upstream.url}', api_key: '${{KEY}}', usd_per_mtok_in: 2, "
        f"usd_per_mtok_cached: 0.5, usd_per_mtok_out: 8, usd_per_mtok_reasoning: 10}}]\n{REQUIRED}"
    )
    with client(served, key) as asks:
        cost = float(ask(asks).headers["x-waypost-cost"])
    assert cost == pytest.approx((500 * 2 + 500 * 0.5 + 2000 * 8) / 1e6)
    limiter = served.gateway._reloading.built.app.serving.access.limiter
    assert [s.account.spent for s in limiter._scopes.values()] == [round(cost * 1e9)]


def test_keys_cannot_be_forgotten_where_others_can_reach_the_server(serve, pool, secret) -> None:
    from waypost.errors import BadConfig

    with pytest.raises(BadConfig, match=r"listens on 0\.0\.0\.0, where others can reach it"):
        serve(pool("ok") + "\nserver: {port: 0, host: 0.0.0.0}")
    served = serve(pool("ok") + "\nkeys: off\nserver: {port: 0, host: 0.0.0.0}")
    assert b"200" in served.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").split(b"\r\n")[0]
    key = secret()
    guarded = serve(pool("ok") + "\nkeys: required\nserver: {port: 0, host: 0.0.0.0}")
    assert b"401" in guarded.raw(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").split(b"\r\n")[0]
    http, ready = guarded.client._client, f"http://127.0.0.1:{guarded.port}/health/ready"
    assert http.get(ready).json() == {"status": "ready"}
    assert http.get(ready, headers={"x-api-key": key}).json()["ready"] == ["ok"]


def test_with_optional_keys_nobody_may_ask_and_a_wrong_key_may_not(serve, pool, secret) -> None:
    secret()
    served = serve(pool("ok", top="router: cheapest\nkeys: optional"))
    body = json.dumps({"model": "ok", "messages": HELLO}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(body)
    assert b"200" in served.raw(head + b"\r\n" + body).split(b"\r\n")[0]
    assert b"401" in served.raw(head + b"authorization: Bearer wp-wrong\r\n\r\n" + body).split(b"\r\n")[0]


def test_two_gateways_on_one_redis_keep_one_budget_and_one_rate(serve, pool, secret, redis_url) -> None:
    key = secret(limits=Limits(usd=0.008, per="total", requests_per_minute=3))
    text = pool("ok", top=f"{REQUIRED}\nlimits: {{redis: '{redis_url}'}}")
    gateways = [serve(text), serve(text)]
    links = [made.gateway._reloading.built.app.serving.access.limiter.link for made in gateways]
    assert all(link.up for link in links)
    for link in links:
        link.wait = 10.0  # a slow machine is not taken for a dead Redis
    with client(gateways[0], key) as one, client(gateways[1], key) as other:
        assert ask(one, max_tokens=2000).headers["x-ratelimit-remaining-requests"] == "2"
        assert ask(other, max_tokens=2000).headers["x-ratelimit-remaining-requests"] == "1"
        with pytest.raises(openai.RateLimitError) as told:
            ask(one, max_tokens=4000)
        assert told.value.code == "insufficient_quota"
        with pytest.raises(openai.RateLimitError) as told:
            ask(other)
        assert told.value.code == "rate_limit_exceeded"


def test_a_redis_that_is_away_is_told_of_and_keeps_nobody_from_serving(serve, pool, redis_url, tmp_path) -> None:
    def said(redis: str) -> tuple[dict[str, Any], str]:
        served = serve(pool("ok", top=f"router: cheapest\nlimits: {{redis: '{redis}'}}"))
        http = served.client._client
        ready = http.get(f"{served.url}/health/ready")
        assert ready.status_code == 200
        return ready.json(), http.get(f"{served.url}/metrics").text

    ready, metrics = said(f"unix://{tmp_path}/nobody.sock")
    assert ready["limits"] == "Redis does not answer: this process keeps limits by itself until it does"
    assert "\nwaypost_redis_up 0\n" in metrics
    assert "\nwaypost_redis_untold 0\n" in metrics
    ready, metrics = said(redis_url)
    assert "limits" not in ready
    assert "\nwaypost_redis_up 1\n" in metrics


def test_nothing_is_ready_as_long_as_no_key_could_be_read(serve, pool) -> None:
    served = serve(pool("ok", top=REQUIRED) + "\nstore: postgresql://nobody:secret@127.0.0.1:9/none")
    told = served.client._client.get(f"{served.url}/health/ready")
    assert told.status_code == 503 and told.json()["status"] == "not ready"
    assert told.json()["keys"].startswith("no key could be read yet") and told.json()["ready"] == ["ok"]
    open_to_all = pool("ok", top=REQUIRED) + "\nserver: {port: 0, host: 0.0.0.0}"
    guarded = serve(open_to_all + "\nstore: postgresql://nobody:secret@127.0.0.1:9/none")
    told = guarded.client._client.get(f"http://127.0.0.1:{guarded.port}/health/ready")
    assert told.status_code == 503 and set(told.json()) == {"status", "keys"}


def reload(served, tmp_path: Path, text: str):
    (tmp_path / "waypost.yaml").write_text(text + "\nserver: {port: 0}\n")
    return served.gateway.reload()


def test_a_reload_knows_the_keys_also_while_the_store_is_away(serve, pool, secret, tmp_path, monkeypatch) -> None:
    def away(self) -> dict[str, Any]:
        raise StoreDown("away")

    key = secret()
    text = pool("ok", top=REQUIRED) + "\nstore: waypost.sqlite"
    served = serve(text)
    monkeypatch.setattr(KeyStore, "find_all", away)
    assert reload(served, tmp_path, text + "\nlog_prompts: true").result(30)
    with client(served, key) as one:
        assert ask(one).status_code == 200


def test_keys_of_another_store_are_read_before_it_takes_over(serve, pool, secret, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("waypost.gateway.callers.doors._START_SECONDS", 30.0)
    key = secret()
    database = Database(tmp_path / "other.sqlite")
    _, other = KeyStore(database).create("desk")
    database.close()
    text = pool("ok", top=REQUIRED)
    served = serve(text + "\nstore: waypost.sqlite")
    asked, go_on, find_all = threading.Event(), threading.Event(), KeyStore.find_all

    def slowly(self) -> dict[str, Any]:
        asked.set()
        go_on.wait(30)
        return find_all(self)

    monkeypatch.setattr(KeyStore, "find_all", slowly)
    done = reload(served, tmp_path, text + "\nstore: other.sqlite")
    assert asked.wait(30)
    with client(served, key) as one, client(served, other) as two:
        assert ask(one).status_code == 200
        go_on.set()
        assert done.result(30)
        assert ask(two).status_code == 200
