"""A line to Redis on which nothing waits for long: scripts go in batches, and what is owed is kept until it is told."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from waypost.store.redis_client import redis_client
from waypost.store.redis_scripts import SCRIPTS

_log = logging.getLogger(__name__)

_BATCH = 128
_PROBE_SECONDS = 0.25
_OPEN_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
_SHA = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in SCRIPTS.items()}

Arguments = Sequence[str | int]


@dataclass(slots=True)
class Command:
    """One script to run; its ``arguments`` are asked for when it is sent, each time, and ``heard`` gets the reply."""

    script: str
    keys: Sequence[str]
    arguments: Callable[[], Arguments]
    heard: Callable[[Any], None]

    def words(self) -> Arguments:
        """As Redis reads it."""
        return ("EVALSHA", _SHA[self.script], len(self.keys), *self.keys, *self.arguments())


@dataclass(slots=True)
class RedisLink:
    """Asks Redis and waits at most ``wait`` seconds for it; ``up`` is false until it answers, and after any silence.

    What is owed is sent again until Redis has said that it knows, so each command must bear being run twice.  ``beats``
    are commands to send three times in ``lease`` seconds.

    Raises:
        ModuleNotFoundError: the package redis is missing.
        ValueError: the URL is none of a Redis.
    """

    url: str = field(repr=False)
    wait: float
    lease: float
    beats: Callable[[], Iterable[Command]]
    up: bool = field(default=False, init=False)
    _client: Any = field(init=False, repr=False)
    _errors: tuple[type[Exception], ...] = field(init=False, repr=False)
    _problem: str = field(default="", init=False)
    _worker: asyncio.Task[None] | None = field(default=None, init=False)
    _asked: deque[tuple[Command, asyncio.Future[Any]]] = field(default_factory=deque, init=False)
    _owed: deque[Command] = field(default_factory=deque, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        # What is tried twice is ours to say: a script that came too late must not be sent again behind our back.  So is
        # how long to wait, which the client would time for each reply of a batch.
        self._client = redis_client(self.url, decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=None)
        self._errors = (RedisError, OSError)

    def __len__(self) -> int:
        return len(self._owed)

    async def open(self) -> None:
        """Connect, for a second at most; without an answer the search goes on behind."""
        if self._worker is not None:
            return
        self.up = await self._load()
        if not self.up:
            _log.warning("Redis is not there (%s): this process keeps limits by itself until it is", self._problem)
        self._worker = asyncio.create_task(self._work())

    async def ask(self, script: str, keys: Sequence[str], arguments: Arguments) -> Any:
        """What Redis says, or None when it says nothing in time; the script may run all the same, and later."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def heard(said: Any) -> None:
            if not reply.done():
                reply.set_result(said)

        self._asked.append((Command(script, keys, lambda: arguments, heard), reply))
        self._wake.set()
        return await reply

    def owe(self, command: Command) -> None:
        """Send a command when Redis can take it; never waits."""
        self._owed.append(command)
        self._wake.set()

    async def close(self) -> None:
        """Send what is owed, for two seconds at most, and hang up."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})
        if self._owed and (self.up or await self._load()):
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    while self._owed and await self._deliver(_OPEN_SECONDS):
                        pass
        if self._owed:
            _log.error("Redis was not told how %d requests and calls ended; the store has their costs", len(self._owed))
        self.up = False
        self._trip()
        await self._client.aclose()

    async def _work(self) -> None:
        beat = time.monotonic() + self.lease / 3
        while True:
            try:
                beat = await self._turn(beat)
            except Exception as error:  # noqa: BLE001 - the task's outer edge: whoever asks waits for it
                self._problem = f"{type(error).__name__}: {error}"
                if self.up:
                    _log.error("what Redis says cannot be understood", exc_info=error)
                self._trip()

    async def _turn(self, beat: float) -> float:
        """Look for Redis, or tell it what there is to tell; returns when the next beat is due."""
        if not self.up:
            await asyncio.sleep(_PROBE_SECONDS)
            await self._return()
            return beat
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, beat - time.monotonic())):
                await self._wake.wait()
        self._wake.clear()
        if time.monotonic() >= beat:
            beat = time.monotonic() + self.lease / 3
            self._owed.extend(self.beats())
            if not self._owed and not self._asked and await self._send([("PING",)], _OPEN_SECONDS) is None:
                self._trip()  # nobody has met its silence yet, and it should be seen
        # Who asks may wait for the batch before its own, so each has half of the time.
        while (self._asked or self._owed) and await self._deliver(self.wait / 2):
            pass
        return beat

    async def _return(self) -> None:
        """If Redis answers again, tell it what it missed; only then is it asked."""
        if not await self._load():
            return
        while self._owed:
            # Under load more is owed by the end of each delivery; a last batch may be left to go before what is asked.
            last = len(self._owed) <= _BATCH
            if not await self._deliver(_OPEN_SECONDS):  # nobody waits for it yet
                return
            if last:
                break
        self.up = True
        _log.warning("Redis answers again: limits are kept together again")

    async def _load(self) -> bool:
        # Nobody waits for this, and the first connection takes longest.
        load = [("SCRIPT", "LOAD", text) for text in SCRIPTS.values()]
        return await self._send(load, _OPEN_SECONDS) is not None

    async def _deliver(self, patience: float) -> bool:
        """Send some of what waits, debts first, so that what they free can be used."""
        owed = [self._owed.popleft() for _ in range(min(_BATCH, len(self._owed)))]
        asked = [self._asked.popleft() for _ in range(min(_BATCH, len(self._asked)))]
        commands = [*owed, *(command for command, _ in asked)]
        replies = None
        try:
            replies = await self._send([command.words() for command in commands], patience)
        finally:
            if replies is None:
                self._owed.extendleft(reversed(owed))
                self._asked.extendleft(reversed(asked))
        if replies is None:
            self._trip()
            return False
        try:
            for command, reply in zip(commands, replies, strict=True):
                command.heard(reply)
        finally:
            _give_up(waiting for _, waiting in asked)
        return True

    async def _send(self, commands: Sequence[Arguments], patience: float) -> list[Any] | None:
        """The replies, or None when they do not come in time or one of them is an error."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        task = asyncio.ensure_future(self._exchange(_packed(commands), len(commands)))
        try:
            done, _ = await asyncio.wait({task}, timeout=patience)
            if not done and loop.time() > began + 1.2 * patience:
                # It is this process that is late, and the reply may lie there unread.
                done, _ = await asyncio.wait({task}, timeout=patience)
            if done:
                return task.result()
            self._problem = f"silent for {1000 * patience:g} ms"
        except self._errors as error:
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        return None

    async def _exchange(self, packed: bytes, replies: int) -> list[Any]:
        """What a pipeline of the client does, which for each word of each command takes ten times as long."""
        pool = self._client.connection_pool
        connection = await pool.get_connection()
        try:
            await connection.send_packed_command(packed)
            return [await connection.read_response() for _ in range(replies)]
        except BaseException:
            # What is still to come would be taken for the replies to something else.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    def _trip(self) -> None:
        """From now on nobody is asked, and those who have asked decide for themselves."""
        if self.up:
            _log.warning("Redis fails (%s): this process keeps limits by itself until it answers", self._problem)
        self.up = False
        _give_up(reply for _, reply in self._asked)
        self._asked.clear()


def _give_up(replies: Iterable[asyncio.Future[Any]]) -> None:
    """Let those who still wait decide for themselves."""
    for reply in replies:
        if not reply.done():
            reply.set_result(None)


def _packed(commands: Iterable[Arguments]) -> bytes:
    r"""Commands as they go over the wire.

    >>> _packed([("GET", "a"), ("EXPIRE", "a", 10)])
    b'*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$6\r\nEXPIRE\r\n$1\r\na\r\n$2\r\n10\r\n'
    """
    parts = []
    for words in commands:
        parts.append(b"*%d\r\n" % len(words))
        for word in words:
            told = str(word).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(told), told))
    return b"".join(parts)
