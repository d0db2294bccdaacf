"""Requests that would send the gateway, or its keys, where the config does not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from checks.check import Bed, Check, Found, Model, tells
from checks.talk import CHAT, Reply

GROUP = "Where calls go"
_APIS = {
    CHAT: {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/completions": {"prompt": "Hello"},
    "/v1/embeddings": {"input": "Hello"},
    "/v1/responses": {"input": "Hello"},
    "/v1/messages": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9},
}


def _top(trap: str) -> Iterator[dict[str, Any]]:
    """What a server that trusted a body would call, said at its top."""
    host = trap.removesuffix("/v1")
    litellm = {"model": "openai/ok", "api_base": trap, "api_key": "sk-x"}
    yield from ({name: trap} for name in ("api_base", "base_url", "apiBase", "endpoint", "url", "proxy", "host"))
    yield {"api_base": trap, "api_key": "sk-mine"}
    yield {"api_base": host, "custom_llm_provider": "ollama"}
    yield {"user_config": {"model_list": [{"model_name": "ok", "litellm_params": litellm}]}}
    yield {"model_list": [{"model_name": "ok", "litellm_params": litellm}]}
    yield {"fallbacks": [litellm]}
    yield {"langfuse_host": host, "langfuse_public_key": "a", "langfuse_secret": "b", "success_callback": ["langfuse"]}
    yield {"vertex_credentials": {"token_uri": host, "type": "service_account"}}
    yield {"aws_bedrock_runtime_endpoint": host, "aws_sts_endpoint": host}
    yield {"sagemaker_base_url": host, "s3_endpoint_url": host}


def _nested(trap: str) -> Iterator[dict[str, Any]]:
    """The same, deeper."""
    for name in ("api_base", "base_url"):
        yield {"extra_body": {name: trap}}
        yield {"extra_headers": {name: trap, "host": trap}}
        yield {"metadata": {name: trap, "user_config": {name: trap}}}
        yield {"litellm_params": {name: trap}}
        yield {"litellm_metadata": {name: trap}}
        yield {"litellm_embedding_config": {name: trap}}
        yield {"waypost": {name: trap}}
        yield {"fallbacks": [{"model": "ok", "litellm_params": {name: trap}}]}
        yield {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}, name: trap}]}
        yield {"tools": [{"type": "mcp", "server_label": "x", "server_url": trap, "require_approval": "never"}]}
        yield {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": trap}}}}


def _inert(bodies: Callable[[str], Iterator[dict[str, Any]]]) -> Callable[[Bed], Found]:
    """Send each; right is that nobody came to the trap."""

    def run(bed: Bed) -> Found:
        before = bed.trap.connections
        # All of them in one API, the commonest in the others; a few at a time, for who is slow is not judged here.
        sent = [
            (path, {"model": "ok", **body, **more})
            for path, body in _APIS.items()
            for more in itertools.islice(bodies(bed.trap.url), None if path == CHAT else 4)
        ]
        replies = bed.client.many(
            len(sent), lambda n: bed.client.post(sent[n][0], json.dumps(sent[n][1]).encode()), clients=4
        )
        return _found(bed, before, replies)

    return run


def _found(bed: Bed, before: int, replies: list[Reply]) -> Found:
    came = bed.trap.connections - before
    went = f"{came} connections to the address in the body" if came else "no connection to the address in the body"
    keys = [r for r in bed.trap.requests if any(secret in str(r.headers) for secret in bed.secrets)]
    taken = ", with a provider's key" if keys else ""
    kinds = {status: sum(reply.status == status for reply in replies) for status in sorted({r.status for r in replies})}
    said = ", ".join(f"{count} × {status or 'no answer'}" for status, count in kinds.items())
    return Found(not came, f"{went}{taken}; {said}")


def _headers(bed: Bed) -> Found:
    """Addresses in headers and in the query."""
    before, trap = bed.trap.connections, bed.trap.url
    body = json.dumps({"model": "ok", **_APIS[CHAT]}).encode()
    names = ("x-api-base", "x-litellm-api-base", "x-upstream", "x-forwarded-host", "x-waypost-base-url", "api-base")
    names += ("x-portkey-custom-host", "x-original-url", "openai-base-url", "forwarded", "proxy")
    replies = [bed.client.post(CHAT, body, f"{name}: {trap}\r\n") for name in names]
    replies += [bed.client.post(f"{CHAT}?{name}={trap}", body) for name in ("api_base", "base_url")]
    return _found(bed, before, replies)


def _absolute(bed: Bed) -> Found:
    """The target of the request is a URL, as to a proxy."""
    before = bed.trap.connections
    body = json.dumps({"model": "ok", **_APIS[CHAT]}).encode()
    to = f"http://127.0.0.1:{bed.trap.port}"
    replies = [bed.client.post(f"{to}{CHAT}", body), bed.client.post(f"{to}/v1/models", body)]
    replies.append(bed.client.raw(f"CONNECT 127.0.0.1:{bed.trap.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))
    came = bed.trap.connections - before
    did = f"{came} connections; {', '.join(map(str, replies))}"
    return Found(not came and replies[-1].status in (400, 404, 405, 501), did)


def _images(bed: Bed) -> Found:
    """Pictures, sounds and files by URL, of a server that listens."""
    before, port = bed.trap.connections, bed.trap.port
    hosts = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "0")
    urls = [f"http://{host}:{port}/a.png" for host in hosts]
    replies = bed.client.many(len(urls), lambda number: _look(bed, urls[number], "recorded-image"), clients=4)
    parts: list[dict[str, Any]] = [
        {"type": "file", "file": {"file_data": urls[0], "file_url": urls[0]}},
        {"type": "input_audio", "input_audio": {"data": urls[0], "format": "wav"}},
    ]
    replies += [bed.client.chat("recorded-image", key=None, messages=_said([part])) for part in parts]
    anthropic = {"type": "image", "source": {"type": "url", "url": urls[0]}}
    body = {"model": "recorded-image", "max_tokens": 9, "messages": _said([anthropic])}
    replies.append(bed.client.post("/v1/messages", json.dumps(body).encode()))
    return _found(bed, before, replies)


# Forms by which lists of forbidden addresses are got round: shared, link-local, and IPv4 inside IPv6 in three ways.
_FORMS = (
    "100.64.0.1",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[2002:7f00:1::]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[fec0::1]",
    "[::ffff:169.254.169.254]",
    "192.88.99.1",
    "198.18.0.1",
)


def _forms(bed: Bed) -> Found:
    """The provider gets each URL as it came, at once: nobody has looked at it on the way."""
    urls = [f"http://{form}/latest/meta-data" for form in _FORMS]
    before = len(bed.provider.requests)
    replies = bed.client.many(len(urls), lambda number: _look(bed, urls[number], "recorded-forms"), clients=4)
    got = b"".join(request.raw for request in bed.provider.requests[before:]).decode()
    passed = sum(url in got for url in urls)
    refused = sum(reply.status >= 400 for reply in replies)
    slowest = max(reply.seconds for reply in replies)
    did = f"{passed} of {len(urls)} reached the provider as text, {refused} were refused, {slowest:.1f} s at most; "
    did += ", ".join(dict.fromkeys(map(str, replies)))
    return Found(passed + refused == len(urls) and slowest < 5, did)


def _look(bed: Bed, url: str, model: str) -> Reply:
    return bed.client.chat(model, messages=_said([{"type": "image_url", "image_url": {"url": url}}]))


def _said(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


_EVIL = "\r\nx-injected: 1\r\nset-cookie: a=1\r\n\r\n"


def _injected_model(bed: Bed) -> Found:
    replies = [bed.client.chat(f"ok{evil}") for evil in (_EVIL, "\nx-injected: 1", "\x00", "\u0a0d\u2028")]
    split = [reply for reply in replies if "x-injected" in reply.headers or "set-cookie" in reply.headers]
    right = not split and all(400 <= reply.status < 500 and tells(reply) for reply in replies)
    return Found(right, f"{', '.join(dict.fromkeys(map(str, replies)))}; {len(split)} with a header of the client's")


def _injected_metadata(bed: Bed) -> Found:
    fields = {"metadata": {"a": _EVIL, _EVIL: "b"}, "user": _EVIL, "safety_identifier": _EVIL}
    before = len(bed.provider.requests)
    reply = bed.client.chat("recorded-headers", **fields)
    headers = [reply.headers, *(request.headers for request in bed.provider.requests[before:])]
    split = sum("x-injected" in one or "set-cookie" in one for one in headers)
    did = f"{reply}; {split} with a header of the client's, answer and provider's request"
    return Found(not split and reply.status in (200, 400), did)


_NOTHING = "nobody ever connects to it; refused with 400, or without effect"

CHECKS = (
    Check(
        "api-base-top",
        GROUP,
        "`api_base`, `base_url`, `user_config` and 13 more like them at the top of a body, in five APIs, with the "
        "address of a server that listens",
        _NOTHING,
        _inert(_top),
    ),
    Check(
        "api-base-nested",
        GROUP,
        "`api_base` and `base_url` inside `extra_body`, `metadata`, `tools`, `fallbacks` and more, in five APIs",
        _NOTHING,
        _inert(_nested),
    ),
    Check("api-base-headers", GROUP, "addresses in a dozen headers and in the query", _NOTHING, _headers),
    Check(
        "absolute-target",
        GROUP,
        "a request whose target is another server's URL; `CONNECT`",
        "nobody connects there; `CONNECT` is refused",
        _absolute,
    ),
    Check(
        "images-not-fetched",
        GROUP,
        "pictures, sounds and files by URL, with eight spellings of this machine's address",
        "the gateway fetches nothing",
        _images,
        (Model("recorded-image", recorded=True),),
    ),
    Check(
        "ssrf-address-forms",
        GROUP,
        "picture URLs at CGNAT, 6to4, NAT64, site-local and cloud metadata addresses (CVE-2026-55245)",
        "refused, or passed on as text; never looked up",
        _forms,
        (Model("recorded-forms", recorded=True),),
    ),
    Check(
        "header-injection-model",
        GROUP,
        "line ends and more headers in the name of the model",
        "4xx in OpenAI's shape, without those headers",
        _injected_model,
    ),
    Check(
        "header-injection-metadata",
        GROUP,
        "line ends and more headers in `metadata` and `user`",
        "neither the answer nor the call to the provider has those headers",
        _injected_metadata,
        (Model("recorded-headers", recorded=True),),
    ),
)
