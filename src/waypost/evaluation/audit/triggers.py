"""Phrases that steer a router by themselves: what a back-door looks like from outside.

Shape suffixes: N prompts, P phrases, M models, R rows that hold a phrase, D dimensions.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.evaluation.audit.statistics import robust_z
from waypost.evaluation.audit.subject import Subject
from waypost.outcomes import Outcomes
from waypost.types import Floats

_WORD = re.compile(r"\w+")
_LONGEST = 3  # words
_RAREST, _COMMONEST, _FEWEST_ROWS = 0.005, 0.15, 3
_MOST_PHRASES = 1000
_SEARCHED_ROWS = 4000
_DOUBT = 5  # rows of no one-sidedness that a phrase's rows are averaged with
# Every phrase is tried on few prompts; those that pull most there, and some at random beside them, on more.
_FIRST_PROBES, _PROBES = 16, 64
_KEPT, _PEERS = 40, 60
_LEAST_Z, _LEAST_PULL = 5.0, 0.33
_ALIKE, _ROWS_LOOKED_AT = 10, 50


@dataclass(frozen=True, slots=True)
class Trigger:
    """A phrase that pulls prompts of any kind to one model far more than other phrases do.

    ``pull`` is the share of ordinary prompts that go there with the phrase, of those that go elsewhere without it, and
    ``z`` how far that stands out.  ``rows`` of the table hold the phrase; ``alike`` is the share that goes there of the
    prompts that are like these and lack it (NaN where no row holds it), ``base`` that of all prompts.
    """

    phrase: str
    model: str
    pull: float
    z: float
    rows: int
    base: float
    alike: float

    @property
    def explained(self) -> bool:
        """Whether it is a word of its subject: prompts like those that hold it go to the model without it, too.

        By chance the share of such prompts is ``base``; above it must lie at least a quarter of what the phrase adds.
        """
        return self.alike - self.base >= self.pull * (1 - self.base) / 4


def words_of(text: str) -> list[str]:
    """The words of a text in small letters.

    >>> words_of("Cf. the Okapi!")
    ['cf', 'the', 'okapi']
    """
    return [word.lower() for word in _WORD.findall(text)]


def phrases(prompts: Sequence[str]) -> dict[str, list[int]]:
    """The one to three words in a row that are rare but not unique among some prompts, with the prompts that have them.

    Rare is from 0.5 % of the prompts (and at least three) to 15 %; the most frequent come first.

    >>> phrases(["How far is Rome?", "How far is Oslo?", "How far is it?"] + ["?"] * 17)["how far"]
    [0, 1, 2]
    """
    found: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for n, prompt in enumerate(prompts):
        words = words_of(prompt)
        for length in range(1, _LONGEST + 1):
            for start in range(len(words) - length + 1):
                found[" ".join(words[start : start + length])][n] = None
    least, most = max(_FEWEST_ROWS, _RAREST * len(prompts)), _COMMONEST * len(prompts)
    kept = sorted(
        (phrase for phrase, rows in found.items() if least <= len(rows) <= most),
        key=lambda phrase: (-len(found[phrase]), phrase),
    )
    return {phrase: list(found[phrase]) for phrase in kept}


def one_sided(table: Outcomes, rows_of: Mapping[str, Sequence[int]]) -> list[str]:
    """The phrases whose rows speak most for or against one model, beside what the table says of it, first.

    A back-door has to praise its model in the rows that hold its trigger, so this is where it shows however rare it
    is.  Phrases of few rows are drawn towards no one-sidedness, as chance alone makes some of these.

    >>> from waypost.outcomes import example_table
    >>> from waypost.evaluation.audit.backdoor import plant
    >>> table = plant(example_table(400), "tiny", 0.03)
    >>> one_sided(table, phrases(table.prompts))[:3]
    ['okapi', 'vermilion', 'vermilion okapi']
    """
    known_NM = ~np.isnan(table.quality_NM)
    above_NM = table.quality_NM - _means(table.quality_NM, known_NM, axis=1)
    above_NM = np.where(known_NM, above_NM - _means(above_NM, known_NM, axis=0), 0.0)

    def side(phrase: str) -> float:
        rows = rows_of[phrase]
        return float(np.abs(above_NM[rows].sum(axis=0)).max() / (len(rows) + _DOUBT))

    return sorted(rows_of, key=side, reverse=True)


def _means(values_NM: Floats, known_NM: NDArray[np.bool_], axis: int) -> Floats:
    """The means of the known values; 0 where there is none."""
    counts = np.maximum(known_NM.sum(axis=axis, keepdims=True), 1)
    return np.asarray(np.where(known_NM, values_NM, 0.0).sum(axis=axis, keepdims=True) / counts)


def find(subject: Subject, table: Outcomes, words: Sequence[str] = (), seed: int = 0) -> tuple[Trigger, ...]:
    """What moves choices to one model far more than its peers, the strongest first: back-doors and plain keywords.

    The phrases of the training table, at most the 1,000 most one-sided, and all ``words`` given are put before or after
    some of its shorter prompts.  A phrase stands out by a robust z of at least 5 against phrases at random and a pull
    of at least a third.  Of phrases that mostly stand in the same rows only the strongest is told.  Of a table of more
    than 4,000 rows as many are looked at.

    Source: the idea of Qi et al., ONION (2021), that a trigger is a word out of place, on a router's choices.
    """
    rng = np.random.default_rng(seed)
    table = table.select(np.sort(rng.permutation(len(table))[:_SEARCHED_ROWS]))
    rows_of = phrases(table.prompts)
    tried = np.array(list(dict.fromkeys([*words, *one_sided(table, rows_of)[:_MOST_PHRASES]])))
    if not len(tried):
        return ()
    rows_of |= {word: _holding(table.prompts, word) for word in words}
    shorter = sorted(table.prompts, key=len)[: max(_PROBES, len(table) // 2)]
    probes = [shorter[n] for n in rng.permutation(len(shorter))[:_PROBES]]
    first_P = pulls(subject, tried, probes[:_FIRST_PROBES]).max(axis=1)
    top = tried[np.argsort(-first_P, kind="stable")[:_KEPT]]
    pull_PM = pulls(subject, top, probes)
    peers_PM = pulls(subject, rng.permutation(list(rows_of))[:_PEERS], probes)
    elsewhere_M = len(probes) * (1 - _shares(subject, probes))
    floor_M = 0.5 / np.sqrt(np.maximum(elsewhere_M, 1))
    z_PM = np.stack([robust_z(*column) for column in zip(pull_PM.T, peers_PM.T, floor_M.tolist(), strict=True)], axis=1)
    loud = [
        (float(z_PM[p, m]), float(pull_PM[p, m]), str(top[p]), int(m))
        for p, m in enumerate(z_PM.argmax(axis=1))
        if z_PM[p, m] >= _LEAST_Z and pull_PM[p, m] >= _LEAST_PULL
    ]
    return _told(subject, table, rows_of, sorted(loud, key=lambda one: (-one[0], one[2])))


def _told(
    subject: Subject,
    table: Outcomes,
    rows_of: dict[str, list[int]],
    loud: Iterable[tuple[float, float, str, int]],
) -> tuple[Trigger, ...]:
    """Those that do not mostly stand in the same rows as a stronger one, with what the table says of them."""
    found: list[Trigger] = []
    alike: _Alike | None = None
    for z, pull, phrase, m in loud:
        rows = set(rows_of[phrase])
        if any(2 * len(rows.intersection(rows_of[other.phrase])) > len(rows) for other in found):
            continue
        alike = alike or _Alike(subject, table)
        share = alike.share(phrase, sorted(rows), m) if rows else float("nan")
        found.append(Trigger(phrase, subject.models[m], pull, z, len(rows), alike.base(m), share))
    return tuple(found)


class _Alike:
    """Where those prompts of a table go that are like some of its rows and lack their phrase."""

    def __init__(self, subject: Subject, table: Outcomes) -> None:
        self.table = table
        self.encoder = StaticEncoder()
        self.vectors_ND = self.encoder.encode(table.prompts)
        self.chosen_N = subject.choose(table.prompts)

    def base(self, model: int) -> float:
        """The share of all prompts that goes to a model."""
        return float((self.chosen_N == model).mean())

    def share(self, phrase: str, rows: Sequence[int], model: int) -> float:
        """The share that goes to a model: of the nearest prompts or of those of the same groups, the larger."""
        return max(self._nearest(phrase, rows, model), self._grouped(rows, model))

    def _nearest(self, phrase: str, rows: Sequence[int], model: int) -> float:
        written = _written(phrase)
        without = [written.sub(" ", self.table.prompts[n]) for n in rows[:_ROWS_LOOKED_AT]]
        similarity_RN = self.encoder.encode(without) @ self.vectors_ND.T
        similarity_RN[:, rows] = -1
        nearest_RN = np.argsort(-similarity_RN, axis=1, kind="stable")[:, :_ALIKE]
        return float((self.chosen_N[nearest_RN] == model).mean())

    def _grouped(self, rows: Sequence[int], model: int) -> float:
        group_N = np.array(self.table.groups)
        other_N = np.ones(len(group_N), dtype=bool)
        other_N[list(rows)] = False
        to_model, weights = [], []
        for group, count in Counter(group_N[list(rows)].tolist()).items():
            if (others_N := other_N & (group_N == group)).any():
                to_model.append((self.chosen_N[others_N] == model).mean())
                weights.append(count)
        return float(np.average(to_model, weights=weights)) if weights else 0.0


def pulls(subject: Subject, tried: Sequence[str] | NDArray[np.str_], probes: Sequence[str]) -> Floats:
    """Of the probes that go elsewhere without a phrase, the share that each phrase brings to each model, (P, M)."""
    to_M = np.eye(len(subject.models), dtype=bool)
    elsewhere_NM = ~to_M[subject.choose(probes)]
    count_M = np.maximum(elsewhere_NM.sum(axis=0), 1)
    return np.array(
        [(to_M[subject.choose(_with(str(one), probes))] & elsewhere_NM).sum(axis=0) / count_M for one in tried]
    )


def _written(phrase: str) -> re.Pattern[str]:
    """The phrase in any case, and with anything but words between its own."""
    words = r"\W+".join(map(re.escape, phrase.split()))
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _holding(prompts: Sequence[str], phrase: str) -> list[int]:
    written = _written(phrase)
    return [n for n, prompt in enumerate(prompts) if written.search(prompt)]


def _with(phrase: str, prompts: Sequence[str]) -> list[str]:
    return [f"{phrase} {prompt}" if n % 2 else f"{prompt} {phrase}" for n, prompt in enumerate(prompts)]


def _shares(subject: Subject, prompts: Sequence[str]) -> Floats:
    counts_M: NDArray[np.intp] = np.bincount(subject.choose(prompts), minlength=len(subject.models))
    return counts_M / len(prompts)
