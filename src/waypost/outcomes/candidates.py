"""Pairs of prompts that may be near duplicates, found without comparing each with each.

MinHash signatures cut into bands (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3):
prompts that share a band are candidates.  Two kinds of prompts share bands without being alike, and are kept apart by
what near duplicates have in common: questions of one template, by their numbers, which are mixed into each band, and
by the letters of their words; and prompts under one preamble, whose common shingles are not looked at.

Shape suffixes: U prompts, C characters, B bands, S cells of a sketch, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from waypost.outcomes import wording

Hashes = NDArray[np.uint32]

_BANDS, _ROWS = 24, 3
_WINDOW = 12  # a bucket of more is sorted by its next bands, and each compared with so many that follow
_BLOCK = 500_000  # characters hashed at once
_PAIRS = 100_000  # pairs looked at, at once
_SAMPLE = 20_000  # prompts among which common shingles are counted
_COMMON, _FEW = 0.05, 20  # a shingle is common when it stands in more than this share, and this many, of them
_TABLE = np.uint32(1 << 20)
_PRIME = np.uint32(16777619)
_LETTERS, _WORDS = 32, 16


def candidates(prompts: Sequence[str]) -> Iterator[NDArray[np.int64]]:
    """Pairs of indices (P, 2) of prompts that may be near duplicates, no pair twice; no two prompts may be equal.

    >>> [pairs.tolist() for pairs in candidates(["Name a bird", "What is it?", "Name a bird!"]) if len(pairs)]
    [[[0, 2]]]
    """
    bands_UB, sketch_US = _signatures(prompts)
    seen = np.empty(0, dtype=np.int64)
    for band in range(_BANDS):
        # Those that share the next bands too stand together.
        order_U = np.lexsort([bands_UB[:, (band + after) % _BANDS] for after in (2, 1, 0)])
        found = [_fitting(*pair, sketch_US) for pair in _neighbours(bands_UB[order_U, band], order_U)]
        fresh = np.setdiff1d(np.concatenate([np.empty(0, dtype=np.int64), *found]), seen)
        seen = np.union1d(seen, fresh)
        yield np.stack(np.divmod(fresh, max(1, len(prompts))), axis=1)


def _neighbours(band_U: Hashes, order_U: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs that share a band and stand near each other in sorted order, some at a time."""
    for step in range(1, min(_WINDOW, len(band_U) - 1) + 1):
        shared_P = np.flatnonzero(band_U[step:] == band_U[:-step])
        for start in range(0, len(shared_P), _PAIRS):
            at_P = shared_P[start : start + _PAIRS]
            yield order_U[at_P], order_U[at_P + step]


def _fitting(a_P: NDArray[np.intp], b_P: NDArray[np.intp], sketch_US: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The pairs whose letters differ by no more than slips in the words that differ, as low * U + high.

    A slip makes one word another, which changes two counts of words and at most two of letters; two words may share a
    count, which the 2 allows for.
    """
    apart_PS = np.abs((sketch_US[a_P] - sketch_US[b_P]).view(np.int8).astype(np.int16))
    fits_P = apart_PS[:, :_LETTERS].sum(axis=1) <= apart_PS[:, _LETTERS:].sum(axis=1) + 2
    low_P, high_P = np.minimum(a_P, b_P)[fits_P], np.maximum(a_P, b_P)[fits_P]
    pairs_P: NDArray[np.int64] = low_P.astype(np.int64) * len(sketch_US) + high_P
    return pairs_P


def _signatures(prompts: Sequence[str]) -> tuple[Hashes, NDArray[np.uint8]]:
    """The MinHash bands of each prompt (U, B), and counts of the letters and words that say something (U, S)."""
    factors = np.random.default_rng(0).integers(1 << 31, size=(_BANDS, _ROWS, 2), dtype=np.uint32) | np.uint32(1)
    common = _common(prompts)
    bands_UB = np.empty((len(prompts), _BANDS), dtype=np.uint32)
    sketch_US = np.empty((len(prompts), _LETTERS + _WORDS), dtype=np.uint8)
    for block in _blocks(prompts):
        hash_C, starts = _shingles(prompts[block])
        rare_C = ~common[hash_C % _TABLE]
        # A prompt of common wording only keeps all of it.
        rare_C |= np.repeat(~np.logical_or.reduceat(rare_C, starts), np.diff(starts, append=len(hash_C)))
        count_U = np.add.reduceat(rare_C, starts, dtype=np.intp)
        starts = np.cumsum(count_U) - count_U
        hash_C = hash_C[rare_C]
        words = [wording.words(prompt) for prompt in prompts[block]]
        number_U = np.array([_number(each) for each in words], dtype=np.uint32)
        for band in range(_BANDS):
            bands_UB[block, band] = number_U
            for factor, shift in factors[band]:
                least_U = np.minimum.reduceat(hash_C * factor + shift, starts)
                bands_UB[block, band] = bands_UB[block, band] * _PRIME ^ least_U
        sketch_US[block] = _sketch(words)
    return bands_UB, sketch_US


def _number(words: wording.Words) -> int:
    """A hash of the numbers in any order."""
    return crc32(" ".join(sorted(word for line in words for word in line if word[-1].isdigit())).encode())


def _sketch(prompts: Sequence[wording.Words]) -> NDArray[np.uint8]:
    """Counts of the letters and of the words of each prompt."""
    heavy = [list(chain(*lines)) for lines in prompts]
    texts = ["".join(words) for words in heavy]
    letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32) % _LETTERS
    words = np.array([crc32(w.encode(errors="surrogatepass")) % _WORDS for ws in heavy for w in ws], dtype=np.uint32)
    counts = [
        np.bincount(
            np.repeat(np.arange(len(prompts)), list(map(len, of))) * cells + cell, minlength=len(prompts) * cells
        )
        for of, cell, cells in ((texts, letters, _LETTERS), (heavy, words, _WORDS))
    ]
    return np.hstack([count.reshape(len(prompts), -1) for count in counts]).astype(np.uint8)


def _common(prompts: Sequence[str]) -> NDArray[np.bool_]:
    """Which shingles (by hash) are wording that many prompts share, counted in a sample that no order changes."""
    if len(prompts) > _SAMPLE:
        rank_U = np.array([crc32(prompt.encode(errors="surrogatepass")) for prompt in prompts], dtype=np.uint32)
        prompts = [prompts[n] for n in np.argpartition(rank_U, _SAMPLE)[:_SAMPLE]]
    counts = np.zeros(int(_TABLE), dtype=np.int64)
    for block in _blocks(prompts):
        counts += np.bincount(_shingles(prompts[block])[0] % _TABLE, minlength=int(_TABLE))
    return counts > max(_FEW, _COMMON * len(prompts))


def _blocks(prompts: Sequence[str]) -> Iterator[slice]:
    """Consecutive prompts of about as many characters together."""
    end_U = np.cumsum([len(prompt) for prompt in prompts])
    start = 0
    while start < len(prompts):
        before = end_U[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(end_U, before + _BLOCK)))
        yield slice(start, stop)
        start = stop


def _shingles(prompts: Sequence[str]) -> tuple[Hashes, NDArray[np.intp]]:
    """A hash of every shingle of some prompts, one after another, and where each prompt begins."""
    texts = [wording.spaced(prompt) for prompt in prompts]
    code_C = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    length_U = np.array([len(text) for text in texts])
    inside_C = np.ones(len(code_C), dtype=np.bool_)  # shingles that do not reach into the next prompt
    hash_C = np.zeros(len(code_C), dtype=np.uint32)
    for after in range(wording.SHINGLE):
        hash_C = hash_C * _PRIME ^ np.roll(code_C, -after)
        if after:
            inside_C[np.cumsum(length_U) - after] = False
    for shift, factor in ((15, 0x85EBCA6B), (13, 0xC2B2AE35)):  # so that the low bits depend on all
        hash_C = (hash_C ^ hash_C >> np.uint32(shift)) * np.uint32(factor)
    count_U = length_U - wording.SHINGLE + 1
    return hash_C[inside_C], np.cumsum(count_U) - count_U
