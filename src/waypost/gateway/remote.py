"""What several gateways remember together, in Redis; one that does not answer costs a request a moment, once."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waypost.errors import BadConfig, NotInstalled
from waypost.pool.secret import Secret

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
    back.

    Raises:
        NotInstalled: the client of Redis is missing.
        BadConfig: it is no URL of a Redis.
    """

    url: Secret
    section: str
    patience: float = 0.05
    available: bool = True
    _client: Redis = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError:
            raise NotInstalled(f"'{self.section}.redis' needs Redis' client; pip install 'waypost[redis]'") from None
        try:
            self._client = Redis.from_url(self.url.reveal())
        except ValueError:
            raise BadConfig(f"'{self.section}.redis' must be a URL like redis://127.0.0.1:6379/0") from None

    async def get(self, key: bytes) -> bytes | None:
        """The bytes under a key; None too when Redis does not answer at once."""
        if not self.available:
            return None
        value: Any = None
        try:
            async with asyncio.timeout(self.patience):
                value = await self._client.get(self._named(key))
        except self._failures() as error:
            self._leave(error)
        return value if isinstance(value, bytes) else None

    def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep bytes for that many seconds; what finds Redis busy or away is not kept."""
        if self.available and len(self._tasks) < _MOST_WRITES and len(value) <= _MOST_BYTES:
            self._beside(self._write(key, value, seconds))

    async def close(self) -> None:
        """Let go of Redis."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _write(self, key: bytes, value: bytes, seconds: float) -> None:
        try:
            async with asyncio.timeout(self.patience * _LATE):
                await self._client.set(self._named(key), value, ex=math.ceil(seconds))
        except self._failures() as error:
            self._leave(error)

    def _named(self, key: bytes) -> str:
        return f"waypost:{self.section}:{key.hex()}"

    def _leave(self, error: Exception) -> None:
        if self.available:
            self.available = False
            said = type(error).__name__
            _log.warning("'%s.redis' does not answer (%s); requests go on without it", self.section, said)
            self._beside(self._return())

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

    def _beside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _failures() -> tuple[type[Exception], ...]:
        from redis.exceptions import RedisError

        return (RedisError, OSError, TimeoutError)
