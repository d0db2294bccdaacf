"""Paths, limits and abuse, over raw sockets where clients would not misbehave enough."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import threading
import time
from contextlib import closing
from http.client import HTTPConnection

import openai
import orjson
import pytest

from waypost.store import Decided, Writer
from waypost.types import Decision

HELLO = [{"role": "user", "content": "Hi"}]


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: x", *headers]
    if body and not any(h.startswith("content-length") for h in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def parsed(reply: bytes) -> tuple[int, dict[str, str], dict]:
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), json.loads(body) if body else {}


@pytest.fixture
def expert(serve):
    return serve(
        "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\nserver: {port: 0, max_body_bytes: 2000}"
    )


@pytest.mark.parametrize(
    ("sent", "status", "code", "says"),
    [
        (request("GET", "/nope"), 404, "not_found", "nothing lives at /nope"),
        (request("POST", "/v1/chat/completion", b"{}"), 404, "not_found", "Did you mean '/v1/chat/completions'"),
        (request("GET", "/v1/chat/completions"), 405, "method_not_allowed", "takes POST, got GET"),
        (request("POST", "/v1/models", b"{}"), 405, "method_not_allowed", "takes GET, got POST"),
        # Not the word of the client, which may be of any length.
        (request("POST", "/v1/decisions/abc", b"{}"), 405, "method_not_allowed", "/v1/decisions/{id} takes GET"),
        (request("POST", "/v1/chat/completions", b"{"), 400, "invalid_request_error", "must be JSON"),
        (request("POST", "/v1/chat/completions", b"[" * 1900), 400, "invalid_request_error", "must be JSON"),
        (request("POST", "/v1/chat/completions", b'{"model": 5}'), 400, "invalid_request_error", "'model' must be"),
        (request("GET", "/v1/decisions/unknown"), 404, "not_found", "no decision 'unknown'"),
    ],
)
def test_every_refusal_has_openai_s_shape(expert, sent, status, code, says):
    got, headers, body = parsed(expert.raw(sent))
    assert (got, body["error"]["code"]) == (status, code)
    assert says in body["error"]["message"]
    assert headers["content-type"] == "application/json"
    assert "server" not in headers


def test_the_wrong_method_is_told_the_right_one(expert):
    assert parsed(expert.raw(request("GET", "/v1/chat/completions")))[1]["allow"] == "POST"
    assert parsed(expert.raw(request("POST", "/v1/models", b"{}")))[1]["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v1/models", "/metrics"])
def test_head_is_answered_as_get_is_but_without_a_body(expert, path):
    connection = HTTPConnection(expert.host, expert.port, timeout=30)
    with closing(connection):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.request("GET", path)
        assert connection.getresponse().read(), "the connection goes on"


def test_one_model_is_told_of_by_its_name(expert):
    listed = {row.id: row for row in expert.client.models.list()}
    assert set(listed) >= {"auto", "arithmetic"}
    for name, row in listed.items():
        assert expert.client.models.retrieve(name) == row
    with pytest.raises(openai.NotFoundError, match="Did you mean 'arithmetic'"):
        expert.client.models.retrieve("aritmetic")


def test_the_field_is_named(expert):
    body = orjson.dumps({"model": "auto", "messages": HELLO, "temperature": "hot"})
    _, _, reply = parsed(expert.raw(request("POST", "/v1/chat/completions", body)))
    assert reply["error"]["param"] == "temperature"


def test_an_unknown_model_is_a_404_with_the_nearest_name(expert):
    with pytest.raises(openai.NotFoundError, match="Did you mean 'arithmetic'"):
        expert.client.chat.completions.create(model="aritmetic", messages=HELLO)


def test_a_body_that_declares_too_much_is_refused_before_it_is_sent(expert):
    # Nothing of the body is ever sent, so an answer shows that none of it was waited for.
    status, headers, body = parsed(expert.raw(request("POST", "/v1/chat/completions", b"", "content-length: 60000000")))
    assert (status, headers["connection"], body["error"]["code"]) == (413, "close", "request_too_large")


def test_a_body_that_hides_its_length_is_refused_when_it_grows_too_large(expert):
    chunk = b"%x\r\n%s\r\n" % (1500, b"x" * 1500)
    head = request("POST", "/v1/chat/completions", b"", "transfer-encoding: chunked")
    assert parsed(expert.raw(head + chunk + chunk))[0] == 413


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        request("POST", "/v1/chat/completions", b"{}", "content-length: 2", "transfer-encoding: chunked"),
        request("POST", "/v1/chat/completions", b"{}", "content-length: two"),
    ],
)
def test_what_is_not_http_is_answered_and_closed(expert, sent):
    with socket.create_connection((expert.host, expert.port), timeout=30) as connection:
        connection.sendall(sent)
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 400")


def test_a_client_that_leaves_in_the_middle_of_its_body_hurts_nobody(expert):
    with socket.create_connection((expert.host, expert.port), timeout=30) as connection:
        connection.sendall(request("POST", "/v1/chat/completions", b"{", "content-length: 100"))
    assert parsed(expert.raw(request("GET", "/health/live")))[0] == 200


def test_more_than_the_limit_at_once_is_refused_and_told_when_to_come_back(serve, pool, upstream, caplog):
    top = "router: cheapest\nlogs: {requests: errors}\nserver: {port: 0, max_in_flight: 1}"
    caplog.set_level("INFO", "waypost.requests")
    served = serve(pool("stepwise", top=top))
    chat = served.client.chat.completions
    stream = iter(chat.create(model="auto", messages=HELLO, stream=True))
    next(stream)
    with pytest.raises(openai.InternalServerError) as told:
        chat.create(model="auto", messages=HELLO)
    assert (told.value.status_code, told.value.response.headers["retry-after"]) == (503, "1")
    assert [line for line in caplog.messages if "overloaded" in line] == ["request api=chat status=503 code=overloaded"]
    with pytest.raises(openai.InternalServerError, match="1 requests are under way"):
        served.client.post("/explain", body={"model": "auto", "messages": HELLO}, cast_to=object)
    upstream.go_on.set()
    list(stream)
    assert list(chat.create(model="auto", messages=HELLO, stream=True)), "there is room again"


def test_a_bug_is_a_clean_500(expert, caplog):
    def broken(query, objective):
        raise ZeroDivisionError("secret detail")

    class Broken:
        name = "broken"
        decide = staticmethod(broken)

    expert.gateway.config.app.built.app.serving.choosing.strategy = Broken()
    with pytest.raises(openai.InternalServerError) as told:
        expert.client.chat.completions.create(model="auto", messages=HELLO)
    assert told.value.status_code == 500
    assert "secret detail" not in told.value.response.text
    assert "ZeroDivisionError" in caplog.text


def test_metrics_count_requests_by_status_and_model(serve, pool):
    served = serve(pool("small"))
    chat = served.client.chat.completions
    chat.create(model="auto", messages=HELLO)
    chat.create(model="small", messages=HELLO)
    with pytest.raises(openai.BadRequestError):
        chat.create(model="auto", messages=[])
    page = served.client._client.get(f"{served.url}/metrics").text.splitlines()
    assert 'waypost_requests_total{api="chat",status="200",model="small"} 2' in page
    assert 'waypost_requests_total{api="chat",status="400",model="-"} 1' in page
    assert "waypost_requests_in_flight 0" in page
    assert "waypost_log_rows_dropped_total 0" in page


def test_rows_that_were_lost_are_counted_when_the_queue_is_empty_again(expert):
    writer = expert.gateway.config.app.built.app.serving.ledger.writer
    decision = Decision("cheapest", ("arithmetic",), {}, {}, {}, {}, {}, {}, "why")
    # A time that no calendar has cannot be stored.
    writer.put(Decided("d1", 1e300, "", None, "auto", decision, (), "arithmetic", 0.0, 0.1, 9, 5, 200))
    writer.settled().result(30)
    assert len(writer) == 0
    page = expert.client._client.get(f"{expert.url}/metrics").text.splitlines()
    assert "waypost_log_rows_dropped_total 1" in page


def test_a_decision_is_explained_in_full_and_takes_feedback(serve, pool):
    served = serve(pool("error500", "good"))
    http = served.client._client
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    decision = reply.headers["x-waypost-decision"]
    said = {"decision": decision, "quality": 0.5, "comment": "fine"}
    assert http.post(f"{served.url}/v1/feedback", json=said).json() == {"decision": decision, "stored": True}
    told = http.get(f"{served.url}/v1/decisions/{decision}").json()
    assert (told["tokens_in"], told["tokens_cached"], told["tokens_reasoning"]) == (1000, 500, 0)
    assert (told["stored"], told["status"], told["served"]) == (True, 200, "good")
    assert told["ranking"] == ["error500", "good"]
    assert [(a["model"], a["outcome"]) for a in told["attempts"]] == [("error500", "failed"), ("good", "ok")]
    assert set(told["predictions"]["good"]) == {"score", "quality", "usd", "seconds"}
    assert told["why"] and told["weights"]
    assert told["prompt"] is None and len(told["prompt_sha256"]) == 64
    assert [(f["quality"], f["comment"]) for f in told["feedback"]] == [(0.5, "fine")]


def test_a_store_that_is_stuck_slows_nobody_and_what_is_dropped_is_counted(serve, tmp_path):
    served = serve("models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\nstore: null")
    path = tmp_path / "stuck.sqlite"
    writer = Writer(path, spool_bytes=5_000)
    served.gateway.config.app.built.app.serving.ledger.writer = writer
    writer.settled().result(30)
    ask = [{"role": "user", "content": "What is 2 + 2?"}]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        seconds, dropped, begun = [], 0, time.perf_counter()
        # A few rows wait on disk, and the next is dropped.
        while not dropped and time.perf_counter() < begun + 20:
            start = time.perf_counter()
            served.client.chat.completions.create(model="auto", messages=ask)
            seconds.append(time.perf_counter() - start)
            page = served.client._client.get(f"{served.url}/metrics").text
            dropped = int(re.search(r"^waypost_log_rows_dropped_total (\d+)$", page, re.MULTILINE)[1])
        other.execute("ROLLBACK")
    assert max(seconds) < 2, "SQLite itself would have waited for 30 s"
    assert dropped >= 1
    assert re.search(r"^waypost_log_queue_length [1-9]$", page, re.MULTILINE)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"decision": "nope", "quality": 1}, 404, None),
        ({"quality": 1}, 400, "decision"),
        ({"decision": "a", "quality": 2}, 400, "quality"),
        ({"decision": "a", "quality": True}, 400, "quality"),
        ({"decision": "a", "quality": 1, "comment": 3}, 400, "comment"),
        ({"decision": "a", "quality": 1, "coment": "x"}, 400, "coment"),
    ],
)
def test_feedback_that_cannot_be_kept_is_refused(expert, body, status, param):
    reply = expert.client._client.post(f"{expert.url}/v1/feedback", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)


def test_a_comment_without_end_is_refused(serve, pool):
    served = serve(pool("small"))
    said = {"decision": "a", "quality": 1, "comment": "x" * 10_001}
    reply = served.client._client.post(f"{served.url}/v1/feedback", json=said)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "comment")
    assert "at most 10,000 characters, got 10,001" in reply.json()["error"]["message"]


def test_without_a_store_decisions_are_remembered_and_feedback_is_refused(serve):
    served = serve("models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest\nstore: null")
    http = served.client._client
    ask = [{"role": "user", "content": "What is 2 + 2?"}]
    reply = served.client.chat.completions.with_raw_response.create(model="auto", messages=ask)
    decision = reply.headers["x-waypost-decision"]
    assert http.get(f"{served.url}/v1/decisions/{decision}").json()["stored"] is False
    refused = http.post(f"{served.url}/v1/feedback", json={"decision": decision, "quality": 1})
    assert refused.status_code == 503
    assert "no `store`" in refused.json()["error"]["message"]


def test_many_clients_at_once_each_get_their_own_answer(serve):
    served = serve("models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest")
    wrong: list[tuple[int, str]] = []

    def ask(number: int) -> None:
        question = [{"role": "user", "content": f"What is {number} + 1?"}]
        stream = served.client.chat.completions.create(model="auto", messages=question, stream=number % 2 == 0)
        if number % 2:
            text = stream.choices[0].message.content
        else:
            text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
        if text != str(number + 1):
            wrong.append((number, text))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ready_lists_who_cannot_serve_and_why(serve, pool, tmp_path):
    models = pool("small", top="router: cheapest").replace(
        "router:",
        f"  - {{name: lost, kind: gguf, path: '{tmp_path}/none.gguf'}}\n"
        "  - {name: dead, kind: openai, base_url: 'http://127.0.0.1:9/v1'}\n"
        "  - {name: keyless, kind: openai, api_key: '${NOT_SET}', optional: true}\nrouter:",
    )
    served = serve(models)
    reply = served.client._client.get(f"{served.url}/health/ready")
    told = reply.json()
    assert (reply.status_code, told["status"], told["ready"]) == (200, "ready", ["small"])
    assert "none.gguf" in told["not_ready"]["lost"]
    assert "127.0.0.1:9" in told["not_ready"]["dead"]
    assert told["not_ready"]["keyless"] == "the environment variable NOT_SET is not set"
    # Who asks for it is not sent off to look for a slip of the pen, and is not told of our variables.
    body = {"model": "keyless", "messages": [{"role": "user", "content": "Hi"}]}
    reply = served.client._client.post(f"{served.url}/v1/chat/completions", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_unavailable")
    assert "in this server's config and cannot be called there" in reply.text and "NOT_SET" not in reply.text


def test_nobody_ready_is_not_ready(serve):
    served = serve("models: [{name: dead, kind: openai, base_url: 'http://127.0.0.1:9/v1'}]\nrouter: cheapest")
    reply = served.client._client.get(f"{served.url}/health/ready")
    assert (reply.status_code, reply.json()["status"]) == (503, "not ready")
    assert served.client._client.get(f"{served.url}/health/live").status_code == 200
