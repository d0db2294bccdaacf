"""Conversations, and which models' prompt caches hold how much of them: what it costs to switch away."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from waypost.gateway.remote import Remote
from waypost.gateway.wire import Headers
from waypost.types import Answer, ModelCard, Query, message_text

_HEADER = b"x-waypost-session"
_OPENING = 4_000  # characters of each of the first turns that tell one conversation from another
_LEAST = 1024  # tokens: providers that cache by themselves do so from here on


@dataclass(slots=True)
class Sessions:
    """Remembers, for ``seconds`` after each answer, what of a conversation its models have in their prompt caches.

    A conversation is known by the header ``x-waypost-session``, by ``prompt_cache_key``, or by its opening: all up to
    the first user turn, which later requests repeat.  At most ``most`` are remembered, the latest.  In ``remote``, if
    there is one, several gateways remember together.

    >>> sessions = Sessions(seconds=300.0)
    >>> session = sessions.of("tenant", Query.of("Hi"), [])
    >>> sessions.put(session, ModelCard("m", 1.0, 2.0, usd_per_mtok_cached=0.1), Answer("m", "Hello", 2000, 10))
    >>> sessions.cached(session)
    {'m': 2010}
    """

    seconds: float
    most: int = 10_000
    clock: Callable[[], float] = time.monotonic
    remote: Remote | None = None
    wall: Callable[[], float] = time.time  # which gateways have in common
    _known: OrderedDict[str, dict[str, tuple[int, float]]] = field(default_factory=OrderedDict)

    def of(self, tenant: str, query: Query, headers: Headers) -> str:
        """The session of a request: a hash, never the same for two tenants."""
        said = next((value.decode("latin-1") for name, value in headers if name == _HEADER), None)
        told = said or query.parameters.get("prompt_cache_key")
        opening = [told] if isinstance(told, str) else _opening(query)
        return hashlib.sha256("\0".join([tenant, *opening]).encode(errors="replace")).hexdigest()[:32]

    def cached(self, session: str) -> Mapping[str, int]:
        """By model: tokens of the conversation in its prompt cache."""
        known = self._known.get(session)
        if known is None:
            return {}
        now = self.clock()
        return {model: tokens for model, (tokens, until) in known.items() if until > now}

    async def recall(self, session: str) -> None:
        """Learn what other gateways have noted of a session, if they can be asked; waits a moment at most."""
        found = await self.remote.get(bytes.fromhex(session)) if self.remote is not None else None
        if found is None:
            return
        earlier = self.wall() - self.clock()
        known = self._known.setdefault(session, {})
        for model, tokens, until in _read(found):
            if model not in known or known[model][1] < until - earlier:
                known[model] = (tokens, until - earlier)
        self._forget(session)

    def put(self, session: str, card: ModelCard, answer: Answer) -> None:
        """Note what an answer has left in its model's prompt cache; never waits."""
        # Who charges for writing caches only what it is told to cache, and says how much that was.
        explicit = card.usd_per_mtok_written is not None
        total = answer.tokens_in + answer.tokens_out
        tokens = answer.tokens_cached + answer.tokens_written if explicit else total
        if card.usd_per_mtok_cached is None or tokens < (1 if explicit else _LEAST):
            return
        now = self.clock()
        known = self._known.setdefault(session, {})
        known[card.name] = (tokens, now + self.seconds)
        self._forget(session)
        if self.remote is not None and self.seconds > 0:
            earlier = self.wall() - now
            told = [(model, read, until + earlier) for model, (read, until) in known.items() if until > now]
            self.remote.put(bytes.fromhex(session), orjson.dumps(told), self.seconds)

    async def close(self) -> None:
        """Let go of Redis, if there is one."""
        if self.remote is not None:
            await self.remote.close()

    def _forget(self, latest: str) -> None:
        """Keep no more than the latest sessions."""
        self._known.move_to_end(latest)
        if len(self._known) > self.most:
            self._known.popitem(last=False)


def _read(found: bytes) -> list[tuple[str, int, float]]:
    """What a gateway has written: model, tokens and until when; nothing where it is not of that shape."""
    try:
        return [(str(model), int(tokens), float(until)) for model, tokens, until in orjson.loads(found)]
    except (TypeError, ValueError):
        return []


def _opening(query: Query) -> list[str]:
    texts = []
    for message in query.messages:
        texts.append(message_text(message)[:_OPENING])
        if message.get("role") == "user":
            break
    return texts
