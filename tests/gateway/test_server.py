"""From settings to a server: what is built, what is refused, and what is said."""

from __future__ import annotations

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from waypost import routers
from waypost.errors import BadConfig, BadInput, NotInstalled
from waypost.gateway.plan import _long
from waypost.gateway.server import Gateway
from waypost.gateway.settings import load
from waypost.outcomes import Outcomes, example_table

EXPERT = "  - {name: arithmetic, kind: arithmetic}\n"


@pytest.fixture
def built(tmp_path: Path):
    """What a gateway would say of itself, or why it does not start."""

    def build(text: str):
        config = tmp_path / "waypost.yaml"
        config.write_text(text + "\nserver: {port: 0}")
        gateway = Gateway(load(config, {}), lambda _: None)
        gateway._socket.close()
        return gateway.about

    return build


def saved_router(folder: Path) -> Path:
    routers.save(routers.make("best_single").fit(example_table()), folder)
    return folder


def saved_head(folder: Path, head: str = "cascade", **settings: object) -> Path:
    table = example_table(40)
    answered = [replace(row, answer=f"{row.model} says so", tokens_out=3) for row in table.rows()]
    routers.save(routers.make(head, **settings).fit(Outcomes.from_rows(answered)), folder)
    return folder


def pool_of(*names: str) -> str:
    """Models of those names, none of which is called."""
    rows = "".join(f"  - {{name: {n}, kind: openai, base_url: 'http://127.0.0.1:9/v1'}}\n" for n in names)
    return f"models:\n{rows}"


def test_a_port_in_use_is_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "waypost.yaml"
        config.write_text(f"models:\n{EXPERT}router: cheapest\nserver: {{port: {port}}}")
        with pytest.raises(BadInput, match=rf"cannot listen on 127\.0\.0\.1 port {port}: Address already in use; stop"):
            Gateway(load(config, {}), lambda _: None)


def test_an_address_that_is_not_ours_is_refused(tmp_path):
    config = tmp_path / "waypost.yaml"
    config.write_text(f"models:\n{EXPERT}router: cheapest\nserver: {{host: 192.0.2.1, port: 0}}")
    with pytest.raises(BadInput, match=r"cannot listen on 192\.0\.2\.1"):
        Gateway(load(config, {}), lambda _: None)


def test_a_router_that_was_trained_is_served_and_knows_whom_it_cannot_choose(built, tmp_path):
    folder = saved_router(tmp_path / "router")
    about = built(pool_of("large", "maths-expert", "mine") + f"router: {folder}")
    assert (about.router, about.strategy, about.unchosen) == (str(folder), "single", ("mine",))


def test_a_router_that_knows_none_of_the_models_is_refused(built, tmp_path):
    folder, head = saved_router(tmp_path / "router"), saved_head(tmp_path / "head")
    with pytest.raises(BadConfig, match=r"yaml:4: .*router knows tiny, .* none of the models here, which are a, b"):
        built(pool_of("a", "b") + f"router: {folder}")
    with pytest.raises(BadConfig, match=r"yaml:4: .*head knows .* none of the models here"):
        built(pool_of("a") + f"strategy: cascade\nhead: {head}")


def test_a_profile_goes_on_without_the_optional_models_that_cannot_be_called(serve):
    served = serve(
        f"models:\n{EXPERT}  - {{name: keyless, kind: openai, api_key: '${{NOPE}}', optional: true}}\n"
        "router: cheapest\nprofiles: {default: {allowed: [arithmetic, keyless]}}"
    )
    sums = [{"role": "user", "content": "What is 2 + 2?"}]
    assert served.client.chat.completions.create(model="auto", messages=sums).model == "arithmetic"


def test_without_a_wish_the_router_is_one_that_knows_the_whole_pool(built):
    assert built(pool_of("mine", "yours")).router == "cheapest"


def test_a_saved_router_that_is_missing_says_what_makes_one(built, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotInstalled, match="waypost train"):
        built(pool_of("a") + "router: empty")


@pytest.mark.parametrize(("head", "settings"), [("cascade", {}), ("safe_route", {"units": 4, "epochs": 2})])
def test_a_cascade_is_served_from_its_head(built, tmp_path, head, settings):
    folder = saved_head(tmp_path / "head", head, **settings)
    about = built(pool_of("tiny", "large") + f"strategy: cascade\nhead: {folder}")
    assert (about.strategy, about.unchosen) == ("cascade", ())


def test_a_head_is_no_router_and_a_router_is_no_head(built, tmp_path):
    head, router = saved_head(tmp_path / "head"), saved_router(tmp_path / "router")
    with pytest.raises(BadConfig, match="holds a cascade's head"):
        built(pool_of("large") + f"router: {head}")
    with pytest.raises(BadConfig, match="holds a router"):
        built(pool_of("large") + f"strategy: cascade\nhead: {router}")


def test_a_setting_that_a_model_refuses_is_told_with_its_line(built):
    with pytest.raises(BadConfig, match=r"yaml:2: model 'a': .*base_url must begin with http"):
        built("models:\n  - {name: a, kind: openai, base_url: 'ftp://x'}")


def test_a_pool_of_nobody_is_refused(built):
    with pytest.raises(BadConfig, match=r"no model can be called \(a: the environment variable NOPE is not set"):
        built("models:\n  - {name: a, kind: openai, api_key: '${NOPE}', optional: true}")


def test_a_store_that_cannot_be_used_is_refused(built):
    with pytest.raises(BadConfig, match="cannot be used"):
        built(f"models:\n{EXPERT}router: cheapest\nstore: none/rows.sqlite")


@pytest.mark.parametrize("keep", [False, True])
def test_prompts_are_kept_only_when_the_config_says_so(serve, tmp_path, keep):
    served = serve(f"models:\n{EXPERT}router: cheapest\nlog_prompts: {str(keep).lower()}")
    secret = [{"role": "user", "content": "What is 12345 + 54321?"}]
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=secret)
    told = served.client._client.get(f"{served.url}/v1/decisions/{reply.headers['x-waypost-decision']}").json()
    assert told["prompt_sha256"] == hashlib.sha256(secret[0]["content"].encode()).hexdigest()
    assert told["prompt"] == (secret[0]["content"] if keep else None)
    stored = b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "waypost.yaml"
    )
    assert (b"12345 + 54321" in stored) == keep


def test_two_gateways_may_share_a_store(serve, tmp_path):
    text = f"models:\n{EXPERT}router: cheapest\nstore: {tmp_path}/shared.sqlite"
    first, second = serve(text), serve(text)
    question = [{"role": "user", "content": "What is 2 + 2?"}]
    chats = (gateway.client.chat.completions.with_raw_response for gateway in (first, second))
    replies = [chat.create(model="auto", messages=question) for chat in chats]
    for reply, own, other in zip(replies, (first, second), (second, first), strict=True):
        path = f"/v1/decisions/{reply.headers['x-waypost-decision']}"
        # Its own gateway waits until the row is on disk, from where the other one reads it.
        assert own.client._client.get(own.url + path).json()["stored"]
        assert other.client._client.get(other.url + path).json()["served"] == "arithmetic"


def test_a_small_packet_is_not_held_back(serve):
    """Nagle's algorithm would add 40 ms to the first token of every stream."""
    served = serve(f"models:\n{EXPERT}router: cheapest")
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        for connection in served.gateway.server_state.connections:
            peer = connection.transport.get_extra_info("socket")
            seen.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        done.set()

    with socket.create_connection((served.host, served.port)) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.recv(100)
        next(iter(served.gateway.server_state.connections)).loop.call_soon_threadsafe(look)
        assert done.wait(30)
    assert seen and all(seen)


def test_the_real_small_model_streams_through_the_stock_client(serve, smollm2):
    models = f"models:\n{EXPERT}  - {{name: smollm2-135m, kind: gguf, path: '{smollm2}'}}\nrouter: cheapest"
    served = serve(models)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    with served.client.chat.completions.with_streaming_response.create(
        model="auto", messages=question, stream=True, max_tokens=40, stream_options={"include_usage": True}
    ) as reply:
        assert reply.headers["x-waypost-attempts"] == "arithmetic=declined,smollm2-135m=ok"
        *pieces, last = list(reply.parse())
    assert "Paris" in "".join(c.choices[0].delta.content or "" for c in pieces)
    assert len(pieces) > 3, "it came in pieces"
    assert last.usage.completion_tokens > 3
    assert served.client._client.get(f"{served.url}/health/ready").json()["ready"] == ["arithmetic", "smollm2-135m"]


def test_the_real_small_model_s_file_missing_is_no_reason_not_to_answer(serve, tmp_path):
    served = serve(
        f"models:\n{EXPERT}  - {{name: lost, kind: gguf, path: '{tmp_path}/none.gguf', usd_per_mtok_in: 0, "
        "usd_per_mtok_out: 0}\nrouter: cheapest"
    )
    sums = [{"role": "user", "content": "What is 2 + 2?"}]
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=sums)
    assert reply.headers["x-waypost-attempts"] == "lost=failed,arithmetic=ok"
    with pytest.raises(openai.InternalServerError, match=r"none\.gguf is missing"):
        served.client.chat.completions.create(model="lost", messages=sums)


def test_a_long_decision_keeps_nobody_else_waiting(serve, pool, tmp_path, monkeypatch):
    saved_router(tmp_path / "router")
    predict, reading, go = routers.BestSingle.predict, threading.Event(), threading.Event()

    def reads_long(self, prompts):
        if prompts[0] == "Hi":
            reading.set()
            assert go.wait(30)
        return predict(self, prompts)

    monkeypatch.setattr(routers.BestSingle, "predict", reads_long)
    monkeypatch.setattr("waypost.gateway.plan._LONG_SECONDS", 0.0)
    gateway = serve(pool("tiny", "maths-expert", "large", top="router: router"))
    hello = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(lambda: gateway.client.chat.completions.create(**hello))
        assert reading.wait(30)
        assert gateway.raw(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 200")
        go.set()
        assert asked.result(30).choices


def test_a_quick_router_decides_where_it_is():
    assert not _long(routers.make("ridge").fit(example_table(60)))
