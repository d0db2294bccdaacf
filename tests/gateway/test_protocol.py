"""What strangers may do to an open door, over raw sockets, and what they hear."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

HELLO = [{"role": "user", "content": "Hi"}]
CHAT = "/v1/chat/completions"
LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"


def request(path: str = CHAT, body: bytes = b"", *headers: str, method: str = "POST", host: str = "x") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *headers]
    if body and not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chat(model: str = "auto", **fields) -> bytes:
    return request(CHAT, json.dumps({"model": model, "messages": HELLO, **fields}).encode())


class Peer:
    """A connection to a gateway."""

    def __init__(self, served) -> None:
        self.socket = socket.create_connection((served.host, served.port), timeout=20)
        self.rest = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One whole answer with a length."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(status.split()[1]), headers, body

    def closed(self) -> bool:
        """Whether the gateway says nothing more and closes."""
        return self.rest == b"" and self.socket.recv(1) == b""

    def everything(self) -> bytes:
        while data := self.socket.recv(65536):
            self.rest += data
        return self.rest

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"closed after {self.rest!r}"
        self.rest += data


@pytest.fixture
def peers(serve):
    """Connections to a gateway with an expert behind it; settings of the server may be given."""
    made: list[Peer] = []

    def start(count: int = 1, text: str = "models: [{name: arithmetic, kind: arithmetic}]\nrouter: cheapest", **limits):
        settings = ", ".join(f"{name}: {value}" for name, value in {"port": 0, **limits}.items())
        served = serve(f"{text}\nserver: {{{settings}}}")
        made.extend(Peer(served) for _ in range(count))
        return (*made[-count:], served) if count > 1 else (made[-1], served)

    yield start
    for peer in made:
        peer.socket.close()


def refused(peer: Peer, status: int, code: str) -> str:
    """That the answer is an error of OpenAI's shape and the connection ends; its sentence."""
    got, headers, body = peer.answer()
    error = json.loads(body)["error"]
    assert (got, error["code"], headers["connection"]) == (status, code, "close")
    assert (headers["content-type"], set(error)) == ("application/json", {"message", "type", "param", "code"})
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert peer.closed()
    return error["message"]


BAD = {
    "no HTTP": b"GARBAGE\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303"),
    "a length and chunks": request(CHAT, b"0\r\n\r\n", "content-length: 5", "transfer-encoding: chunked"),
    "chunks and a length": request(CHAT, b"0\r\n\r\n", "transfer-encoding: chunked", "content-length: 5"),
    "two lengths": request(CHAT, b"{}", "content-length: 2", "content-length: 3"),
    "a list of lengths": request(CHAT, b"{}", "content-length: 2, 2"),
    "a signed length": request(CHAT, b"{}", "content-length: +2"),
    "a length of letters": request(CHAT, b"{}", "content-length: two"),
    "a length beyond measure": request(CHAT, b"{}", "content-length: 99999999999999999999999"),
    "another coding": request(CHAT, b"0\r\n\r\n", "transfer-encoding: gzip, chunked"),
    "chunked twice": request(CHAT, b"0\r\n\r\n", "transfer-encoding: chunked", "transfer-encoding: chunked"),
    "a coding that is hidden": request(CHAT, b"0\r\n\r\n", "transfer-encoding: xchunked"),
    "chunks in HTTP/1.0": request(CHAT, b"0\r\n\r\n", "transfer-encoding: chunked").replace(b"1.1", b"1.0", 1),
    "a chunk of no size": request(CHAT, b"xyz\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    "a chunk of negative size": request(CHAT, b"-2\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    "a chunk beyond measure": request(CHAT, b"f" * 17 + b"\r\n", "transfer-encoding: chunked"),
    "a chunk longer than it says": request(CHAT, b"1\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two hosts": request("/health/live", b"", "host: y", method="GET"),
    "an odd host": request("/health/live", method="GET", host="x/../admin"),
    "a host with a user": request("/health/live", method="GET", host="x@y"),
    "a host that is two": request("/health/live", method="GET", host="x, y"),
    "an empty host": request("/health/live", method="GET", host=""),
    "a tunnel": b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n",
    "a path of letters beyond ASCII": "GET /h\xe4lth HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
    "a space before the colon": b"GET /health/live HTTP/1.1\r\nhost : x\r\n\r\n",
    "a folded header": b"GET /health/live HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
    "a null in a header": b"GET /health/live HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n",
    "a bare return in a header": b"GET /health/live HTTP/1.1\r\nhost: x\r\na: b\rc: d\r\n\r\n",
}


def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(peers):
    _, served = peers()
    passed = {}
    for name, sent in BAD.items():
        peer = Peer(served)
        with closing(peer.socket):
            peer.send(sent)
            status, headers, body = peer.answer()
            if (status, headers.get("connection"), json.loads(body).get("error", {}).get("code")) != (
                400,
                "close",
                "bad_http",
            ):
                passed[name] = body
    assert not passed


def test_more_headers_than_the_limit_are_refused(peers):
    peer, _ = peers(max_headers=10)
    peer.send(request("/health/live", b"", *[f"x-{i}: 1" for i in range(9)], method="GET"))
    assert peer.answer()[0] == 200
    peer.send(request("/health/live", b"", *[f"x-{i}: 1" for i in range(10)], method="GET"))
    assert "more than 10 headers" in refused(peer, 431, "headers_too_large")


@pytest.mark.parametrize("whole", [True, False])
def test_a_head_that_is_too_long_is_refused_even_before_its_end(peers, whole):
    peer, _ = peers()
    peer.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 70_000 + b"\r\n\r\n" * whole)
    assert "larger than 65536 bytes" in refused(peer, 431, "headers_too_large")


def test_a_long_url_is_refused(peers):
    peer, _ = peers()
    peer.send(b"GET /" + b"a" * 300_000)
    refused(peer, 431, "headers_too_large")


def test_a_long_body_after_a_short_head_is_no_long_head(peers):
    peer, _ = peers()
    peer.send(request(CHAT, b" " * 200_000 + b"[]"))
    assert peer.answer()[0] == 400
    peer.send(LIVE)
    assert peer.answer()[0] == 200


def test_a_head_that_trickles_in_is_not_waited_for(peers):
    peer, _ = peers(head_seconds=0.2)
    peer.send(b"GET /health/live HTTP/1.1\r\n")
    began = time.monotonic()
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.05):
            try:
                peer.send(b"a: b\r\n")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        status, _, body = peer.answer()
    finally:
        stop.set()
        thread.join()
    assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")
    assert time.monotonic() - began < 5


def test_a_connection_without_a_byte_is_closed_without_a_word(peers):
    peer, _ = peers(head_seconds=0.1)
    assert peer.closed()


def test_a_body_that_stands_still_is_not_waited_for(peers):
    peer, served = peers(body_idle_seconds=0.1)
    peer.send(request(CHAT, b"{", "content-length: 100"))
    assert "stood still for 0.1 s" in refused(peer, 408, "request_timeout")
    other = Peer(served)
    with closing(other.socket):
        other.send(LIVE)
        assert other.answer()[0] == 200


def test_a_body_that_trickles_in_has_a_total_time(peers):
    peer, _ = peers(body_seconds=0.3)
    peer.send(request(CHAT, b"{", "content-length: 10000"))
    peer.socket.settimeout(0.02)
    began = time.monotonic()
    received = b""
    while not received and time.monotonic() - began < 10:
        peer.send(b" ")
        try:
            received = peer.socket.recv(65536)
        except TimeoutError:
            continue
    assert received.startswith(b"HTTP/1.1 408")


def test_a_slow_answer_is_no_slow_request(peers, pool, upstream):
    peer, _ = peers(text=pool("stepwise"), head_seconds=0.05, body_idle_seconds=0.05, body_seconds=0.05, idle_seconds=9)
    peer.send(chat("stepwise", stream=True))
    while b"The " not in peer.rest:
        peer._more()
    peer.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        peer._more()  # ten times the limits of a request
    peer.socket.settimeout(20)
    upstream.go_on.set()
    while b"[DONE]" not in peer.rest:
        peer._more()


def test_an_idle_connection_is_kept_for_its_time_and_no_longer(peers):
    peer, _ = peers(idle_seconds=0.3)
    for _ in range(3):
        peer.send(LIVE)
        assert peer.answer()[0] == 200
    assert peer.closed()


def test_a_client_that_does_not_read_its_answer_is_given_up_and_its_call_with_it(peers, pool, upstream):
    peer, _ = peers(text=pool("endless"), stall_seconds=0.2)
    peer.send(chat("endless", stream=True))
    assert upstream.gone.get(timeout=20) == "endless"


def test_one_connection_too_many_is_turned_away(peers):
    first, second, served = peers(2, max_connections=2)
    for peer in (first, second):
        peer.send(LIVE)
        assert peer.answer()[0] == 200
    third = Peer(served)
    with closing(third.socket):
        status, headers, _ = third.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
    first.send(LIVE)
    assert first.answer()[0] == 200, "who is in stays in"
    first.socket.close()
    second.send(LIVE)
    assert second.answer()[0] == 200
    fourth = Peer(served)
    with closing(fourth.socket):
        fourth.send(LIVE)
        assert fourth.answer()[0] == 200, "there is room again"


def test_a_body_too_large_is_refused_while_it_is_sent_and_the_client_can_read_why(peers):
    peer, _ = peers(max_body_bytes=1000)
    size = 60_000_000
    peer.send(request(CHAT, b"", f"content-length: {size}"))

    def push() -> None:
        try:
            peer.send(b"x" * size)
        except OSError:
            return

    thread = threading.Thread(target=push)
    thread.start()
    status, headers, body = peer.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(body)["error"]["code"] == "request_too_large"
    thread.join(20)
    assert not thread.is_alive()


def test_who_asks_before_sending_a_body_is_told_to_go_on_or_why_not(peers):
    peer, served = peers(max_body_bytes=1000)
    peer.send(request(CHAT, b"", "expect: 100-continue", "content-length: 2"))
    while b"\r\n\r\n" not in peer.rest:
        peer._more()
    assert peer.rest.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    peer.rest = peer.rest.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    peer.send(b"{}")
    assert peer.answer()[0] == 400
    other = Peer(served)
    with closing(other.socket):
        other.send(request(CHAT, b"", "expect: 100-continue", "content-length: 5000"))
        refused(other, 413, "request_too_large")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://x/health/live", 200),
        ("http://evil.example/health/live", 200),
        ("/health/live?a=/v1/keys", 200),
        ("/health/%6cive", 404),
        ("/health/live/", 404),
        ("//health/live", 404),
        ("/health/../health/live", 404),
        ("/health/%2e%2e/health/live", 404),
        ("/health/live%00", 404),
    ],
)
def test_only_the_path_as_it_was_sent_decides_where_a_request_goes(peers, target, status):
    peer, _ = peers()
    peer.send(request(target, method="GET"))
    assert peer.answer()[0] == status


@pytest.mark.parametrize("host", ["x", "example.com:8080", "127.0.0.1:80", "[::1]:8080", "a_b.internal"])
def test_any_proper_host_is_served(peers, host):
    peer, _ = peers()
    peer.send(request("/health/live", method="GET", host=host))
    assert peer.answer()[0] == 200


def test_a_header_after_the_body_means_nothing(peers, pool, upstream):
    peer, _ = peers(text=pool("small", "large"))
    body = json.dumps({"model": "auto", "messages": HELLO}).encode()
    chunked = b"%x\r\n%s\r\n0\r\nx-waypost-allowed: large\r\n\r\n" % (len(body), body)
    peer.send(request(CHAT, chunked, "transfer-encoding: chunked"))
    assert peer.answer()[1]["x-waypost-model"] == "small"


def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(peers):
    peer, _ = peers()
    peer.send(request("/nowhere", method="HEAD") + LIVE)
    peer.rest += peer.socket.recv(65536)
    head, _, rest = peer.rest.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    peer.rest = rest
    assert peer.answer()[0] == 200


def test_requests_that_are_sent_ahead_are_answered_in_order(peers):
    peer, _ = peers()
    peer.send(LIVE + request("/nope", method="GET") + LIVE)
    assert [peer.answer()[0] for _ in range(3)] == [200, 404, 200]


def test_garbage_that_is_sent_ahead_does_not_spoil_the_answer_before_it(peers, pool, upstream):
    peer, _ = peers(text=pool("stepwise"))
    peer.send(chat("stepwise", stream=True) + b"GARBAGE\r\n\r\n")
    while b"The " not in peer.rest:
        peer._more()
    upstream.go_on.set()
    received = peer.everything()
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_more_requests_sent_ahead_than_the_limit_end_the_connection_after_the_first(peers, pool, upstream):
    peer, _ = peers(text=pool("stepwise"))
    peer.send(chat("stepwise", stream=True) + LIVE * 100)
    while b"The " not in peer.rest:
        peer._more()
    upstream.go_on.set()
    assert peer.everything().count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_a_wish_for_another_protocol_is_passed_over(peers, upgrade):
    peer, _ = peers()
    peer.send(request("/health/live", b"", "connection: upgrade", f"upgrade: {upgrade}", method="GET") + b"\x81\x00")
    status, headers, _ = peer.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert peer.closed()


def test_nothing_of_a_request_or_of_a_provider_s_words_becomes_a_header(peers, pool, upstream):
    peer, _ = peers(text=pool("talks-back", top="router: cheapest\nreliability: {retries: 0}"))
    evil = "a\r\nset-cookie: stolen=1\r\n\r\nHTTP/1.1 200 OK"
    for sent in (
        chat(evil),
        chat("auto", metadata={evil: evil}, user=evil),
        chat("talks-back", **{evil: 1}),
        chat("auto", waypost={evil: 1}),
        chat("auto", waypost={"allowed": [evil]}),
    ):
        peer.send(sent)
        _, headers, body = peer.answer()
        assert "set-cookie" not in headers
        assert json.loads(body)["error"]["message"]
        assert peer.rest == b""


def test_the_first_piece_is_not_held_back_by_nagle_or_a_delayed_acknowledgement(peers, pool, upstream):
    peer, _ = peers(text=pool("small"))
    taken = []
    for _ in range(15):
        peer.rest = b""
        began = time.perf_counter()
        peer.send(chat("small", stream=True))
        while b"The " not in peer.rest:
            peer._more()
        taken.append(time.perf_counter() - began)
        while b"0\r\n\r\n" not in peer.rest:
            peer._more()
    assert min(taken) < 0.03 and statistics.median(taken) < 0.25, "40 ms a time is what Nagle's algorithm costs"


# The end.


class Process:
    """A gateway in a process of its own, so that it can be sent signals."""

    def __init__(self, config, **env: str) -> None:
        command = [sys.executable, "-m", "waypost", "serve", "--config", str(config), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "KEY": "sk-1", **env})
        url = json.loads(self.process.stdout.readline())["url"]
        self.host, port = url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)
        self.peers: list[Peer] = []

    def peer(self) -> Peer:
        self.peers.append(Peer(self))
        return self.peers[-1]

    def end(self) -> int:
        return self.process.wait(30)


@pytest.fixture
def process(tmp_path, pool):
    started: list[Process] = []

    def start(**limits) -> Process:
        settings = ", ".join(f"{name}: {value}" for name, value in {"port": 0, **limits}.items())
        config = tmp_path / "waypost.yaml"
        config.write_text(f"{pool('stepwise')}\nstore: rows.sqlite\nserver: {{{settings}}}")
        started.append(Process(config))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()
        for peer in one.peers:
            peer.socket.close()


def test_at_its_end_a_gateway_turns_unready_at_once_and_finishes_what_is_under_way(process, upstream, tmp_path):
    gateway = process(shutdown_delay_seconds=5)
    streaming = gateway.peer()
    streaming.send(chat("stepwise", stream=True))
    while b"The " not in streaming.rest:
        streaming._more()
    gateway.process.send_signal(signal.SIGTERM)
    status = 200
    while status == 200:  # the signal is on its way
        asking = gateway.peer()
        asking.send(request("/health/ready", method="GET"))
        status, headers, body = asking.answer()
    assert (status, json.loads(body)["status"], headers["connection"]) == (503, "draining", "close")
    assert asking.closed()
    late = gateway.peer()
    late.send(LIVE)
    status, headers, _ = late.answer()
    assert (status, headers["connection"]) == (200, "close"), "and who comes is still served"
    upstream.go_on.set()
    assert streaming.everything().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert gateway.end() == -signal.SIGTERM
    kept = [path.read_bytes() for path in tmp_path.rglob("rows.sqlite*") if path.is_file()]
    assert b"stepwise" in b"".join(kept), "its row is kept"


def test_what_does_not_finish_in_its_time_is_cut(process, upstream):
    gateway = process(drain_seconds=1)
    streaming = gateway.peer()
    streaming.send(chat("stepwise", stream=True))
    while b"The " not in streaming.rest:
        streaming._more()
    gateway.process.send_signal(signal.SIGTERM)
    assert b"[DONE]" not in streaming.everything()
    assert gateway.end() == -signal.SIGTERM
    upstream.go_on.set()


def test_a_second_signal_ends_at_once(process, upstream):
    gateway = process(drain_seconds=600)
    streaming = gateway.peer()
    streaming.send(chat("stepwise", stream=True))
    while b"The " not in streaming.rest:
        streaming._more()
    gateway.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        gateway.process.wait(0.5)
    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.end() != 0
    assert time.monotonic() - began < 10
    upstream.go_on.set()
