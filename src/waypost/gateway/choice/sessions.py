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
_MOST_TOKENS = 1_000_000_000  # more than any conversation


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

    @property
    def together(self) -> bool:
        """Whether several gateways remember together."""
        return self.remote is not None and self.seconds > 0

    async def recall(self, session: str) -> None:
        """Learn what other gateways have noted of a session, if they can be asked; waits a moment at most."""
        if self.remote is None or not self.together:
            return
        noted = await self.remote.fields(bytes.fromhex(session))
        now, wall = self.clock(), self.wall()
        known = dict(self._known.get(session, {}))
        for name, told in noted.items():
            model, (tokens, until) = name.decode(errors="replace"), _read(told)
            # Whatever another's clock or config, it is not remembered for longer than what is noted here.
            left = min(until - wall, self.seconds)
            if left > 0 and (model not in known or known[model][1] < now + left):
                known[model] = (tokens, now + left)
        if known:
            self._remember(session, known)

    def put(self, session: str, card: ModelCard, answer: Answer) -> None:
        """Note what an answer has left in its model's prompt cache; never waits."""
        # Who charges for writing caches only what it is told to cache, and says how much that was.
        explicit = card.usd_per_mtok_written is not None
        total = answer.tokens_in + answer.tokens_out
        tokens = answer.tokens_cached + answer.tokens_written if explicit else total
        if card.usd_per_mtok_cached is None or tokens < (1 if explicit else _LEAST):
            return
        # A new dict, since another thread may be reading the old one.
        self._remember(session, {**self._known.get(session, {}), card.name: (tokens, self.clock() + self.seconds)})
        if self.remote is not None and self.together:
            told = orjson.dumps((tokens, self.wall() + self.seconds))
            self.remote.put_field(bytes.fromhex(session), card.name, told, self.seconds)

    async def close(self) -> None:
        """Let go of Redis, if there is one."""
        if self.remote is not None:
            await self.remote.close()

    def _remember(self, session: str, known: dict[str, tuple[int, float]]) -> None:
        """As the latest of those that are kept."""
        self._known[session] = known
        self._known.move_to_end(session)
        if len(self._known) > self.most:
            self._known.popitem(last=False)


def _read(told: bytes) -> tuple[int, float]:
    """What a gateway has written: tokens, and until when by the wall; for never where it is not of that shape."""
    try:
        tokens, until = orjson.loads(told)
    except (TypeError, ValueError):
        return 0, 0.0
    sound = type(tokens) is int and 0 < tokens <= _MOST_TOKENS and type(until) is float
    return (tokens, until) if sound else (0, 0.0)


def _opening(query: Query) -> list[str]:
    texts = []
    for message in query.messages:
        texts.append(message_text(message)[:_OPENING])
        if message.get("role") == "user":
            break
    return texts
