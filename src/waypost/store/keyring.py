"""The keys that the gateway knows: a copy in memory, which a thread keeps up to date."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from waypost.errors import WaypostError
from waypost.store.keys import Key

_log = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_LEAST_SECONDS = 1.0  # between two looks, however many unknown keys come


class KeyRing:
    """Finds keys without waiting for anything; what changes in the store is known some seconds later.

    ``load`` gives all keys by digest, as `KeyStore.find_all` does; it is called in a thread, every ``every`` seconds,
    and sooner (but ``least`` seconds after the last time) when a key is asked for that is unknown.  While it fails the
    keys that are known go on working, also those of a ring ``before`` this one on the same store.  ``loaded`` says
    whether keys have ever been read.

    >>> ring = KeyRing(lambda: {"some-digest": Key("k1", "laptop", "some-digest")})
    >>> ring.wait(10), ring.get("some-digest").name, ring.get("another")
    (True, 'laptop', None)
    >>> ring.close()
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, Key]],
        before: KeyRing | None = None,
        *,
        every: float = _EVERY_SECONDS,
        least: float = _LEAST_SECONDS,
    ) -> None:
        self._load = load
        self._every, self._least = every, least
        self._keys: Mapping[str, Key] = before._keys if before is not None else {}
        self._first = threading.Event()
        if before is not None and before.loaded:
            self._first.set()
        self._asked = threading.Event()  # somebody looked for a key that is unknown, or it is the end
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="waypost-keys", daemon=True)
        self._thread.start()

    @property
    def loaded(self) -> bool:
        """Whether the keys have been read at least once."""
        return self._first.is_set()

    @property
    def known(self) -> Iterable[Key]:
        """All keys, good or not."""
        return self._keys.values()

    def get(self, digest: str) -> Key | None:
        """The key with this digest; its validity is for the caller to look at."""
        key = self._keys.get(digest)
        if key is None and not self._asked.is_set():
            self._asked.set()
        return key

    def wait(self, timeout: float) -> bool:
        """Wait until the keys have been read for the first time; False when it took longer, in seconds."""
        return self._first.wait(timeout)

    def close(self) -> None:
        """End the thread, without waiting for a database that does not answer."""
        self._closed.set()
        self._asked.set()
        self._thread.join(1.0)

    def _work(self) -> None:
        failed = False
        while not self._closed.is_set():
            began = time.monotonic()
            self._asked.clear()
            try:
                self._keys = self._load()
            except Exception as error:  # noqa: BLE001 - the thread's outer edge: a key revoked later must be known
                if not failed:
                    trace = None if isinstance(error, WaypostError) else error
                    told = "the keys cannot be read, %d known ones go on working: %s"
                    _log.error(told, len(self._keys), error, exc_info=trace)
                failed = True
            else:
                self._first.set()
                if failed:
                    _log.warning("the keys can be read again")
                failed = False
            self._closed.wait(self._least)
            self._asked.wait(max(0.0, began + self._every - time.monotonic()))
