"""Long rows (one a prompt and model) made wide, chunk by chunk.  Suffixes: N prompts, M models, R rows of a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadTable
from waypost.outcomes.recorded import NOTHING, Column, Recorded
from waypost.types import Outcome

_NUMBERS: Mapping[str, Column] = dict.fromkeys(("quality", "usd", "seconds"), np.array(np.nan))
_COLUMNS: Mapping[str, Column] = {**_NUMBERS, **NOTHING}
_SHORT = 32  # texts up to this length, such as the letter of an option, are likely to come again


class Pivot:
    """A wide table in the making; a later row of the same prompt and model replaces the earlier.

    ``size`` is how many prompts may come.  A column takes no space until a row says something in it.

    >>> made = Pivot(["small", "large"], size=1)
    >>> made.add([Outcome("a", "Hi", "chat", "small", 1.0, None, None)])
    >>> made.parts()["quality_NM"].tolist()
    [[1.0, nan]]
    """

    def __init__(self, models: Sequence[str], size: int) -> None:
        self.models = {name: m for m, name in enumerate(models)}
        self.index: dict[str, int] = {}
        self._prompts: list[str] = []
        self._groups: list[str] = []
        self._sources: list[str] = []
        self._words: dict[str, str] = {}
        self._shape = (size, len(self.models))
        self._there_NM = np.zeros(self._shape, dtype=bool)
        self._columns: dict[str, Column] = {}

    def place(self, number: int, id: str, prompt: str, group: str, source: str) -> int:
        """The place of a prompt in the table, where it takes one when it is new; ``number`` is the row that has it.

        Raises:
            BadTable: the id stands for another prompt already.
        """
        n = self.index.setdefault(id, len(self._prompts))
        if n == len(self._prompts):
            self._prompts.append(prompt)
            self._groups.append(self._shared(group))
            self._sources.append(self._shared(source))
        elif self._prompts[n] != prompt:
            raise BadTable(f"row {number}: id {id!r} stands for two different prompts; ids must be unique")
        return n

    def put(self, n_R: NDArray[np.intp], m_R: NDArray[np.intp], columns: Mapping[str, Column]) -> None:
        """Set cells, each once: NaN is missing, in whole columns of R values by the names of `Outcome`."""
        self._there_NM[n_R, m_R] = True
        for name, values_R in columns.items():
            nothing = _COLUMNS[name]
            if name not in self._columns:
                if bool(((values_R == nothing) | (values_R != values_R)).all()):
                    continue
                self._columns[name] = np.full(self._shape, nothing)
            self._columns[name][n_R, m_R] = self._texts(values_R) if nothing.dtype == object else values_R

    def add(self, rows: Iterable[Outcome]) -> None:
        """Set the cells of rows.

        Raises:
            BadTable: NaN where None (missing) or a number must stand, or one id for two prompts; names the row.
        """
        cells: dict[tuple[int, int], Outcome] = {}
        for number, row in enumerate(rows):
            _refuse_nan(number, row)
            n = self.place(number, row.id, row.prompt, row.group, row.source)
            cells[n, self.models[row.model]] = row
        n_R, m_R = np.array(list(cells), dtype=np.intp).reshape(-1, 2).T
        self.put(n_R, m_R, {name: _column(name, cells.values()) for name in _COLUMNS})

    def parts(self) -> dict[str, Any]:
        """What an `Outcomes` is made of, by name."""
        n = len(self._prompts)
        there_NM, columns = self._there_NM[:n], {name: column[:n] for name, column in self._columns.items()}
        numbers = {f"{name}_NM": columns.pop(name, np.broadcast_to(np.nan, there_NM.shape)) for name in _NUMBERS}
        bare = not columns and np.array_equal(there_NM, ~np.isnan(numbers["quality_NM"]))
        return {
            "ids": tuple(self.index),
            "prompts": tuple(self._prompts),
            "groups": tuple(self._groups),
            "models": tuple(self.models),
            "sources": tuple(self._sources),
            "recorded": None if bare else Recorded.packed(there_NM, columns),
            **numbers,
        }

    def _texts(self, values_R: Column) -> Column:
        return np.array([self._shared(text) for text in values_R.tolist()], dtype=object)

    def _shared(self, text: str) -> str:
        """One object for all equal short texts."""
        return self._words.setdefault(text, text) if len(text) <= _SHORT else text


def _column(name: str, rows: Iterable[Outcome]) -> Column:
    values = [getattr(row, name) for row in rows]
    try:
        # None becomes NaN.
        return np.array(values, dtype=_COLUMNS[name].dtype)
    except OverflowError as error:
        raise BadTable(f"column {name!r}: {error}") from error


def _refuse_nan(number: int, row: Outcome) -> None:
    for name in _NUMBERS:
        value = getattr(row, name)
        if value is not None and not np.isfinite(value):
            raise BadTable(
                f"row {number} (id {row.id!r}, model {row.model!r}): {name} is {value}; give a finite number, "
                f"or leave the cell empty if it was not measured"
            )
