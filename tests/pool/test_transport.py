"""The HTTP client under the providers: leaving ends a call at once, a connection serves again, a body is exact."""

import asyncio
import functools
import gc
import inspect
import socket
import ssl
import sys
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from waypost.pool import transport as module
from waypost.pool.transport import ConnectFailed, Transport
from waypost.pool.wire import Broken

LOOPS = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def on_both_loops(test):
    """Run a coroutine test on asyncio's loop and on uvloop's, to the loop's very end."""

    @functools.wraps(test)
    def run(loop, **fixtures):
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(asyncio.wait_for(test(**fixtures), 60))
        gc.collect()  # a connection that was forgotten warns now

    signature = inspect.signature(test)
    extra = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), extra])
    return pytest.mark.parametrize("loop", LOOPS)(run)


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def request(self) -> str:
        """The next request, head and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
        body = (await self.reader.readexactly(length)).decode()
        self.asked.set()
        return head + body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> None:
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.gone.set()


class Server:
    """A real server on loopback, every byte of which the test decides; ``peers`` are its connections so far."""

    def __init__(self, handle):
        self.handle = handle
        self.peers: list[Peer] = []
        self.new: asyncio.Queue[Peer] = asyncio.Queue()
        self.tasks: list[asyncio.Task] = []
        self.port = 0

    async def accept(self, reader, writer):
        self.tasks.append(asyncio.current_task())
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self.new.put_nowait(peer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.handle(peer)
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(handle, scheme="http", host="127.0.0.1", listener=None, tls=None, connect_timeout=10.0):
    """A running server and a client of it."""
    server = Server(handle)
    where = {"sock": listener} if listener else {"host": "127.0.0.1", "port": 0}
    running = await asyncio.start_server(server.accept, ssl=tls, **where)
    server.port = running.sockets[0].getsockname()[1]
    client = Transport(f"{scheme}://{host}:{server.port}", connect_timeout)
    try:
        yield server, client
    finally:
        await client.close()
        running.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def answering(*answers):
    """Answers each request of a connection with the next of these bytes, then closes."""

    async def handle(peer):
        for answer in answers:
            await peer.request()
            await peer.send(answer)

    return handle


async def always(peer):
    while True:
        await peer.request()
        await peer.send(OK)


async def ask(client, body=b"{}", **headers):
    async with client.send("POST", "/v1/x", headers, body) as response:
        return response.status, await response.read(1 << 30)


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@on_both_loops
async def test_the_request_is_what_a_server_expects():
    told = asyncio.get_running_loop().create_future()

    async def handle(peer):
        told.set_result(await peer.request())
        await peer.send(OK)

    async with serving(handle) as (server, client):
        assert await ask(client, b'{"a":1}', authorization="Bearer x") == (200, b"ok")
        head, _, body = (await told).partition("\r\n\r\n")
        first, *fields = head.split("\r\n")
        assert (first, body) == ("POST /v1/x HTTP/1.1", '{"a":1}')
        assert sorted(fields) == [
            "accept-encoding: identity", "accept: */*", "authorization: Bearer x", "content-length: 7",
            f"host: 127.0.0.1:{server.port}", "user-agent: waypost",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://example.org/v1", "example.org"), ("http://example.org:80", "example.org"),
        ("https://example.org:443", "example.org"), ("https://example.org:80", "example.org:80"),
        ("http://[::1]:8000/v1", "[::1]:8000"), ("https://[::1]", "[::1]"), ("http://user:pw@Host:1", "host:1"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_the_host_is_named_as_a_server_expects(url, authority):
    assert Transport(url, 1.0).authority == authority


@pytest.mark.parametrize("url", ["example.org", "ftp://x", "http://", "http://x:port", "http://x:99999", "http://a..b"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError):
        Transport(url, 1.0)


@on_both_loops
@pytest.mark.parametrize("value", ["a\r\nhost: evil", "a\n", "a\0", "é"])
async def test_a_header_that_would_break_out_is_refused_without_being_shown(value):
    async with serving(always) as (server, client):
        with pytest.raises(Broken, match="'x-key' holds a character") as told:
            await ask(client, **{"x-key": value})
        assert value not in str(told.value) and not server.peers


@on_both_loops
async def test_one_connection_serves_many_requests_one_after_the_other():
    async with serving(always) as (server, client):
        for _ in range(50):
            assert await ask(client) == (200, b"ok")
        assert len(server.peers) == 1


@on_both_loops
async def test_requests_at_the_same_time_have_a_connection_each_and_the_latest_is_taken_again():
    together = asyncio.Barrier(8)

    async def handle(peer):
        await peer.request()
        await together.wait()
        await peer.send(OK)
        await always(peer)

    async with serving(handle) as (server, client):
        assert await asyncio.gather(*(ask(client) for _ in range(8))) == [(200, b"ok")] * 8
        assert len(server.peers) == 8
        await ask(client)
        assert len(server.peers) == 8


@on_both_loops
async def test_no_more_connections_idle_than_allowed(monkeypatch):
    monkeypatch.setattr(module, "_IDLE_COUNT", 1)
    together = asyncio.Barrier(3)

    async def handle(peer):
        await peer.request()
        await together.wait()
        await peer.send(OK)
        await peer.until_gone()

    async with serving(handle) as (server, client):
        await asyncio.gather(*(ask(client) for _ in range(3)))
        waits = [asyncio.create_task(peer.gone.wait()) for peer in server.peers]
        ends = asyncio.as_completed(waits)
        await next(ends), await next(ends)
        assert sum(not peer.gone.is_set() for peer in server.peers) == 1
        await client.close()
        await next(ends)


@on_both_loops
async def test_a_connection_that_idled_too_long_is_closed_and_not_used(monkeypatch):
    async def handle(peer):
        await peer.request()
        await peer.send(OK)
        await peer.until_gone()

    async with serving(handle) as (server, client):
        await ask(client)
        monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0)
        await ask(client)
        assert len(server.peers) == 2
        await server.peers[0].gone.wait()


@on_both_loops
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + OK,  # an answer that nobody asked for
        OK + b"junk",
    ],
)
async def test_a_connection_that_cannot_be_trusted_with_another_request_is_closed(answer):
    async def handle(peer):
        await peer.request()
        await peer.send(answer)
        await peer.until_gone()

    async with serving(handle) as (server, client):
        for _ in range(2):
            assert await ask(client) == (200, b"ok")
        assert len(server.peers) == 2
        await asyncio.gather(*(peer.gone.wait() for peer in server.peers))


@on_both_loops
async def test_bytes_that_come_while_nobody_asks_are_never_the_next_answer():
    async def handle(peer):
        await peer.request()
        await peer.send(OK)
        if len(server.peers) == 1:
            await speak.wait()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
        await peer.until_gone()

    speak = asyncio.Event()
    async with serving(handle) as (server, client):
        await ask(client)
        speak.set()
        await server.peers[0].gone.wait()
        assert await ask(client) == (200, b"ok")


@on_both_loops
async def test_an_idle_connection_that_closes_as_the_request_sets_out_costs_one_more_try():
    async def handle(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()  # and closes without a byte

    async with serving(handle) as (server, client):
        assert [await ask(client) for _ in range(3)] == [(200, b"ok")] * 3
        assert len(server.peers) == 3


@on_both_loops
@pytest.mark.parametrize("answers", [[], [b"HTTP/1.1 2"], [OK, b"HTTP/1.1 2"], [OK, b"\r\n"]])
async def test_a_call_that_may_have_been_made_is_not_made_again(answers):
    async def handle(peer):
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        if not answers:
            await peer.request()

    async with serving(handle) as (server, client):
        for answer in answers[:-1]:
            assert await ask(client) == (200, b"ok"), answer
        with pytest.raises(Broken, match="lost before the answer was complete"):
            await ask(client)
        assert len(server.peers) == 1


@on_both_loops
async def test_a_connection_that_closes_later_than_by_a_crossing_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(module, "_RACE_SECONDS", -1.0)

    async def handle(peer):
        await peer.request()
        await peer.send(OK)
        await peer.request()

    async with serving(handle) as (server, client):
        await ask(client)
        with pytest.raises(Broken, match="lost before"):
            await ask(client)
        assert len(server.peers) == 1


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def certificate(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@on_both_loops
async def test_cancelled_while_connecting_it_hangs_up():
    async with serving(Peer.until_gone, scheme="https") as (server, client):  # it never answers the TLS greeting
        task = asyncio.create_task(ask(client))
        peer = await server.new.get()
        await cancelled(task)
        await peer.gone.wait()


@on_both_loops
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("reused", [False, True])
async def test_cancelled_before_the_answer_it_hangs_up(scheme, reused, certificate, trusted):
    async def handle(peer):
        if reused:
            await peer.request()
            await peer.send(OK)
            peer.asked.clear()
        await peer.request()
        await peer.until_gone()

    tls = certificate if scheme == "https" else None
    async with serving(handle, scheme, "localhost" if tls else "127.0.0.1", tls=tls) as (server, client):
        if reused:
            await ask(client)
        task = asyncio.create_task(ask(client))
        peer = await server.new.get()
        await peer.asked.wait()
        await cancelled(task)
        await peer.gone.wait()
        assert len(server.peers) == 1


@on_both_loops
@pytest.mark.parametrize("leave", ["cancel", "early", "error"])
async def test_left_in_the_body_it_hangs_up(leave):
    async def handle(peer):
        await peer.request()
        await peer.send(STREAM + b"1\r\na\r\n")
        await peer.until_gone()

    async def read():
        async with client.send("POST", "/", {}) as response:
            async for chunk in response:
                assert chunk == b"a"
                if leave == "early":
                    return
                if leave == "error":
                    raise LookupError
                read_one.set()

    read_one = asyncio.Event()
    async with serving(handle) as (server, client):
        task = asyncio.create_task(read())
        peer = await server.new.get()
        if leave == "cancel":
            await read_one.wait()
            await cancelled(task)
        else:
            await asyncio.gather(task, return_exceptions=True)
        await peer.gone.wait()


@on_both_loops
async def test_a_piece_is_delivered_before_the_next_is_sent():
    go_on = asyncio.Event()

    async def handle(peer):
        await peer.request()
        await peer.send(STREAM + b"5\r\nfirst\r\n")
        await go_on.wait()
        await peer.send(b"6\r\nsecond\r\n0\r\n\r\n")

    async with serving(handle) as (_, client), client.send("GET", "/", {}) as response:
        assert await anext(response) == b"first"
        go_on.set()
        assert [chunk async for chunk in response] == [b"second"]


@on_both_loops
async def test_an_answer_cut_anywhere_is_the_same_answer():
    whole = (
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
        b"4;ext=1\r\nWiki\r\nA\r\npedia in c\r\n0\r\nx-trailer: 1\r\n\r\n"
    )

    async def handle(peer):
        for cut in range(1, len(whole)):
            await peer.request()
            for part in (whole[:cut], whole[cut:]):
                await peer.send(part)
                for _ in range(3):
                    await asyncio.sleep(0)  # lets the client read this part before the next leaves
        await peer.request()
        for byte in whole:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)

    async with serving(handle) as (server, client):
        for _ in range(len(whole)):
            async with client.send("POST", "/", {}, b"{}") as response:
                assert (response.status, response.header("x-a"), response.header("link")) == (201, "1, 2", None)
                assert await response.read(100) == b"Wikipedia in c"
                assert response.header("x-trailer") is None
        assert len(server.peers) == 1


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", 200, b"ok"),
        (STREAM + b"0\r\n\r\n", 200, b""),
    ],
)
async def test_answers_that_end_by_themselves_leave_the_connection_open(answer, status, body):
    async with serving(answering(answer, OK)) as (server, client):
        assert await ask(client) == (status, body)
        assert await ask(client) == (200, b"ok")
        assert len(server.peers) == 1


@on_both_loops
async def test_a_body_without_a_length_ends_with_the_connection():
    async with serving(answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")) as (_, client):
        assert await ask(client) == (200, b"until the end")


@on_both_loops
@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"half"),
        (STREAM + b"4\r\nhalf\r\n", b"half"),
        (STREAM + b"8\r\nhalf", b"half"),
    ],
)
async def test_a_body_cut_short_gives_what_came_and_then_an_error(head, body):
    async with serving(answering(head)) as (_, client), client.send("GET", "/", {}) as response:
        assert await anext(response) == body
        for _ in range(2):
            with pytest.raises(Broken, match="lost before the answer was complete"):
                await anext(response)


@on_both_loops
async def test_a_body_without_a_length_that_is_reset_is_cut_short():
    async def handle(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await seen.wait()
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.writer.transport.abort()

    seen = asyncio.Event()
    async with serving(handle) as (_, client), client.send("GET", "/", {}) as response:
        assert await anext(response) == b"half"
        seen.set()
        with pytest.raises(Broken, match="lost before"):
            await anext(response)


@on_both_loops
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        STREAM + b"xyz\r\n",
    ],
)
async def test_what_is_no_http_is_an_error_that_quotes_nothing(answer):
    async def handle(peer):
        await peer.request()
        await peer.send(answer)
        await peer.until_gone()

    async with serving(handle) as (server, client):
        with pytest.raises(Broken, match=r"^what came is no HTTP/1\.1$"):
            await ask(client)
        await server.peers[0].gone.wait()


@on_both_loops
@pytest.mark.parametrize(
    ("before", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"and longer "),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (STREAM + b"2\r\nok\r\n0\r\n", b"x-trailer: 1\r\n"),
    ],
)
async def test_a_head_without_end_does_not_fill_the_memory(before, again):
    async def handle(peer):
        await peer.request()
        await peer.send(before)
        while True:
            await peer.send(again * 500)

    async with serving(handle) as (_, client):
        with pytest.raises(Broken, match="larger than 64 kB"):
            await ask(client)


@on_both_loops
async def test_a_slow_reader_holds_the_server_back_and_misses_nothing():
    block, blocks = b"x" * (1 << 20), 64
    stalled = asyncio.get_running_loop().create_future()

    async def handle(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(block) * blocks))
        sent = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while sent < blocks:
                    sent += 1
                    await peer.send(block)
        stalled.set_result(sent)
        for _ in range(sent, blocks):
            await peer.send(block)

    async with serving(handle) as (_, client), client.send("GET", "/", {}) as response:
        assert await stalled < blocks / 2, "what the kernel holds and a quarter of a megabyte, not everything"
        assert sum([len(chunk) async for chunk in response]) == len(block) * blocks


@on_both_loops
async def test_reading_stops_at_the_limit():
    async def handle(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"x" * 1000)

    async with serving(handle) as (_, client), client.send("GET", "/", {}) as response:
        assert await response.read(2500) == b"x" * 2500


@pytest.mark.parametrize("second", LOOPS)
@pytest.mark.parametrize("first", LOOPS)
def test_a_client_serves_one_loop_after_another_and_leaves_nothing_open(first, second):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", 10.0)

        async def twice():
            async with serving(always, listener=listener.dup()) as (server, _):
                assert [await ask(client), await ask(client)] == [(200, b"ok")] * 2
                assert len(server.peers) == 1

        for loop in (first, second):
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                runner.run(twice())
            gc.collect()


@on_both_loops
async def test_a_client_that_is_forgotten_hangs_up():
    async def handle(peer):
        await peer.request()
        await peer.send(OK)
        await peer.until_gone()

    async with serving(handle) as (server, client):
        await ask(Transport(f"http://{client.authority}", 10.0))
        await server.peers[0].gone.wait()


@on_both_loops
async def test_closing_hangs_up_and_the_client_opens_again():
    async def handle(peer):
        await peer.request()
        await peer.send(OK)
        await peer.until_gone()

    async with serving(handle) as (server, client):
        await ask(client)
        await client.close()
        await server.peers[0].gone.wait()
        assert await ask(client) == (200, b"ok")


@on_both_loops
async def test_nobody_there_is_told_from_nobody_answering():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectFailed, match="running and reachable") as told:
        await ask(Transport(f"http://127.0.0.1:{port}", 10.0))
    assert not told.value.late
    async with serving(Peer.until_gone, scheme="https", connect_timeout=0.1) as (server, client):
        with pytest.raises(ConnectFailed, match="running and reachable") as told:
            await ask(client)
        assert told.value.late
        await server.peers[0].gone.wait()


@on_both_loops
async def test_tls_to_a_trusted_server_keeps_the_connection_and_names_the_host(certificate, trusted):
    named = []
    certificate.sni_callback = lambda connection, name, context: named.append(name)
    certificate.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(always, "https", "localhost", tls=certificate) as (server, client):
        for _ in range(3):
            assert await ask(client, b"x" * 300_000) == (200, b"ok")
        assert (len(server.peers), named) == (1, ["localhost"])
        spoken = server.peers[0].writer.get_extra_info("ssl_object").selected_alpn_protocol()
        assert spoken == "http/1.1"


@on_both_loops
async def test_tls_with_a_stranger_is_refused(certificate):
    async with serving(always, "https", "localhost", tls=certificate) as (server, client):
        with pytest.raises(ConnectFailed, match=r"not trusted \(.*\); the variable SSL_CERT_FILE"):
            await ask(client)
        assert not any(peer.asked.is_set() for peer in server.peers)


@on_both_loops
async def test_tls_with_the_certificate_of_another_host_is_refused(certificate, trusted):
    async with serving(always, "https", "127.0.0.1", tls=certificate) as (server, client):
        with pytest.raises(ConnectFailed, match=r"not trusted \(IP address mismatch.*127\.0\.0\.1"):
            await ask(client)
        assert not any(peer.asked.is_set() for peer in server.peers)


@on_both_loops
async def test_tls_with_a_server_that_speaks_none_says_so():
    async def handle(peer):
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(handle, "https") as (_, client):
        with pytest.raises(ConnectFailed, match="should the URL begin with http://"):
            await ask(client)
