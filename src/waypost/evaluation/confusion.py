"""What was said against what was so.  Shape suffixes: N questions, M models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from waypost.evaluation import baselines
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes

SEVERAL = "several models"


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each of ``columns`` was said where one of ``rows`` was so; the same names stand in the same order."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        """How many were counted."""
        return sum(map(sum, self.counts))

    @property
    def agreement(self) -> float:
        """Share of all that were said as they were; NaN when nothing was counted."""
        same = sum(self.counts[r][self.columns.index(name)] for r, name in enumerate(self.rows) if name in self.columns)
        return same / self.n if self.n else float("nan")


def confusion(so: Sequence[str], said: Sequence[str]) -> Confusion:
    """Count pairs; columns begin with the names of the rows, so that the diagonal is where the two agree.

    >>> confusion(["maths", "maths", "code"], ["maths", "code", "code"]).counts
    ((1, 0), (1, 1))
    """
    pairs = Counter(zip(so, said, strict=True))
    rows = tuple(sorted(set(so)))
    # A name that was never said is no column, unless it is a row.
    columns = (*rows, *sorted(set(said) - set(rows)))
    return Confusion(rows, columns, tuple(tuple(pairs[row, column] for column in columns) for row in rows))


def choices(table: Outcomes, earned: Earned) -> Confusion:
    """The model that was called against the best model of each question on which the models differ.

    Of equally good models the called one counts as the best, else the cheapest.  Questions on which all measured
    models did equally well are left out, as nothing could be chosen wrongly; several calls for one question are a
    column of their own.

    >>> from waypost.outcomes import example_table
    >>> table = example_table(200)
    >>> choices(table, baselines.oracle(table)).agreement
    1.0
    """
    rows_N = np.arange(len(table))
    known_NM = ~np.isnan(table.quality_NM)
    most_N = np.where(known_NM, table.quality_NM, -np.inf).max(axis=1)
    least_N = np.where(known_NM, table.quality_NM, np.inf).min(axis=1)
    decided_N = (most_N > least_N) & ~np.isnan(earned.quality_N)
    calls_NM = earned.calls_NM > 0
    called_N = calls_NM.argmax(axis=1)
    best_N = np.where(
        table.quality_NM[rows_N, called_N] == most_N, called_N, baselines.oracle(table).calls_NM.argmax(axis=1)
    )
    names = np.array([*table.models, SEVERAL])
    said_N = np.where(calls_NM.sum(axis=1) > 1, len(table.models), called_N)
    return confusion(names[best_N[decided_N]].tolist(), names[said_N[decided_N]].tolist())
