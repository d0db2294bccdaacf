"""What is tried again, for how long, and what the client hears in the end."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import openai
import pytest

from waypost.errors import Declined, ModelFailed, ModelTimeout, ProviderRefused
from waypost.gateway.calls.breaker import Breaker
from waypost.gateway.calls.reliable import Reliable, patient, states
from waypost.gateway.sections.reliability import BreakerSettings, ReliabilitySettings
from waypost.types import Answer, Delta, ModelCard, Query

HELLO = [{"role": "user", "content": "What is the capital of France?"}]
QUICK = "router: cheapest\nreliability: {first_wait_seconds: 0.01}"


def status(code: int, **more) -> ModelFailed:
    return ModelFailed(f"HTTP {code}", upstream=code, kind="status", **more)


LOST = ModelFailed("lost", kind="lost")
OK = Answer("m", "hi")
ROLE = Delta("", {"choices": [{"index": 0, "delta": {"role": "assistant"}}]})


class Script:
    """A model that does what the script says, try by try; every try is a list of pieces and errors."""

    card = ModelCard("m")

    def __init__(self, *tries) -> None:
        self.tries = [step if isinstance(step, list) else [step] for step in tries]
        self.made = 0
        self.closed = 0
        self.waiting = asyncio.Event()

    async def stream(self, query):
        self.made += 1
        try:
            for step in self.tries.pop(0):
                if isinstance(step, asyncio.Event):
                    self.waiting.set()
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed += 1

    async def complete(self, query):
        async for piece in self.stream(query):
            if isinstance(piece, Answer):
                return piece

    async def ready(self):
        return None

    async def close(self) -> None:
        return None


def reliable(*tries, breaker=None, **settings) -> Reliable:
    known = ReliabilitySettings(**{"first_wait_seconds": 0.001, **settings})
    return Reliable(Script(*tries), Breaker("m", breaker or known.breaker), Breaker("provider", known.breaker), known)


async def call(model, stream: bool) -> list:
    if not stream:
        return [await model.complete(Query.of("hi"))]
    return [piece async for piece in model.stream(Query.of("hi"))]


either = pytest.mark.parametrize("stream", [False, True])


@either
@pytest.mark.parametrize(
    "error",
    [
        ModelFailed("refused", kind="connect"),
        LOST,
        ModelFailed("<html>", kind="garbage"),
        ModelFailed("an error inside", kind="status"),
        *map(status, (408, 409, 425, 429, 500, 502, 503, 529)),
    ],
    ids=str,
)
async def test_what_may_go_well_the_next_time_is_tried_twice_more(error, stream):
    model = reliable(error, error, OK)
    assert (await call(model, stream))[-1] == OK
    assert (model.model.made, model.retries) == (3, 2)
    hopeless = reliable(*[error] * 4)
    with pytest.raises(ModelFailed) as told:
        await call(hopeless, stream)
    assert told.value is error
    assert hopeless.model.made == 3


@either
@pytest.mark.parametrize("code", [400, 404, 413, 422])
async def test_the_client_s_own_fault_is_told_at_once_and_is_no_failure_of_the_model(code, stream):
    model = reliable(*[status(code)] * 10)
    for _ in range(10):
        with pytest.raises(ModelFailed) as told:
            await call(model, stream)
        assert told.value.upstream == code
    assert model.model.made == 10
    assert states({"m": model}) == {"m": "closed", "provider": "closed"}


@either
async def test_a_silent_model_has_cost_its_time_already_and_is_not_tried_again_unless_configured(stream):
    silent = ModelTimeout("nothing came", kind="late")
    model = reliable(silent, OK)
    with pytest.raises(ModelTimeout):
        await call(model, stream)
    assert model.model.made == 1
    assert (await call(reliable(silent, OK, retry_timeouts=True), stream))[-1] == OK


async def test_after_the_first_piece_nothing_is_tried_again_and_a_role_is_no_piece():
    model = reliable([Delta("a "), LOST], OK)
    pieces = []
    with pytest.raises(ModelFailed):
        async for piece in model.stream(Query.of("hi")):
            pieces.append(piece)
    assert (pieces, model.model.made) == ([Delta("a ")], 1)
    assert await call(reliable([ROLE, LOST], [ROLE, Delta("b"), OK]), True) == [ROLE, Delta("b"), OK]


@either
async def test_a_wait_that_the_provider_asks_for_is_kept_when_it_is_short(stream):
    model = reliable(status(429, retry_after=0.05), OK)
    began = time.monotonic()
    assert (await call(model, stream))[-1] == OK
    assert time.monotonic() - began >= 0.05


@either
async def test_a_long_wait_is_for_the_last_candidate_alone(stream):
    busy = status(429, retry_after=0.2)
    model = reliable(busy, busy, OK, patience_seconds=0.1)
    with pytest.raises(ModelFailed) as told:
        await call(model, stream)
    assert (told.value.retry_after, model.model.made) == (0.2, 1)
    last = patient({"m": model, "other": model}, "m")["m"]
    assert (await call(last, stream))[-1] == OK


@either
async def test_no_try_begins_after_the_budget(stream):
    model = reliable(status(429, retry_after=7.0), OK, budget_seconds=5.0)
    began = time.monotonic()
    with pytest.raises(ModelFailed) as told:
        await call(patient({"m": model}, "m")["m"], stream)
    assert time.monotonic() - began < 1
    assert told.value.retry_after == 7.0


@either
async def test_who_is_told_to_slow_down_is_told_so_by_the_breaker_too(stream):
    model = reliable(*[status(429)] * 9)
    for _ in range(4):
        with pytest.raises(ModelFailed) as told:
            await call(model, stream)
    assert (told.value.kind, told.value.upstream, told.value.retry_after) == ("rest", 429, pytest.approx(15, abs=1))


@either
async def test_a_refused_key_is_alerted_once_and_rests_all_models_of_that_key(stream, caplog):
    first = reliable(status(401), OK)
    second = Reliable(Script(OK), Breaker("other", BreakerSettings()), first.provider)
    with pytest.raises(ProviderRefused, match="refuses the gateway's own key") as told:
        await call(first, stream)
    assert (told.value.status, told.value.code, first.refused) == (502, "provider_auth", 1)
    for model in (first, second):
        with pytest.raises(ModelFailed, match="provider is resting after HTTP 401"):
            await call(model, stream)
        assert "resting" in await model.ready()
    assert (first.model.made, second.model.made) == (1, 0)
    assert sorted(record.levelname for record in caplog.records) == ["ERROR", "WARNING"]
    assert "rests for 15 s after HTTP 401" in caplog.text


@either
@pytest.mark.parametrize("code", [402, 403])
async def test_one_forbidden_request_is_not_tried_again_but_closes_the_model_to_nobody(code, stream):
    # Some providers answer so to a single request, by which one client could lock all others out.
    model = reliable(status(code), OK)
    with pytest.raises(ProviderRefused):
        await call(model, stream)
    assert (await call(model, stream))[-1] == OK


@either
async def test_a_model_that_keeps_failing_rests_and_the_tries_end_there(stream):
    model = reliable(*[LOST] * 9, breaker=BreakerSettings(failures=4))
    for made in (3, 4):
        with pytest.raises(ModelFailed) as told:
            await call(model, stream)
        assert (told.value, model.model.made) == (LOST, made)
    with pytest.raises(ModelFailed, match="m is resting after a lost connection; next try in 15 s"):
        await call(model, stream)
    assert model.model.made == 4
    assert states({"m": model}) == {"m": "open", "provider": "closed"}


async def test_a_provider_that_cannot_be_reached_rests_with_all_its_models():
    first = reliable(*[ModelFailed("refused", kind="connect")] * 9)
    second = Reliable(Script(OK), Breaker("other", BreakerSettings()), first.provider)
    for _ in range(2):
        with pytest.raises(ModelFailed, match="refused"):
            await call(first, False)
    with pytest.raises(ModelFailed, match="provider is resting after no connection"):
        await call(second, False)


async def test_streams_that_all_break_half_way_open_the_breaker():
    model = reliable(*[[Delta("a"), LOST]] * 9)
    for _ in range(5):
        with pytest.raises(ModelFailed):
            await call(model, True)
    assert model.breaker.state == "open"


@either
async def test_what_cannot_be_sent_is_not_tried_again_and_counts_against_nobody(stream):
    model = reliable(*[ModelFailed("a header cannot be sent", kind="unsent")] * 9)
    for _ in range(9):
        with pytest.raises(ModelFailed, match="header"):
            await call(model, stream)
    assert (model.retries, model.breaker.state, model.provider.state) == (0, "closed", "closed")


@either
async def test_who_declines_has_not_failed(stream):
    model = reliable(*[Declined("not mine")] * 9)
    for _ in range(9):
        with pytest.raises(Declined):
            await call(model, stream)
    assert (model.model.made, model.breaker.state) == (9, "closed")


@either
async def test_a_probe_whose_client_leaves_frees_the_place_for_the_next(stream):
    never = asyncio.Event()
    model = reliable(*[LOST] * 1, [never], OK, breaker=BreakerSettings(failures=1, rest_seconds=0.0))
    with pytest.raises(ModelFailed):
        await call(model, stream)
    probe = asyncio.create_task(call(model, stream))
    await asyncio.wait_for(model.model.waiting.wait(), 5)
    with pytest.raises(ModelFailed, match="resting"):
        await call(model, stream)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert model.model.closed == 2, "the call upstream is closed when its client is gone"
    assert (await call(model, stream))[-1] == OK
    assert model.breaker.state == "closed"


# Through the gateway.


@either
def test_a_provider_that_refuses_our_key_is_a_502_of_its_own(serve, pool, upstream, stream, caplog):
    served = serve(pool("refused401", "other", top=QUICK))
    for told in range(2):
        with pytest.raises(openai.InternalServerError) as error:
            served.client.chat.completions.create(model="refused401", messages=HELLO, stream=stream)
        assert error.value.status_code == 502
        assert error.value.code == ("upstream_error" if told else "provider_auth")
    assert [seen["model"] for seen in upstream.seen] == ["refused401"]
    assert caplog.text.count("ALERT") == 1
    assert "sk-upstream" not in caplog.text + error.value.response.text
    page = served.client._client.get(f"{served.url}/metrics").text
    assert 'waypost_breaker_state{of="the provider of refused401"} 2' in page
    assert 'waypost_provider_auth_failures_total{model="refused401"} 1' in page
    ready = served.client._client.get(f"{served.url}/health/ready")
    assert "resting after HTTP 401; next try in" in ready.text


@either
def test_another_provider_answers_while_one_refuses_our_key(serve, pool, stream):
    text = pool("refused401", "good", top=QUICK)
    head, other = text.split("  - {name: good")
    served = serve(head + "  - {name: good" + other.replace("${KEY}", "${OTHER}"), {"KEY": "sk-one", "OTHER": "sk-two"})
    for _ in range(2):
        reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, stream=stream)
        assert reply.headers["x-waypost-attempts"] == "refused401=failed,good=ok"
        assert reply.parse() is not None


@either
def test_when_the_chosen_rests_the_next_answers_without_a_call(serve, pool, upstream, stream):
    served = serve(pool("error500", "good", top=QUICK))
    for _ in range(3):
        reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, stream=stream)
        assert reply.headers["x-waypost-attempts"] == "error500=failed,good=ok"
        assert reply.parse() is not None
    assert [seen["model"] for seen in upstream.seen].count("error500") == 5
    assert 'waypost_retries_total{model="error500"} 3' in served.client._client.get(f"{served.url}/metrics").text


GARBAGE = ["garbage", "truncated", "no-choices", "odd-choices", "error-in-200", "events-of-garbage"]
GARBAGE_EVENTS = [*GARBAGE, "events-of-odd-choices", "error-event"]


@pytest.mark.parametrize(
    ("bad", "stream"), [*((bad, False) for bad in GARBAGE), *((bad, True) for bad in GARBAGE_EVENTS)]
)
def test_garbage_with_a_200_is_never_passed_on(serve, pool, bad, stream):
    served = serve(pool(bad, "good", top=QUICK))
    chat = served.client.chat.completions
    reply = chat.with_raw_response.create(model="auto", messages=HELLO, stream=stream)
    assert reply.headers["x-waypost-attempts"] == f"{bad}=failed,good=ok"
    parts = list(reply.parse()) if stream else [reply.parse()]
    assert {part.model.removesuffix("-2026-11-01") for part in parts} == {"good"}
    with pytest.raises(openai.InternalServerError) as told:
        chat.create(model=bad, messages=HELLO, stream=stream)
    assert (told.value.status_code, told.value.code) == (502, "upstream_error")
    assert told.value.response.headers["content-type"] == "application/json"


def events(served, model: str) -> tuple[list[str], dict]:
    """The events of a stream as they are sent, and the row of its request."""
    body = {"model": model, "messages": HELLO, "stream": True}
    with served.client._client.stream("POST", f"{served.url}/v1/chat/completions", json=body) as reply:
        assert reply.status_code == 200
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line]
        decision = reply.headers["x-waypost-decision"]
    return lines, served.client._client.get(f"{served.url}/v1/decisions/{decision}").json()


@pytest.mark.parametrize(
    ("bad", "code", "status"),
    [("cut", "upstream_error", 502), ("error-midway", "upstream_error", 502), ("hang-midway", "upstream_timeout", 504)],
)
def test_a_stream_that_fails_half_way_ends_with_one_typed_error_and_no_done(serve, pool, bad, code, status):
    served = serve(pool(bad, "good", top=QUICK).replace("api_key", "idle_timeout: 0.3, api_key"))
    lines, row = events(served, "auto")
    error = json.loads(lines[-1])["error"]
    assert (error["code"], error["type"], set(error)) == (code, "server_error", {"message", "type", "param", "code"})
    assert "[DONE]" not in lines
    assert not [line for line in lines[:-1] if "error" in json.loads(line)]
    assert [(attempt["model"], attempt["outcome"]) for attempt in row["attempts"]] == [(bad, "cut")]


@pytest.mark.parametrize(("stream", "limit"), [(True, "first_byte_timeout"), (False, "timeout")])
def test_a_silent_model_is_left_for_the_next_after_its_time(serve, pool, upstream, stream, limit):
    served = serve(pool("hang", "good", top=QUICK).replace("name: hang,", f"name: hang, {limit}: 0.3,"))
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO, stream=stream)
    assert reply.headers["x-waypost-attempts"] == "hang=failed,good=ok"
    assert reply.parse() is not None
    assert upstream.gone.get(timeout=10) == "hang", "the silent call is closed"
    with pytest.raises(openai.InternalServerError) as told:
        served.client.chat.completions.create(model="hang", messages=HELLO, stream=stream)
    assert (told.value.status_code, told.value.code) == (504, "upstream_timeout")


@either
def test_a_client_that_leaves_has_its_call_cancelled_within_a_tenth_of_a_second(serve, pool, upstream, stream):
    served = serve(pool("hang"))
    body = json.dumps({"model": "hang", "messages": HELLO, "stream": stream}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    taken = []
    for _ in range(5):
        with socket.create_connection((served.host, served.port), timeout=30) as connection:
            connection.sendall(head + body)
            assert upstream.began.get(timeout=30) == "hang"
        left = time.monotonic()
        assert upstream.gone.get(timeout=10) == "hang"
        taken.append(time.monotonic() - left)
    assert min(taken) < 0.1


def test_no_field_of_a_request_sends_a_call_elsewhere(serve, pool, upstream):
    served = serve(pool("small", "large", top=QUICK))
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.3)
        elsewhere = f"http://127.0.0.1:{trap.getsockname()[1]}/v1"
        names = "api_base base_url endpoint url host proxy azure_endpoint provider litellm_params custom_llm_provider"
        names += " user_config extra_body extra_headers organization api_version client model_info fallbacks metadata"
        lures = {name: elsewhere for name in names.split()} | {"api_key": "sk-theirs", "authorization": "sk-theirs"}
        for name, lure in lures.items():
            for fields in ({name: lure}, {"metadata": {name: lure}}, {"user_config": lures}, {"vendor": [lures]}):
                for model in ("auto", "large"):
                    body = {"model": model, "messages": HELLO, **fields}
                    reply = served.client._client.post(
                        f"{served.url}/v1/chat/completions", json=body, headers={"x-base-url": elsewhere}
                    )
                    refused = not {"api_base", "base_url", "api_key", "user_config"}.isdisjoint(fields)
                    refused = refused or not {"extra_body", "extra_headers"}.isdisjoint(fields)
                    assert reply.status_code == (400 if refused else 200), (fields, reply.text)
        with pytest.raises(TimeoutError):
            trap.accept()
    assert {seen["authorization"] for seen in upstream.seen} == {"Bearer sk-upstream-1234567890"}
