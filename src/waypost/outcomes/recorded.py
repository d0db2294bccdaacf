"""What was kept of each call beside its score, in columns.  Shape suffixes: N prompts, M models.

A column is as wide as what it says differs: (N, M), or 1 in place of N or M (written n, m) where all prompts or all
models share the value; a column that says nothing anywhere is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]

# What `Outcome` says beside the score: how it is kept, and what stands where nothing was said (NaN: None).
NOTHING: Mapping[str, Column] = {
    "answer": np.array("", dtype=object),
    "finish": np.array("stop", dtype=object),
    "reference": np.array("", dtype=object),
    "scorer": np.array("", dtype=object),
    "tokens_in": np.array(0, dtype=np.int32),
    "tokens_out": np.array(0, dtype=np.int32),
    "tokens_cached": np.array(0, dtype=np.int32),
    "tokens_written": np.array(0, dtype=np.int32),
    "tokens_reasoning": np.array(0, dtype=np.int32),
    "logprob": np.array(np.nan),
    "declined": np.array(False),
}


@dataclass(frozen=True, eq=False)
class Recorded:
    """The columns that say something, by their names in `Outcome`, and ``there_nm``: whether a call was recorded.

    >>> one = Recorded(np.array([[True, True], [True, False]]), {"answer": np.array([["4"], ["Hi"]], dtype=object)})
    >>> one.cell(1, 0)["answer"], one.cell(1, 0)["finish"], one.cell(1, 1)
    ('Hi', 'stop', None)
    """

    there_nm: NDArray[np.bool_]
    columns: Mapping[str, Column]

    @classmethod
    def packed(cls, there_NM: NDArray[np.bool_], columns: Mapping[str, Column]) -> Self:
        """The same columns as narrow as what they say allows."""
        return cls(_packed(there_NM), {name: _packed(column) for name, column in columns.items()})

    @classmethod
    def concat(cls, parts: Sequence[tuple[Self | None, tuple[int, int]]]) -> Self | None:
        """One below the other, each with the (N, M) of its table; None where no part recorded anything."""
        if all(part is None for part, _ in parts):
            return None
        kept = [(part or cls(np.array([[False]]), {}), shape) for part, shape in parts]
        names = dict.fromkeys(name for part, _ in kept for name in part.columns)
        return cls.packed(
            np.concatenate([np.broadcast_to(part.there_nm, shape) for part, shape in kept]),
            {name: np.concatenate([np.broadcast_to(part[name], shape) for part, shape in kept]) for name in names},
        )

    def __getitem__(self, name: str) -> Column:
        return self.columns.get(name, NOTHING[name].reshape(1, 1))

    def cell(self, n: int, m: int) -> dict[str, Any] | None:
        """What was recorded of one call, by the names of `Outcome`; None where none was."""
        if not _at(self.there_nm, n, m):
            return None
        said = {name: _at(self[name], n, m) for name in NOTHING}
        return said | {"logprob": None if np.isnan(said["logprob"]) else said["logprob"]}

    def select(self, index_N: NDArray[np.intp]) -> Self:
        """The same for some of the prompts."""
        return self._map(lambda column: column if len(column) == 1 else column[index_N])

    def only(self, index_M: Sequence[int] | NDArray[np.intp]) -> Self:
        """The same for some of the models."""
        return self._map(lambda column: column if column.shape[1] == 1 else column[:, index_M])

    def _map(self, narrow: Any) -> Self:
        return type(self)(narrow(self.there_nm), {name: narrow(column) for name, column in self.columns.items()})


def _packed(column_NM: Column) -> Column:
    for axis in (0, 1):
        first = column_NM.take([0], axis)
        if column_NM.shape[axis] > 1 and bool((column_NM == first).all()):
            column_NM = first
    return column_NM


def _at(column_nm: Column, n: int, m: int) -> Any:
    # Where one value stands for all, every place leads to it.
    value = column_nm[n % len(column_nm), m % column_nm.shape[1]]
    return value if isinstance(value, str) else value.item()
