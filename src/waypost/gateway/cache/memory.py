"""Kept answers in this process: as many as fit, the longest unused leave first."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

# What Python needs for an entry beside its bytes: two keys, a tuple, a float, a place in the dictionary.
_ENTRY_BYTES = 400


@dataclass(slots=True)
class Memory:
    """A store of at most ``max_bytes`` bytes, whatever the number of entries.

    >>> store = Memory(max_bytes=1000)
    >>> store.put(b"a", b"x" * 300, seconds=60); store.put(b"b", b"x" * 300, seconds=60)
    >>> sorted(store.entries)
    [b'b']
    """

    max_bytes: int
    size: int = 0
    entries: OrderedDict[bytes, tuple[bytes, float]] = field(default_factory=OrderedDict)

    async def get(self, key: bytes) -> bytes | None:
        """The bytes under a key, unless they are too old."""
        found = self.entries.get(key)
        if found is None:
            return None
        value, end = found
        if time.monotonic() >= end:
            self._forget(key)
            return None
        self.entries.move_to_end(key)
        return value

    def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep bytes for that many seconds; what is larger than all that may be kept is not."""
        if key in self.entries:
            self._forget(key)
        if len(value) + _ENTRY_BYTES > self.max_bytes:
            return
        self.entries[key] = (value, time.monotonic() + seconds)
        self.size += len(value) + _ENTRY_BYTES
        while self.size > self.max_bytes:
            self._forget(next(iter(self.entries)))

    async def close(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.size = 0

    def _forget(self, key: bytes) -> None:
        value, _ = self.entries.pop(key)
        self.size -= len(value) + _ENTRY_BYTES
