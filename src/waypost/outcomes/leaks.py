"""Prompts that are the same question: equal, or near duplicates.  Shape suffixes: N prompts, U unequal ones.

Two prompts are exact duplicates when they are equal but for case, white space and Unicode form.  They are near
duplicates when they are worded alike and nothing that differs could make them another question:

- their sets of four-character shingles, punctuation aside, have a Jaccard similarity of at least `THRESHOLD`;
- their numbers and the words that say something are the same and in the same order, within each line or option
  (lines and options may change places);
- a word that differs is a slip of the keyboard (``capitol``, ``capital``).

The last two are what tells "What is 17 plus 26?" from "What is 17 plus 28?", and the many questions of one template,
few-shot preamble or passage from each other: their similarity alone is often above 0.9.  What is not found: a
paraphrase in other words or in another order, a slip in a short word or a script without case, and a question to which
an instruction was added ("Answer the following question.").

Each pair that `waypost.outcomes.candidates` proposes is verified by these rules, so what is named is one.  A pair of
similarity 0.5 is not proposed in about 4 cases of 100, one of 0.6 in 4 of 1,000; where hundreds of prompts share
almost all their words, in more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from waypost.outcomes import wording
from waypost.outcomes.candidates import candidates

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]
Pairs = NDArray[np.intp]

THRESHOLD = 0.5
_REACH = 40  # of a cluster of thousands, a prompt is compared with so many of the nearest


@dataclass(frozen=True, eq=False)
class Leaks:
    """Which test prompts are also in training: ``exact_N``, and ``near_N`` of the others.

    ``pairs`` names one training prompt for each leaked test prompt, the most similar found: (test index, training
    index, Jaccard similarity of their four-character shingles, 0..1).

    >>> leaks = find(["2 + 2?", "Name the capital of France."], ["Name the captial of France", "3 + 2?"])
    >>> leaks.exact_N.tolist(), leaks.near_N.tolist(), [pair[:2] for pair in leaks.pairs]
    ([False, False], [False, True], [(1, 0)])
    """

    exact_N: Mask
    near_N: Mask
    pairs: tuple[tuple[int, int, float], ...]

    @classmethod
    def none(cls, n: int) -> Self:
        """Of ``n`` test prompts, none leaked."""
        return cls(np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_), ())

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
    keys = texts.key_N[:n].tolist()
    found = {row: (1.0, -first[key]) for row, key in enumerate(keys) if key in first}
    exact_N, near_N = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    exact_N[list(found)] = True
    linked = _linked(texts.near(), texts.key_N)
    for row in np.flatnonzero(~exact_N).tolist():
        for other in (first[key] for key in _around(keys[row], linked) if key in first):
            similarity = texts.similarity(row, n + other)
            if similarity is not None:
                near_N[row] = True
                found[row] = max(found.get(row, (0.0, 0)), (similarity, -other))
    pairs = tuple((row, -other, similarity) for row, (similarity, other) in sorted(found.items()))
    return Leaks(exact_N, near_N, pairs)


def _linked(links: Pairs, key_N: NDArray[np.uint64]) -> dict[int, list[int]]:
    """The keys of the prompts that each is linked to."""
    linked: dict[int, list[int]] = {}
    for a, b in key_N[links].tolist():
        linked.setdefault(a, []).append(b)
        linked.setdefault(b, []).append(a)
    return linked


def _around(key: int, linked: dict[int, list[int]]) -> Iterator[int]:
    """The first few that links lead to, in fewest steps; a candidate may have been a link's neighbour only."""
    seen, line = {key}, deque([key])
    while line:
        for other in linked.get(line.popleft(), ()):
            if other not in seen:
                if len(seen) > _REACH:
                    return
                yield other
                seen.add(other)
                line.append(other)


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
        first_U = self._first_U
        found = chain.from_iterable(first_U[pairs].tolist() for pairs in candidates([self.prompts[n] for n in first_U]))
        kept = [(a, b) for a, b in found if self.similarity(a, b) is not None]
        return np.array(kept, dtype=np.intp).reshape(-1, 2)

    def similarity(self, a: int, b: int) -> float | None:
        """The Jaccard similarity of two prompts that are near, or None."""
        if not wording.alike(self._words(a), self._words(b)):
            return None
        similarity = wording.jaccard(self.prompts[a], self.prompts[b])
        return similarity if similarity >= THRESHOLD else None


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
