"""Which kept answer fits a request by its meaning: the nearest vectors of one tenant, and a look at the words."""

from __future__ import annotations

import re
import time
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats

_FIRST_ROWS = 64
_MOST_TENANTS = 100
_MOST_LOOKED_AT = 8

# What ends a sentence or a part of one says nothing there; anywhere else, as in ".5", "5!" or "a[1:]", it may say all.
_MARKS = ".,;:?…!"
_SHORT = ((re.compile(r"(?<=\w)n't\b"), " not"), (re.compile(r"(?<=\w)'s\b"), " is"))
# Not "a", which is as well a letter: vitamin A, x = a + b.
_IDLE = frozenset({"an", "the", "please", "Please", "kindly", "Kindly"})
_QUOTES = str.maketrans("“”‘’", "\"\"''")

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Place:
    key: bytes
    group: bytes
    said: bytes


@dataclass(slots=True)
class _Tenant:
    """One tenant's vectors; a row is in use when it has a place."""

    vectors: Vector
    groups: NDArray[np.int64]
    ends: Floats
    places: list[_Place] = field(default_factory=list)
    rows: OrderedDict[bytes, int] = field(default_factory=OrderedDict)  # by key, the longest unused first

    @classmethod
    def empty(cls, size: int, dim: int) -> Self:
        """Room for ``size`` vectors."""
        return cls(np.zeros((size, dim), np.float32), np.zeros(size, np.int64), np.zeros(size))

    def grow(self, more: int) -> None:
        """Room for ``more`` vectors."""
        room = self.empty(more, self.vectors.shape[1])
        self.vectors = np.concatenate([self.vectors, room.vectors])
        self.groups = np.concatenate([self.groups, room.groups])
        self.ends = np.concatenate([self.ends, room.ends])


@dataclass(slots=True)
class Nearby:
    """The vectors of each tenant's kept answers, at most ``entries`` a tenant, those longest unused leave first.

    Two turns are near when the cosine of their vectors is at least ``threshold`` and, with ``same_words``, when their
    `words` are the same in the same order: vectors alone take "14 °F" for "41 °F".
    """

    threshold: float
    entries: int
    same_words: bool
    tenants: OrderedDict[str, _Tenant] = field(default_factory=OrderedDict)

    def find(self, tenant: str, group: bytes, text: str, vector: Vector) -> list[bytes]:
        """The keys of the answers that fit, the nearest first."""
        shelf = self.tenants.get(tenant)
        if shelf is None:
            return []
        self.tenants.move_to_end(tenant)
        size = len(shelf.places)
        cosines = shelf.vectors[:size] @ vector
        fits = (cosines >= self.threshold) & (shelf.groups[:size] == _short(group))
        near = np.flatnonzero(fits & (shelf.ends[:size] > time.monotonic()))
        near = near[np.argsort(-cosines[near])][:_MOST_LOOKED_AT]
        places = [place for place in (shelf.places[row] for row in near) if place.group == group]
        if places and self.same_words:
            said = _digest(text)
            places = [place for place in places if place.said == said]
        return [place.key for place in places]

    def put(self, tenant: str, group: bytes, text: str, key: bytes, vector: Vector, seconds: float) -> None:
        """Remember for that many seconds under which key the answer to a turn is kept."""
        shelf = self.tenants.get(tenant)
        if shelf is None:
            shelf = self.tenants[tenant] = _Tenant.empty(min(_FIRST_ROWS, self.entries), len(vector))
            if len(self.tenants) > _MOST_TENANTS:
                self.tenants.popitem(last=False)
        self.tenants.move_to_end(tenant)
        row = self._row(shelf, key)
        shelf.vectors[row] = vector
        shelf.groups[row] = _short(group)
        shelf.ends[row] = time.monotonic() + seconds
        place = _Place(key, group, _digest(text))
        if row == len(shelf.places):
            shelf.places.append(place)
        else:
            shelf.places[row] = place

    def used(self, tenant: str, key: bytes) -> None:
        """An answer was given again."""
        shelf = self.tenants.get(tenant)
        if shelf is not None and key in shelf.rows:
            shelf.rows.move_to_end(key)

    def _row(self, shelf: _Tenant, key: bytes) -> int:
        """The row of a key: its own, a new one, or that of the longest unused."""
        row = shelf.rows.pop(key, None)
        if row is None:
            row = len(shelf.places)
            if row == self.entries:
                _, row = shelf.rows.popitem(last=False)
            elif row == len(shelf.vectors):
                shelf.grow(min(row, self.entries - row))
        shelf.rows[key] = row
        return row


def words(text: str) -> tuple[str, ...]:
    """What a turn says, word by word: what stands between spaces, but for the marks that end sentences, and courtesy.

    The case of a word counts where it has a capital inside or is one letter: "US" is not "us", nor "A" an article.

    >>> words("What's the capital of France, please?") == words("what is the capital of france")
    True
    >>> words("What is (2 + 3) * 4?") == words("What is 2 + (3 * 4)?")
    False
    """
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)  # not NFKC, to which "5²" is "52"
    for short, full in _SHORT:
        text = short.sub(full, text)
    pieces = text.split()
    last = len(pieces) - 1
    bare = (_bare(piece, place == last) for place, piece in enumerate(pieces))
    return tuple(_cased(word) for word in bare if word and word not in _IDLE)


def _bare(piece: str, last: bool) -> str:
    """A piece without the marks behind it; behind a number, a letter or a sign they go at the end of the turn only."""
    word = piece.rstrip(_MARKS)
    if word[-2:].isalpha() and len(word) > 1:
        return word
    return word + "!" * piece[len(word) :].count("!") if last else piece


def _cased(word: str) -> str:
    inner = word[1:]
    return word.lower() if inner == inner.lower() and sum(map(str.isalpha, word)) > 1 else word


def _digest(text: str) -> bytes:
    return sha256("\0".join(words(text)).encode(errors="surrogatepass")).digest()


def _short(group: bytes) -> int:
    return int.from_bytes(group[:8], "little", signed=True)
