"""The cache as a request meets it: is there an answer, and may this one be kept."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder, named
from waypost.gateway.ask import Ask
from waypost.gateway.cache import kept
from waypost.gateway.cache.control import NotKept, control
from waypost.gateway.cache.key import Same, same
from waypost.gateway.cache.memory import Memory
from waypost.gateway.cache.nearby import Nearby
from waypost.gateway.remote import Remote
from waypost.gateway.sections.cache import CacheSettings
from waypost.gateway.wire import Headers
from waypost.outcomes.wording import folded
from waypost.types import Answer, Encoder

Hit = Literal["exact", "semantic"]


class Store(Protocol):
    """Bytes by key, for a time."""

    async def get(self, key: bytes) -> bytes | None:
        """The bytes under a key, or None."""
        ...

    def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep bytes; never waits."""
        ...

    async def close(self) -> None:
        """Let go of what the store holds."""
        ...


@dataclass(slots=True)
class Looked:
    """What came of a look into the cache: an ``answer`` and ``how`` (exact, semantic) it was found, or neither.

    Given back with the model's answer it says under which key that one is to be kept.
    """

    tenant: str
    same: Same
    writes: bool
    vector: NDArray[np.float32] | None = None
    answer: Answer | None = None
    how: Hit | None = None
    age: float = 0.0


@dataclass(slots=True)
class Cache:
    """Kept answers, each for its tenant alone.

    ``looks`` counts how they ended: exact, semantic, miss, or passed (not to be answered from the cache).

    Raises:
        NotInstalled: the client of Redis is missing.
        BadConfig: the URL is not of a Redis.
    """

    settings: CacheSettings
    looks: Counter[str] = field(default_factory=Counter)
    store: Store = field(init=False)
    nearby: Nearby | None = None
    _encoder: Encoder | None = None

    def __post_init__(self) -> None:
        chosen = self.settings
        self.store = Remote(chosen.redis, "cache") if chosen.redis is not None else Memory(chosen.max_bytes)
        if (semantic := chosen.semantic) is not None:
            self._encoder = named(semantic.encoder)
            self.nearby = Nearby(semantic.threshold, semantic.entries, semantic.same_words)

    async def look(self, tenant: str, asked: Ask, headers: Headers, models: Container[str]) -> Looked | None:
        """A kept answer of one of ``models``, or where to keep the answer that is to come; None: nowhere.

        Raises:
            NotKept: the request wants a kept answer only, and there is none.
            BadRequest: the request's header for the cache says nothing that we know.
        """
        wish = control(headers)
        found = same(tenant, asked, by_meaning=self.nearby is not None) if wish.read or wish.write else None
        if found is None:
            self.looks["passed"] += 1
            if wish.only:
                raise NotKept
            return None
        looked = Looked(tenant, found, wish.write)
        if wish.read:
            looked.answer, looked.age = await self._read(found.exact, wish.max_age, models)
            looked.how = "exact" if looked.answer is not None else None
        if looked.answer is None and found.text is not None:
            looked.vector = await self._encoded(found.text)
            if wish.read:
                await self._near(looked, wish.max_age, models)
        self.looks[looked.how or ("miss" if wish.read else "passed")] += 1
        if wish.only and looked.answer is None:
            raise NotKept
        return looked

    def keep(self, looked: Looked, answer: Answer) -> None:
        """Keep an answer that a model gave, if it is whole; never waits."""
        if not looked.writes or looked.answer is not None or not kept.is_whole(answer):
            return
        found = looked.same
        data = kept.write(found.exact, answer, time.time())
        if data is None:
            return
        self.store.put(found.exact, data, self.settings.seconds)
        vector = looked.vector
        if self.nearby is None or vector is None or found.text is None or found.group is None:
            return
        if answer.finish == "stop" and vector.any():
            self.nearby.put(looked.tenant, found.group, found.text, found.exact, vector, self.settings.seconds)

    async def close(self) -> None:
        """Let go of the store."""
        await self.store.close()

    async def _near(self, looked: Looked, max_age: float, models: Container[str]) -> None:
        nearby, vector, found = self.nearby, looked.vector, looked.same
        if nearby is None or vector is None or found.group is None or found.text is None:
            return
        for key in nearby.find(looked.tenant, found.group, found.text, vector):
            answer, age = await self._read(key, max_age, models)
            if answer is not None:
                nearby.used(looked.tenant, key)
                looked.answer, looked.age, looked.how = answer, age, "semantic"
                return

    async def _read(self, key: bytes, max_age: float, models: Container[str]) -> tuple[Answer | None, float]:
        data = await self.store.get(key)
        found = kept.read(key, data) if data is not None else None
        if found is None:
            return None, 0.0
        age = max(0.0, time.time() - found.time)
        usable = age <= min(max_age, self.settings.seconds) and found.answer.model in models
        return (found.answer, age) if usable else (None, 0.0)

    async def _encoded(self, text: str) -> NDArray[np.float32] | None:
        encoder = self._encoder
        if encoder is None:
            return None
        # Any but the static one takes milliseconds, in which no other request would be served.
        quick = isinstance(encoder, StaticEncoder)
        texts = [folded(text)]  # case and spacing weigh in vectors and say nothing
        vectors = encoder.encode(texts) if quick else await asyncio.to_thread(encoder.encode, texts)
        first: NDArray[np.float32] = vectors[0]
        return first
