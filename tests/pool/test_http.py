"""What a provider's calls promise beyond one kind of model: time limits, addresses, and connections that are kept."""

import asyncio
import base64
import socket
import ssl
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from waypost.errors import BadInput, ModelFailed, ModelTimeout
from waypost.pool import http
from waypost.pool.http import Provider, Timeouts
from waypost.pool.secret import Secret


def provider(url, headers=None, **timeouts):
    return Provider("near", url, headers or {}, Timeouts(**timeouts))


@asynccontextmanager
async def served(accept, **options):
    """The port of a server on loopback; at the end all its connections have been left by their clients."""
    tasks = []

    async def tracked(reader, writer):
        tasks.append(asyncio.current_task())
        await accept(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async with await asyncio.start_server(tracked, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def taking(events, begun):
    async with events:
        await events.push(lambda event: begun.set())


async def data(events):
    found = []
    async with events:
        await events.push(lambda event: found.append(event.data))
    return found


async def test_an_answer_that_trickles_is_cut_off_at_the_total(upstream):
    async def handler(exchange):
        await exchange.begin_stream()
        gone = asyncio.create_task(exchange.gone())
        while not gone.done():
            await exchange.event("x")
            await asyncio.wait([gone], timeout=0.02)

    upstream.handler = handler
    client = provider(upstream.url, total=0.2)
    with pytest.raises(ModelTimeout, match=r"near: 127\.0\.0\.1:\d+ took more than 0\.2 s"):
        await client.post("/x", {})
    with pytest.raises(ModelTimeout, match=r"took more than 0\.2 s"):
        await data(client.events("/x", {}))


async def test_an_answer_beyond_all_measure_is_refused(upstream, monkeypatch):
    monkeypatch.setattr(http, "_ANSWER_LIMIT", 1 << 20)
    upstream.handler = lambda exchange: exchange.answer({"long": "x" * (1 << 20)})
    with pytest.raises(ModelFailed, match="more than 1 MB"):
        await provider(upstream.url).post("/x", {})


@pytest.mark.parametrize("last", [b"data: [DONE]\n\n", b"event: message_stop\ndata: {}\n\n"])
async def test_a_reader_that_stops_at_the_last_event_leaves_the_connection_for_the_next(last):
    connections, taken = [], asyncio.Event()

    async def accept(reader, writer):
        connections.append(writer)
        while await reader.read(4096):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n" % (len(last), last))
            await taken.wait()  # the end of the body comes on its own, a moment later
            taken.clear()
            writer.write(b"0\r\n\r\n")

    async with served(accept) as port:
        client = provider(f"http://127.0.0.1:{port}")
        for _ in range(5):
            events, begun = client.events("/x", {}), asyncio.Event()
            reading = asyncio.create_task(taking(events, begun))
            await begun.wait()
            taken.set()
            await reading
        assert len(connections) == 1
        await client.close()


async def test_a_slow_taker_holds_the_server_back_and_gets_every_event_in_order(upstream):
    taken, taken_when_held, go_on = [], [], asyncio.Event()

    async def handler(exchange):
        await exchange.begin_stream()
        for number in range(400):
            writing = asyncio.ensure_future(exchange.event(f"{number} " + "x" * 20_000))
            done, _ = await asyncio.wait({writing}, timeout=0.5)
            if not done:
                taken_when_held.append(list(taken))
                go_on.set()
            await writing
        await exchange.event("[DONE]")

    def take(event):
        taken.append(event.data.partition(b" ")[0])
        return go_on.wait()

    upstream.handler = handler
    async with asyncio.timeout(20), provider(upstream.url).events("/x", {}) as events:
        await events.push(take)
    assert taken_when_held[0] == [b"0"]
    assert taken == [*(b"%d" % number for number in range(400)), b"[DONE]"]


async def test_what_a_taker_raises_ends_the_call(upstream):
    closed = asyncio.get_running_loop().create_future()

    async def handler(exchange):
        await exchange.begin_stream()
        await exchange.event("x")
        closed.set_result(await exchange.gone())

    def take(event):
        raise ModelFailed("no")

    upstream.handler = handler
    with pytest.raises(ModelFailed, match="no"):
        async with provider(upstream.url).events("/x", {}) as events:
            await events.push(take)
    assert await asyncio.wait_for(closed, 5)


async def test_a_server_that_does_not_end_after_the_last_event_is_hung_up_on(upstream):
    closed = asyncio.get_running_loop().create_future()

    async def handler(exchange):
        await exchange.begin_stream()
        await exchange.event("[DONE]")
        closed.set_result(await exchange.gone())

    upstream.handler = handler
    assert await data(provider(upstream.url).events("/x", {})) == [b"[DONE]"]
    assert await asyncio.wait_for(closed, 5)


async def test_a_name_and_password_in_the_address_go_as_basic_authentication_and_are_never_shown(upstream):
    upstream.handler = lambda exchange: exchange.answer({"error": {"message": exchange.headers["authorization"]}}, 400)
    address = upstream.url.replace("http://", "http://me:p%40ssword@")
    with pytest.raises(ModelFailed) as told:
        await provider(address).post("/x", {})
    sent = upstream.exchanges[0].headers["authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"me:p@ssword"
    assert sent.removeprefix("Basic ") not in str(told.value) and "ssword" not in str(told.value)


async def test_a_key_goes_before_the_address_s_password(upstream):
    upstream.handler = lambda exchange: exchange.answer({})
    await provider(upstream.url.replace("//", "//me:pw@"), {"authorization": Secret("Bearer key")}).post("/x", {})
    assert upstream.exchanges[0].headers["authorization"] == "Bearer key"


async def test_a_path_may_hold_what_an_address_bar_takes(upstream):
    upstream.handler = lambda exchange: exchange.answer({})
    await provider(upstream.url + "/my models/ä%20b/").post("/x", {})
    assert upstream.exchanges[0].path == "/v1/my%20models/%C3%A4%20b/x"


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", "http://", "http://x:99999", "http://x?api=1", "http://x#y"]
)
def test_an_address_that_cannot_be_used_is_refused_at_once(url):
    with pytest.raises(BadInput, match="'near': base_url must"):
        provider(url)


async def test_a_certificate_that_is_not_trusted_is_told_in_a_sentence(tmp_path, monkeypatch):
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    async def accept(reader, writer):
        assert b"host: localhost:" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read()

    async with served(accept, ssl=context) as port:
        url = f"https://localhost:{port}/v1"
        stranger = provider(url)
        with pytest.raises(ModelFailed, match=r"near: cannot connect to localhost:\d+; its certificate is not trusted"):
            await stranger.post("/x", {})
        assert "not trusted" in await stranger.problem("/models")
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        friend = provider(url)
        assert await friend.post("/x", {}) == ({}, b"{}")
        await friend.close()


async def test_a_connection_that_never_comes_about_is_a_timeout():
    async def accept(reader, writer):
        while await reader.read(4096):
            pass  # and no answer to the TLS greeting

    async with served(accept) as port:
        client = provider(f"https://127.0.0.1:{port}", connect=0.1)
        with pytest.raises(ModelTimeout, match=r"cannot connect to 127\.0\.0\.1:\d+; is it running and reachable\?"):
            await client.post("/x", {})


async def test_a_whole_answer_that_stands_still_half_way_is_given_up_after_the_idle_time(upstream):
    gone = asyncio.get_running_loop().create_future()

    async def handler(exchange):
        await exchange.send(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"choices":')
        gone.set_result(await exchange.gone())

    upstream.handler = handler
    with pytest.raises(ModelTimeout, match=r"sent nothing for 0\.1 s") as told:
        await provider(upstream.url, idle=0.1).post("/x", {})
    assert told.value.kind == "late"
    assert await asyncio.wait_for(gone, 5)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}", "status"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "garbage"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "lost"),
        (b"", "lost"),
        (b"220 smtp.example\r\n\r\n", "lost"),
    ],
)
async def test_a_failure_says_of_what_kind_it_is(upstream, sent, kind):
    upstream.handler = lambda exchange: exchange.send(sent)
    with pytest.raises(ModelFailed) as told:
        await provider(upstream.url).post("/x", {})
    assert told.value.kind == kind


async def test_no_connection_is_a_kind_of_its_own():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ModelFailed) as told:
        await provider(f"http://127.0.0.1:{port}").post("/x", {})
    assert told.value.kind == "connect"


@pytest.mark.parametrize(
    ("error", "status"),
    [({"message": "m", "code": 429}, 429), ({"message": "m", "code": "busy"}, None), ({"code": 7}, None), ("m", None)],
)
async def test_an_error_with_a_200_has_the_status_that_stands_inside(upstream, error, status):
    upstream.handler = lambda exchange: exchange.answer({"error": error})
    with pytest.raises(ModelFailed) as told:
        await provider(upstream.url).post("/x", {})
    assert (told.value.upstream, told.value.kind) == (status, "status")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 99 Oct 99999999 07:28:00 GMT", None),
    ],
)
async def test_any_retry_after_is_read_or_passed_over(upstream, header, seconds):
    upstream.handler = lambda exchange: exchange.answer({}, 429, retry_after=header)
    with pytest.raises(ModelFailed) as told:
        await provider(upstream.url).post("/x", {})
    assert told.value.retry_after == seconds
