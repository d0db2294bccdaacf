"""Providers that fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

from checks.check import Bed, Check, Found, Model, tells
from checks.talk import CHAT, Reply

GROUP = "A provider that fails"
LIMIT_SECONDS = 1.0  # what both gateways are told to wait for a first byte and between two
_SOON_SECONDS = 4 * LIMIT_SECONDS
_BUDGET_SECONDS = 12.0


def _tried(bed: Bed, model: str, reply: Reply) -> str:
    tries = bed.tries(model)
    return f"{reply} after {tries} {'try' if tries == 1 else 'tries'} in {reply.seconds:.1f} s"


def _fails(model: str) -> Callable[[Bed], Found]:
    """An error of the provider's that nobody else can make good."""

    def run(bed: Bed) -> Found:
        reply = bed.client.chat(model)
        right = 500 <= reply.status < 600 and tells(reply) and bed.tries(model) <= 5
        return Found(right and reply.seconds < _BUDGET_SECONDS, _tried(bed, model, reply))

    return run


def _falls_back(model: str, most_seconds: float = _BUDGET_SECONDS) -> Callable[[Bed], Found]:
    """The other model answers, as a whole and as a stream."""

    def run(bed: Bed) -> Found:
        whole = bed.client.chat(model, f"{model} whole")
        stream = bed.client.chat(model, f"{model} streamed", stream=True)
        ok = whole.status == 200 and "word49" in whole.body.decode()
        ok_stream = stream.status == 200 and _done(stream) and "word49" in stream.body.decode()
        slowest = max(whole.seconds, stream.seconds)
        said = [
            f"{kind}{'' if good or reply.status != 200 else ' without the answer'} in {reply.seconds:.1f} s"
            for kind, good, reply in ((str(whole), ok, whole), (_stream(stream), ok_stream, stream))
        ]
        did = f"whole: {said[0]}; stream: {said[1]}"
        return Found(ok and ok_stream and slowest <= most_seconds, did)

    return run


def _done(reply: Reply) -> bool:
    return "[DONE]" in reply.events


def _stream(reply: Reply) -> str:
    if reply.status != 200:
        return str(reply)
    return "200" if _done(reply) else "200, broken off"


def _garbage(bed: Bed) -> Found:
    whole, stream = bed.client.chat("garbage-plain"), bed.client.chat("garbage-plain", stream=True)
    passed = b"<html>" in whole.body or b"<html>" in stream.body
    did = f"whole: {whole}; stream: {_stream(stream)}" + ("; HTML reached the client" if passed else "")
    told = all(one.status >= 500 and tells(one) for one in (whole, stream))
    return Found(told and not passed, did)


def _limited(bed: Bed) -> Found:
    reply = bed.client.chat("limit429-600s-plain")
    header = reply.headers.get("retry-after")
    did = f"{_tried(bed, 'limit429-600s-plain', reply)}; {_retry_after(reply)}"
    return Found(
        reply.status == 429 and tells(reply) and header == "600" and bed.tries("limit429-600s-plain") == 1, did
    )


def _honoured(bed: Bed) -> Found:
    model = "limit429-1s-plain"
    reply = bed.client.chat(model)
    tries = bed.tries(model)
    kept = reply.seconds >= 0.95 * (tries - 1)
    did = f"{_tried(bed, model, reply)}; {_retry_after(reply)}"
    return Found(reply.status == 429 and tries >= 2 and kept and reply.headers.get("retry-after") == "1", did)


def _retry_after(reply: Reply) -> str:
    """The header, perhaps under another name."""
    named = [name for name in reply.headers if name.endswith("retry-after")]
    return f"`{named[0]}: {reply.headers[named[0]]}`" if named else "no Retry-After"


def _refused(bed: Bed) -> Found:
    reply = bed.client.chat("refused401-plain")
    tries = bed.tries("refused401-plain")
    log = bed.said.read_text(errors="replace")
    alert = "ALERT" in log or "AuthenticationError" in log
    did = f"{_tried(bed, 'refused401-plain', reply)}; {'told' if alert else 'not told'} in the log"
    return Found(reply.status == 502 and tells(reply) and tries == 1 and alert, did)


def _cut(bed: Bed) -> Found:
    return _broken(bed.client.chat("cut-stream", stream=True))


def _stall(bed: Bed) -> Found:
    reply = bed.client.chat("stall-stream", stream=True)
    found = _broken(reply)
    return Found(found.right and reply.seconds < _SOON_SECONDS, f"{found.did} after {reply.seconds:.1f} s")


def _broken(reply: Reply) -> Found:
    """A stream that has begun ends with one error event, and never as if it were whole."""
    if reply.status >= 500:
        return Found(tells(reply), f"{reply} before the first word")
    errors = [event for event in reply.events if _is_error(event)]
    words = "some words, " if b"word1 " in reply.body else "no word, "
    end = "an error event" if errors else "no error event"
    end += ", then [DONE]" if _done(reply) else ""
    right = reply.status == 200 and len(errors) == 1 and not _done(reply) and b"word1 " in reply.body
    return Found(right and _is_error(reply.events[-1]), f"{words}{end}" if reply.status == 200 else str(reply))


def _is_error(event: str) -> bool:
    try:
        said = json.loads(event)
    except ValueError:
        return False
    told = said.get("error") if isinstance(said, dict) else None
    return isinstance(told, dict) and bool(told.get("message")) and bool(told.get("type") or told.get("code"))


def _silent(bed: Bed) -> Found:
    reply = bed.client.chat("hang-stream", stream=True)
    right = reply.status in (502, 503, 504) and tells(reply) and reply.seconds < _BUDGET_SECONDS
    return Found(right, _tried(bed, "hang-stream", reply))


def _flaky(bed: Bed) -> Found:
    replies = [bed.client.chat("flaky-plain", f"flaky {number}") for number in range(9)]
    good = sum(reply.status == 200 for reply in replies)
    tries = bed.tries("flaky-plain")
    return Found(good == 9 and tries <= 15, f"{good} of 9 answered, with {tries} tries")


def _slow(bed: Bed) -> Found:
    model = "slow-700ms-plain"
    reply = bed.client.chat(model, stream=True)
    return Found(reply.status == 200 and _done(reply) and bed.tries(model) == 1, _tried(bed, model, reply))


def _leaves(model: str, stream: bool) -> Callable[[Bed], Found]:
    """The client goes as soon as the provider is at work."""

    def run(bed: Bed) -> Found:
        body = {"model": model, "messages": [{"role": "user", "content": f"{model}"}], "stream": stream}
        data = json.dumps(body).encode()
        with bed.client.connect() as connection:
            connection.sendall(bed.client.head(CHAT, len(data)) + data)
            if stream:
                connection.recv(4096)
            else:
                _until(lambda: bed.tries(model) > 0)
        began = time.perf_counter()
        gone = _until(lambda: bed.left(model) > 0, 3.0)
        seconds = time.perf_counter() - began
        did = f"the provider's call ended after {seconds:.1f} s" if gone else "the provider worked on for 3 s and more"
        return Found(gone and seconds <= 1.0, did)

    return run


def _until(so: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.perf_counter() + seconds
    while not so():
        if time.perf_counter() > end:
            return False
        threading.Event().wait(0.02)
    return True


def _both(name: str, model: str, what: str, run: Callable[[Bed], Found], right: str) -> Iterator[Check]:
    """A fault where nobody else can answer, and where somebody can."""
    yield Check(name, GROUP, f"{what}, no fallback", right, run, (Model(f"{model}-plain"),))
    other = f"{model}-fallback"
    sent, answered = f"{what}, with a fallback", "200 from the other model, whole and streamed"
    yield Check(f"{name}-fallback", GROUP, sent, answered, _falls_back(other), (Model(other, "ok"),))


CHECKS = (
    *_both(
        "upstream-500",
        "error500",
        "the provider answers 500",
        _fails("error500-plain"),
        "5xx in OpenAI's shape after at most 5 tries, within 12 s",
    ),
    Check(
        "upstream-429-kept",
        GROUP,
        "the provider answers 429 with `Retry-After: 600`, no fallback",
        "429 at once with that header; not asked again before its time",
        _limited,
        (Model("limit429-600s-plain"),),
    ),
    Check(
        "upstream-429-honoured",
        GROUP,
        "the provider answers 429 with `Retry-After: 1`, no fallback",
        "asked again, never sooner than after 1 s; then 429 with the header",
        _honoured,
        (Model("limit429-1s-plain"),),
    ),
    Check(
        "upstream-429-fallback",
        GROUP,
        "the provider answers 429 with `Retry-After: 600`, with a fallback",
        "200 from the other model within 2 s, whole and streamed",
        _falls_back("limit429-600s-fallback", 2.0),
        (Model("limit429-600s-fallback", "ok"),),
    ),
    Check(
        "upstream-401",
        GROUP,
        "the provider refuses the gateway's key with a 401",
        "502, since the client's key is good; one try; told in the log",
        _refused,
        (Model("refused401-plain"),),
    ),
    *_both(
        "upstream-reset",
        "reset",
        "the provider resets the connection",
        _fails("reset-plain"),
        "5xx in OpenAI's shape after at most 5 tries, within 12 s",
    ),
    *_both(
        "upstream-garbage",
        "garbage",
        "the provider answers 200 with HTML",
        _garbage,
        "5xx in OpenAI's shape, whole and streamed; the HTML is never passed on",
    ),
    Check(
        "stream-cut",
        GROUP,
        "the provider breaks a stream off half-way",
        "the words so far, then one typed error event; no `[DONE]` (or 5xx before the first word)",
        _cut,
        (Model("cut-stream"),),
    ),
    Check(
        "upstream-silent",
        GROUP,
        "the provider accepts a stream and says nothing (time limit 1 s)",
        "502, 503 or 504 in OpenAI's shape within 12 s",
        _silent,
        (Model("hang-stream"),),
    ),
    Check(
        "upstream-silent-fallback",
        GROUP,
        "the same, with a fallback",
        "200 from the other model within 12 s, whole and streamed",
        _falls_back("hang-fallback"),
        (Model("hang-fallback", "ok", seconds=LIMIT_SECONDS),),
    ),
    Check(
        "stream-stall",
        GROUP,
        "the provider stops half-way through a stream and keeps the line open (time limit 1 s)",
        "the words so far, then one typed error event within 4 s; no `[DONE]`",
        _stall,
        (Model("stall-stream"),),
    ),
    Check(
        "upstream-flaky",
        GROUP,
        "every third call fails with 500, nine requests",
        "nine answers, with at most 15 tries",
        _flaky,
        (Model("flaky-plain"),),
    ),
    Check(
        "upstream-slow-first-token",
        GROUP,
        "the first token takes 0.7 s (time limit 1 s)",
        "the whole stream, asked for once",
        _slow,
        (Model("slow-700ms-plain"),),
    ),
    Check(
        "client-leaves-stream",
        GROUP,
        "the client leaves in the middle of a stream",
        "the provider's call is ended within 1 s",
        _leaves("stream-400x20ms", stream=True),
        (Model("stream-400x20ms"),),
    ),
    Check(
        "client-leaves-whole",
        GROUP,
        "the client leaves while it waits for a whole answer",
        "the provider's call is ended within 1 s",
        _leaves("slow-8s-plain", stream=False),
        (Model("slow-8s-plain"),),
    ),
)
