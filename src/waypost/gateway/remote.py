"""What several gateways remember together, in Redis; one that does not answer costs a request a moment, once."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waypost.errors import BadConfig, NotInstalled
from waypost.pool.secret import Secret
from waypost.store.redis_client import redis_client

if TYPE_CHECKING:
    from redis.asyncio import Redis

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
_LATE = 4  # a write may take so many times what a read may
_MOST_WRITES = 64  # under way at once; further ones are dropped
_MOST_BYTES = 4_000_000


@dataclass(slots=True)
class Remote:
    """Bytes in Redis for a ``section`` of the config: reads wait ``patience`` seconds at most, nobody waits for writes.

    After a read or write that failed Redis is left alone, and asked once a second, beside the requests, whether it is
    back.  What it answers and refuses, as when it is full, is said once.

    Raises:
        NotInstalled: the client of Redis is missing.
        BadConfig: it is no URL of a Redis.
    """

    url: Secret
    section: str
    patience: float = 0.05
    available: bool = True
    _client: Redis = field(init=False)
    _writes: set[asyncio.Task[None]] = field(default_factory=set)
    _probe: asyncio.Task[None] | None = None
    _refused: bool = False

    def __post_init__(self) -> None:
        try:
            self._client = redis_client(self.url.reveal(), decode_responses=False)
        except ModuleNotFoundError:
            raise NotInstalled(f"'{self.section}.redis' needs Redis' client; pip install 'waypost[redis]'") from None
        except ValueError:
            raise BadConfig(
                f"'{self.section}.redis' must be a URL like redis://127.0.0.1:6379/0, with no options but those of "
                "Redis' client"
            ) from None

    async def get(self, key: bytes) -> bytes | None:
        """The bytes under a key; None too when Redis does not answer at once."""
        value = await self._asked(lambda: self._client.get(self._named(key)), self.patience)
        return value if isinstance(value, bytes) else None

    async def fields(self, key: bytes) -> dict[bytes, bytes]:
        """The fields under a key; none too when Redis does not answer at once."""
        found = await self._asked(lambda: self._client.hgetall(self._named(key)), self.patience)
        return found if isinstance(found, dict) else {}

    def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep bytes for that many seconds; what finds Redis busy or away is not kept."""
        if len(value) <= _MOST_BYTES:
            self._write(lambda: self._client.set(self._named(key), value, ex=math.ceil(seconds)))

    def put_field(self, key: bytes, name: str, value: bytes, seconds: float) -> None:
        """Keep bytes as one field under a key, and all its fields for that many seconds; else as `put`."""

        async def write() -> None:
            async with self._client.pipeline() as both:
                both.hset(self._named(key), name, value)
                both.expire(self._named(key), math.ceil(seconds))
                await both.execute()

        self._write(write)

    async def close(self) -> None:
        """Let what is being written be written, for a moment, and let go of Redis."""
        if self._probe is not None:
            self._probe.cancel()
        if self._writes:
            await asyncio.wait(self._writes, timeout=self.patience * _LATE)
        left = [*self._writes, *([] if self._probe is None else [self._probe])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._client.aclose()

    def _write(self, work: Callable[[], Awaitable[Any]]) -> None:
        if self.available and len(self._writes) < _MOST_WRITES:
            task = asyncio.create_task(self._asked(work, self.patience * _LATE))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _asked(self, work: Callable[[], Awaitable[Any]], patience: float) -> Any:
        """What Redis says, or None where it says nothing in time or that it will not."""
        if not self.available:
            return None
        from redis.exceptions import ResponseError

        try:
            async with asyncio.timeout(patience):
                said = await work()
        except ResponseError as error:
            if not self._refused:
                self._refused = True
                _log.error("'%s.redis' refuses what it is asked: %s; requests go on without it", self.section, error)
        except self._failures() as error:
            self._leave(error)
        else:
            self._refused = False
            return said
        return None

    def _named(self, key: bytes) -> str:
        return f"waypost:{self.section}:{key.hex()}"

    def _leave(self, error: Exception) -> None:
        if self.available:
            self.available = False
            said = type(error).__name__
            _log.warning("'%s.redis' does not answer (%s); requests go on without it", self.section, said)
            self._probe = asyncio.create_task(self._return())

    async def _return(self) -> None:
        while not self.available:
            await asyncio.sleep(_PROBE_SECONDS)
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._client.ping()
            except self._failures():
                continue
            self.available = True
            _log.warning("'%s.redis' answers again", self.section)

    @staticmethod
    def _failures() -> tuple[type[Exception], ...]:
        from redis.exceptions import RedisError

        return (RedisError, OSError, TimeoutError)
