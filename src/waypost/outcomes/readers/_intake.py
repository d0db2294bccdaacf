"""What a reader is told of a file's numbers, and what it says of what it read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from waypost.errors import BadInput, BadTable
from waypost.outcomes.readers._files import Head
from waypost.types import Outcome

_EXAMPLES = 3
_FEW = 20  # answers below which a mean is no witness
_APART = 200.0  # times by which the same model may cost more in another file
_DEAR = 1.0  # USD a query; a file whose queries cost more is likely to state another unit

Counts = tuple[int, int, int, int, int]


@dataclass
class Left:
    """How many answers were left out for one reason, and where the first ones stood."""

    answers: int = 0
    places: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Seen:
    """What one model showed in one file: answers with a cost, dear ones, USD, and the highest score as written."""

    priced: int = 0
    dear: int = 0
    usd: float = 0.0
    top: float = 0.0


@dataclass
class Intake:
    """The units of a file's numbers, and the tally of one reading.

    ``scale`` is the score that counts as quality 1, ``per`` the number of queries that a cost stands for (None: not
    said, and so 1), ``pool`` which of several pools in a file is read, ``max_bytes`` the limit for a file that cannot
    be read line by line.  ``usage`` says what a log's ``usage`` object bills: tokens in and out, and of those cached,
    written to a cache and thought.  It is `waypost.pool.usage.Usage.of`, which this room may not import.
    An answer is what one model did with one question; ``kept`` is what one file leaves for the next, and ``seen``,
    which several readings may share, what the files' units are compared by.

    >>> intake = Intake(scale=10)
    >>> intake.quality("row 1", "small", "7.5")
    0.75
    >>> intake.usd("row 1", "cost", -1)
    Traceback (most recent call last):
    ...
    waypost.errors.BadTable: row 1, column 'cost': -1 is not a finite number of USD, zero or more; \
leave an unknown cost empty
    """

    scale: float = 1.0
    per: float | None = None
    pool: str = ""
    max_bytes: int = 4 << 30
    usage: Callable[[Mapping[str, Any]], Counts | None] | None = None
    answers: int = 0
    left: dict[str, Left] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seen: dict[tuple[Path, str], Seen] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("scale", self.scale), ("per", self.per)):
            if value is not None and not 1 <= value < math.inf:
                raise BadInput(f"{name} is {value}; it must be a finite number, 1 or more")

    def drop(self, reason: str, where: str, answers: int = 1) -> None:
        """Leave answers out for a reason, which completes the sentence "left out because …"."""
        self.answers += answers
        left = self.left.setdefault(reason, Left())
        left.answers += answers
        left.places += 1
        if len(left.examples) < _EXAMPLES:
            left.examples.append(where)

    def note(self, sentence: str) -> None:
        """Say something once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def quality(self, where: str, column: str, value: Any) -> float | None:
        """A score on the scale of 0 to 1, None where there is none.

        Raises:
            BadTable: no number, or one outside the scale.
        """
        number = _number(value)
        if number is not None and not 0 <= number <= self.scale:
            more = (
                "; is it a mark or a percentage? then import it with --scale 10 or --scale 100"
                if number > self.scale
                else ""
            )
            raise BadTable(
                f"{where}, column {column!r}: {value!r:.60} is not a number from 0 to {self.scale:g}; "
                f"leave an unknown score empty{more}"
            )
        return None if number is None else number / self.scale

    def usd(self, where: str, column: str, value: Any) -> float | None:
        """A cost in USD of one query, None where it is unknown.

        Raises:
            BadTable: no number, a negative or an infinite one.
        """
        number = _number(value)
        if number is not None and not 0 <= number < math.inf:
            raise BadTable(
                f"{where}, column {column!r}: {value!r:.60} is not a finite number of USD, zero or more; "
                f"leave an unknown cost empty"
            )
        return None if number is None else number / (self.per or 1.0)

    def seconds(self, where: str, column: str, value: Any) -> float | None:
        """A wall time in seconds, None where it is unknown.

        Raises:
            BadTable: no number, a negative or an infinite one.
        """
        number = _number(value)
        if number is not None and not 0 <= number < math.inf:
            raise BadTable(f"{where}, column {column!r}: {value!r:.60} is not a finite number of seconds, zero or more")
        return number

    def tokens(self, where: str, column: str, value: Any) -> int:
        """A count of tokens, 0 where it is unknown.

        Raises:
            BadTable: no whole number from 0 to 2,147,483,647.
        """
        number = _number(value)
        if number is None:
            return 0
        if not 0 <= number < 1 << 31 or number % 1:
            raise BadTable(f"{where}, column {column!r}: {value!r:.60} is not a number of tokens")
        return int(number)

    def counted(self, usage: Mapping[str, Any]) -> Counts:
        """The tokens that a ``usage`` object bills, in the order of ``usage``; zeros where they cannot be known."""
        try:
            found = self.usage(usage) if self.usage else None
        except (AttributeError, TypeError, ValueError, OverflowError):  # it is of another shape
            found = None
        return found if found and all(0 <= count < 1 << 31 for count in found) else (0, 0, 0, 0, 0)

    def take(self, path: Path, row: Outcome) -> None:
        """Count an answer that is kept."""
        self.answers += 1
        seen = self.seen.setdefault((path, row.model), Seen())
        if row.usd is not None:
            seen.priced += 1
            seen.dear += row.usd > _DEAR
            seen.usd += row.usd
        if row.quality is not None:
            seen.top = max(seen.top, row.quality * self.scale)

    def check(self) -> None:
        """Refuse a reading that would be believed wrongly, for the first of its `problems`.

        Raises:
            BadTable: there is one.
        """
        for problem in self.problems():
            raise BadTable(f"{problem}; waypost import --force takes it as it is")

    def problems(self) -> Iterator[str]:
        """Why a reading would be believed wrongly: most answers were left out, or units are mixed.

        Units are when the scores of a model all stay within 0..1 on a wider scale, when more than half of its queries
        cost above $1 and nobody said how many queries a cost is for, or when it costs 200 times more in another file.
        """
        left = sum(one.answers for one in self.left.values())
        if 2 * left > self.answers:
            yield f"{left:,} of {self.answers:,} answers cannot be used: {'; '.join(self.left)}"
        for (file, model), seen in self.seen.items():
            if self.scale > 1 and 0 < seen.top <= 1:
                yield f"{file}: no score of {model!r} is above 1, on a scale to {self.scale:g}; are the units mixed?"
        for model in dict.fromkeys(model for _, model in self.seen):
            yield from self._far_apart(model)
        for (file, model), seen in self.seen.items():
            if self.per is None and 2 * seen.dear > seen.priced:
                yield (
                    f"{file}: more than half of the queries cost above ${_DEAR:g} with {model!r}; if these are costs "
                    f"of 1,000 queries import it with --per 1000, if not with --per 1"
                )

    def _far_apart(self, model: str) -> Iterator[str]:
        means = {
            file: seen.usd / seen.priced
            for (file, name), seen in self.seen.items()
            if name == model and seen.priced >= _FEW and seen.usd > 0
        }
        if means and max(means.values()) > _APART * min(means.values()):
            high, low = max(means, key=lambda file: means[file]), min(means, key=lambda file: means[file])
            yield (
                f"{model!r} costs ${means[high]:.3g} per query in {high} and ${means[low]:.3g} in {low}; "
                f"are the units mixed (USD per query, per 1,000 queries)?"
            )

    def sentences(self) -> list[str]:
        """What there is to say, in full."""
        said = list(self.notes)
        for reason, left in self.left.items():
            more = ", …" if left.places > len(left.examples) else ""
            said.append(
                f"left out {left.answers:,} of {self.answers:,} answers because {reason} "
                f"({', '.join(left.examples)}{more})"
            )
        return said


class Format(NamedTuple):
    """A format: what reads it, what its first record looks like, and whether its answers have scores."""

    rows: Callable[[Path, Intake], Iterator[Outcome]]
    fits: Callable[[Head], bool]
    scored: bool = True


def _number(value: Any) -> float | None:
    """A number as files write it; None where the cell is empty, NaN where it holds something else."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float | str | Decimal):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return math.nan
    return math.nan
