"""Conversations, and which models' prompt caches hold how much of them: what it costs to switch away."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from waypost.gateway.wire import Headers
from waypost.types import Answer, ModelCard, Query, message_text

_HEADER = b"x-waypost-session"
_OPENING = 4_000  # characters of each of the first turns that tell one conversation from another
_LEAST = 1024  # tokens: providers that cache by themselves do so from here on


@dataclass(slots=True)
class Sessions:
    """Remembers, for ``seconds`` after each answer, what of a conversation its models have in their prompt caches.

    A conversation is known by the header ``x-waypost-session``, by ``prompt_cache_key``, or by its opening: all up to
    the first user turn, which later requests repeat.  At most ``most`` are remembered, the latest.

    >>> sessions = Sessions(seconds=300.0)
    >>> session = sessions.of("tenant", Query.of("Hi"), [])
    >>> sessions.put(session, ModelCard("m", 1.0, 2.0, usd_per_mtok_cached=0.1), Answer("m", "Hello", 2000, 10))
    >>> sessions.cached(session)
    {'m': 2010}
    """

    seconds: float
    most: int = 10_000
    clock: Callable[[], float] = time.monotonic
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

    def put(self, session: str, card: ModelCard, answer: Answer) -> None:
        """Note what an answer has left in its model's prompt cache."""
        # Who charges for writing caches only what it is told to cache, and says how much that was.
        explicit = card.usd_per_mtok_written is not None
        total = answer.tokens_in + answer.tokens_out
        tokens = answer.tokens_cached + answer.tokens_written if explicit else total
        if card.usd_per_mtok_cached is None or tokens < (1 if explicit else _LEAST):
            return
        self._known.setdefault(session, {})[card.name] = (tokens, self.clock() + self.seconds)
        self._known.move_to_end(session)
        if len(self._known) > self.most:
            self._known.popitem(last=False)


def _opening(query: Query) -> list[str]:
    texts = []
    for message in query.messages:
        texts.append(message_text(message)[:_OPENING])
        if message.get("role") == "user":
            break
    return texts
