"""Prompts that are the same question: equal, or near duplicates.  Shape suffixes: N prompts, C characters, B bands.

Two prompts are exact duplicates when they are equal but for case, white space and Unicode form.  They are near
duplicates when they are worded alike and nothing that differs could make them another question:

- their sets of four-character shingles have a Jaccard similarity of at least `THRESHOLD`;
- their numbers are the same, in the same order within each line or option (lines and options may change places);
- every other word that only one of them has is a slip of the keyboard away from a word that only the other has
  (``capitol``, ``capital``), or says nothing (``the``, ``please``).

The last two are what tells "What is 17 plus 26?" from "What is 17 plus 28?", and the many questions of one template,
few-shot preamble or passage from each other: their similarity alone is often above 0.9.  A paraphrase in other words
is not found.

Candidates are found by MinHash with banding (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets,
chapter 3), and each is then verified by the rules above, so a pair that is named is one; a pair of similarity 0.6 is
missed in about one case of a hundred, of 0.7 in one of ten thousand, more often where hundreds of prompts share almost
all their words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from waypost.outcomes import wording

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]
Pairs = NDArray[np.intp]

THRESHOLD = 0.5
_BANDS, _ROWS = 24, 3
_BLOCK = 4096  # prompts hashed at once: about 2 MB of characters
_WINDOW = 24  # how many that share a band each is compared with; a bucket of more is compared in order of similarity
_SAMPLE = 20_000  # prompts among which common shingles are counted
_COMMON = 0.05  # a shingle in more of the prompts than this is wording that all share
_FEW = 20  # and in at least as many
_TABLE = np.uint32(1 << 20)
_PRIME = np.uint32(16777619)
_NONE = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, eq=False)
class Leaks:
    """Which test prompts are also in training: ``exact_N``, and ``near_N`` of the others.

    ``pairs`` names one training prompt for each leaked test prompt, the most similar: (test index, training index,
    Jaccard similarity of their four-character shingles, 0..1).

    >>> leaks = find(["2 + 2?", "Name the capital of France."], ["Name the captial of France", "3 + 2?"])
    >>> leaks.exact_N.tolist(), leaks.near_N.tolist(), [pair[:2] for pair in leaks.pairs]
    ([False, False], [False, True], [(1, 0)])
    """

    exact_N: Mask
    near_N: Mask
    pairs: tuple[tuple[int, int, float], ...]

    @property
    def leaked_N(self) -> Mask:
        """Exact or near duplicates of a training prompt."""
        return self.exact_N | self.near_N

    def __len__(self) -> int:
        """How many test prompts leaked."""
        return int(self.leaked_N.sum())


def clusters(prompts: Sequence[str], sources: Sequence[str] = ()) -> Indices:
    """A number for each prompt, equal for exact and near duplicates and for prompts of one (named) source.

    The number is the index of the first prompt of its cluster.  Chains join: if b is near a and c near b, all three
    are in one cluster.

    Raises:
        ValueError: ``sources`` has another length than ``prompts``.

    >>> clusters(["Say hello!", "say  HELLO!", "Name a bird.", "Name a river."], ["", "", "walk", "walk"]).tolist()
    [0, 0, 2, 2]
    """
    if len(sources) not in (0, len(prompts)):
        raise ValueError(f"there are {len(prompts)} prompts and {len(sources)} sources; give one for each, or none")
    texts = _Texts(prompts)
    first: dict[str, int] = {}
    shared = [(n, first.setdefault(source, n)) for n, source in enumerate(sources) if source]
    links = [texts.equal(), texts.near(), np.array(shared, dtype=np.intp).reshape(-1, 2)]
    return _joined(np.concatenate(links), len(prompts))


def find(test: Sequence[str], train: Sequence[str]) -> Leaks:
    """The test prompts that are also among the training prompts, exactly or nearly.

    >>> find(["Which planet is the largest?"], ["Which planet is the  LARGEST?"]).exact_N.tolist()
    [True]
    """
    texts, n = _Texts([*test, *train]), len(test)
    first: dict[int, int] = {}
    for row, key in enumerate(texts.key_N[n:].tolist()):
        first.setdefault(key, row)
    found = {row: (1.0, -first[key]) for row, key in enumerate(texts.key_N[:n].tolist()) if key in first}
    exact_N, near_N = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    exact_N[list(found)] = True
    label_N = _joined(np.concatenate([texts.equal(), texts.near()]), len(texts.prompts))
    trained: dict[int, list[int]] = {}
    for row in first.values():
        trained.setdefault(int(label_N[n + row]), []).append(row)
    for row in np.flatnonzero(~exact_N).tolist():
        for other in trained.get(int(label_N[row]), ()):
            similarity = texts.similarity(row, n + other)
            if similarity is not None:
                near_N[row] = True
                found[row] = max(found.get(row, (0.0, 0)), (similarity, -other))
    pairs = tuple((row, -other, similarity) for row, (similarity, other) in sorted(found.items()))
    return Leaks(exact_N, near_N, pairs)


class _Texts:
    """Prompts that are searched: which are equal, and which others are near."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self.prompts = prompts
        self._words = lru_cache(maxsize=1 << 15)(lambda n: wording.words(prompts[n]))

    @cached_property
    def key_N(self) -> NDArray[np.uint64]:
        """A hash of each folded prompt: equal for exact duplicates."""
        return np.fromiter(map(_key, self.prompts), np.uint64, len(self.prompts))

    @cached_property
    def _first_U(self) -> Indices:
        """The first of each set of equal prompts, in an order that does not depend on theirs."""
        return np.unique(self.key_N, return_index=True)[1].astype(np.intp)

    def equal(self) -> Pairs:
        """Links of each prompt to the first that equals it, (links, 2)."""
        _, first_U, unique_N = np.unique(self.key_N, return_index=True, return_inverse=True)
        return np.column_stack([np.arange(len(self.prompts)), first_U[unique_N]]).astype(np.intp)

    def near(self) -> Pairs:
        """Links of prompts that are near each other, (links, 2); chains are not spelt out."""
        kept = [(a, b) for a, b in self._candidates() if self.similarity(a, b) is not None]
        return np.array(kept, dtype=np.intp).reshape(-1, 2)

    def similarity(self, a: int, b: int) -> float | None:
        """The Jaccard similarity of two prompts that are near, or None."""
        if not wording.alike(self._words(a), self._words(b)):
            return None
        similarity = wording.jaccard(self.prompts[a], self.prompts[b])
        return similarity if similarity >= THRESHOLD else None

    def _candidates(self) -> Iterator[tuple[int, int]]:
        """Pairs of unequal prompts that share a band, each once."""
        first_U = self._first_U
        band_UB = _bands([self.prompts[n] for n in first_U], _common(self.prompts, first_U))
        seen = np.empty(0, dtype=np.int64)
        for band in range(_BANDS):
            # Those that share the next bands too stand together.
            order_U = np.lexsort([band_UB[:, (band + after) % _BANDS] for after in (2, 1, 0)])
            band_U = band_UB[order_U, band]
            pairs = np.concatenate([_neighbours(band_U, order_U, step) for step in range(1, _WINDOW + 1)])
            fresh = np.setdiff1d(pairs, seen)
            seen = np.union1d(seen, fresh)
            for pair in fresh.tolist():
                yield int(first_U[pair // len(first_U)]), int(first_U[pair % len(first_U)])


def _key(prompt: str) -> int:
    return int.from_bytes(blake2b(wording.folded(prompt).encode(errors="surrogatepass"), digest_size=8).digest())


def _joined(links: Pairs, n: int) -> Indices:
    """Connected components as the index of the first of each, (N,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), shape=(n, n))
    label_N = connected_components(graph, directed=False)[1]
    _, first, label_N = np.unique(label_N, return_index=True, return_inverse=True)
    return first.astype(np.intp)[label_N]


def _neighbours(band_U: NDArray[np.uint32], order_U: Indices, step: int) -> NDArray[np.int64]:
    """The pairs that stand ``step`` apart in sorted order and share the band, as low * U + high."""
    at = np.flatnonzero(band_U[step:] == band_U[:-step])
    a, b = order_U[at].astype(np.int64), order_U[at + step].astype(np.int64)
    return np.minimum(a, b) * len(order_U) + np.maximum(a, b)


def _common(prompts: Sequence[str], first_U: Indices) -> Mask:
    """Which shingles (by hash) are wording that many prompts share, counted in a sample of the unequal ones."""
    sample = [prompts[n] for n in first_U[:_SAMPLE]]  # in the order of their hashes, so at random
    counts = np.zeros(int(_TABLE), dtype=np.int32)
    for start in range(0, len(sample), _BLOCK):
        hash_C, _ = _hashes(sample[start : start + _BLOCK])
        counts += np.bincount(hash_C % _TABLE, minlength=int(_TABLE)).astype(np.int32)
    return counts > max(_FEW, _COMMON * len(sample))


def _bands(prompts: Sequence[str], common: Mask) -> NDArray[np.uint32]:
    """The MinHash bands of each prompt, each mixed with its numbers, which near duplicates share: (U, B)."""
    random = np.random.default_rng(0)
    factors = random.integers(1 << 31, size=(_BANDS * _ROWS, 2), dtype=np.uint32) | np.uint32(1)
    bands_UB = np.empty((len(prompts), _BANDS), dtype=np.uint32)
    for start in range(0, len(prompts), _BLOCK):
        block = prompts[start : start + _BLOCK]
        hash_C, starts = _hashes(block)
        rare_C = ~common[hash_C % _TABLE]
        # A prompt of common wording only keeps all of it.
        rare_C |= np.repeat(~np.logical_or.reduceat(rare_C, starts), np.diff(np.append(starts, len(hash_C))))
        kept = np.add.reduceat(rare_C, starts)
        hash_C, starts = hash_C[rare_C], np.concatenate([[0], np.cumsum(kept)[:-1]])
        number_N = np.fromiter(map(wording.number_hash, block), np.uint32, len(block))
        for band in range(_BANDS):
            value = number_N
            for factor, shift in factors[band * _ROWS : (band + 1) * _ROWS]:
                value = value * _PRIME ^ np.minimum.reduceat(hash_C * factor + shift, starts)
            bands_UB[start : start + len(block), band] = value
    return bands_UB


def _hashes(prompts: Sequence[str]) -> tuple[NDArray[np.uint32], Indices]:
    """A hash of every shingle of some prompts, one after another, and where each prompt begins."""
    texts = [wording.spaced(prompt) for prompt in prompts]
    length_N = np.array([len(text) for text in texts])
    code_C = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    ends = np.cumsum(length_N)
    whole = np.ones(len(code_C), dtype=np.bool_)  # shingles that do not reach into the next prompt
    hash_C = np.zeros(len(code_C), dtype=np.uint32)
    for back in range(wording.SHINGLE):
        hash_C = (hash_C * _PRIME) ^ np.roll(code_C, -back)
        if back:
            whole[ends - back] = False
    hash_C ^= hash_C >> np.uint32(15)
    hash_C *= np.uint32(0x85EBCA6B)
    hash_C ^= hash_C >> np.uint32(13)
    counts = length_N - wording.SHINGLE + 1
    return hash_C[whole], np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
