"""Decisions as a log keeps them: what was chosen, with which probability, and what came of it.

Shape suffixes: N decisions, M models.
"""

from __future__ import annotations

import csv
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from waypost.errors import BadTable
from waypost.outcomes import Outcomes
from waypost.types import Floats

_SUM_WITHIN = 1e-3  # what rounding in a log may take from a sum of probabilities
_ALIKE = 1e-2  # the share by which rounding may make one probability differ from the same one, said twice


@dataclass(frozen=True, eq=False)
class Logged:
    """Prompts, the model chosen for each by chance, the chances of all models, and what the chosen one earned.

    ``propensity_NM`` is the probability with which the log's policy chose each model; NaN where the log does not say,
    which may not be at the chosen one.  ``quality_N`` is 0..1; ``usd_N`` is NaN where the cost is unknown.  ``sources``
    names what several rows share, such as a conversation.  ``unscored`` counts what `read` left out.

    Raises:
        BadTable: no decision, parts of different lengths, or a number that cannot be; the sentence names the row.

    >>> log = Logged.from_rows([
    ...     {"prompt": "2+2?", "model": "small", "propensity": 0.9, "quality": 1.0, "usd": 1e-6},
    ...     {"prompt": "Why?", "model": "large", "propensities": {"small": 0.9, "large": 0.1}, "quality": 0.5},
    ... ])
    >>> log.models, log.propensity_NM.tolist()
    (('large', 'small'), [[nan, 0.9], [0.1, 0.9]])
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    chosen_N: NDArray[np.intp]
    propensity_NM: Floats
    quality_N: Floats
    usd_N: Floats
    sources: tuple[str, ...] = ()
    unscored: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", self.sources or ("",) * len(self.prompts))
        lengths = {len(part) for part in (self.prompts, self.chosen_N, self.quality_N, self.usd_N, self.sources)}
        if lengths != {len(self.propensity_NM)} or self.propensity_NM.shape[1:] != (len(self.models),):
            raise BadTable("a log's parts must have one entry for each decision, and propensities one for each model")
        if not self.prompts:
            raise BadTable("the log holds no decision whose quality is known")
        own_N, total_N = self.own_N, np.nansum(self.propensity_NM, axis=1)
        for wrong_N, problem in (
            (~(own_N > 0), "the chosen model's propensity must be above 0: what never happens cannot be logged"),
            ((self.propensity_NM < 0).any(axis=1) | (self.propensity_NM > 1).any(axis=1), "propensities must be 0..1"),
            (total_N > 1 + _SUM_WITHIN, "propensities must not sum to more than 1"),
            (~((self.quality_N >= 0) & (self.quality_N <= 1)), "quality must be 0..1"),
            ((self.usd_N < 0) | np.isinf(self.usd_N), "usd must be a finite number from 0, or missing"),
        ):
            if wrong_N.any():
                n = int(wrong_N.argmax())
                raise BadTable(f"decision {n + 1} (prompt {self.prompts[n][:40]!r}): {problem}; {self._said(n)}")

    def __len__(self) -> int:
        """How many decisions."""
        return len(self.prompts)

    @property
    def own_N(self) -> Floats:
        """The propensity of what was chosen."""
        own_N: Floats = self.propensity_NM[np.arange(len(self)), self.chosen_N]
        return own_N

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """A log of rows with ``prompt``, ``model``, ``quality``, and ``propensity`` or ``propensities``.

        ``propensity`` is that of the model chosen, ``propensities`` maps every model to its own (0 where it is left
        out); where both are there they must agree.  A certain choice leaves nothing to the others.  ``usd`` and
        ``source`` may be there.  A row without a quality is left out and counted.

        Raises:
            BadTable: a field is missing or no number, or the log cannot be; the sentence names the row.
        """
        kept, unscored = [], 0
        for number, row in enumerate(rows, 1):
            if row.get("quality") in (None, ""):
                unscored += 1
                continue
            kept.append(_Row.of(number, row))
        models = sorted({model for row in kept for model in (row.model, *row.propensities)})
        column = {model: m for m, model in enumerate(models)}
        propensity_NM = np.array([[row.chance(model) for model in models] for row in kept])
        return cls(
            prompts=tuple(row.prompt for row in kept),
            models=tuple(models),
            chosen_N=np.array([column[row.model] for row in kept], dtype=np.intp),
            propensity_NM=propensity_NM.reshape(len(kept), len(models)),
            quality_N=np.array([row.quality for row in kept]),
            usd_N=np.array([row.usd for row in kept]),
            sources=tuple(row.source for row in kept),
            unscored=unscored,
        )

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The log of a ``.jsonl``, ``.csv`` or ``.parquet`` file with the columns of `from_rows`; others are ignored.

        In CSV, ``propensities`` is JSON text.  A gateway's store is read too: the decisions that its router drew.

        Raises:
            BadTable: the file is missing, of another kind, or holds what no log may.
        """
        path = Path(path)
        if not path.is_file():
            raise BadTable(f"no file {path}; give a log of decisions in JSONL, CSV or Parquet")
        with path.open("rb") as file:
            if file.read(15) == b"SQLite format 3":
                return cls.from_rows(_store_rows(path))
        if path.suffix not in _READERS:
            raise BadTable(f"{path} must end in {', '.join(_READERS)}; got {path.suffix or 'no ending'}")
        try:
            return cls.from_rows(_READERS[path.suffix](path))
        except BadTable as error:
            raise BadTable(f"{path}: {error}") from error

    def select(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """The same log with some of its decisions, by index or mask."""
        index = np.arange(len(self))[rows]
        return type(self)(
            tuple(self.prompts[n] for n in index),
            self.models,
            self.chosen_N[index],
            self.propensity_NM[index],
            self.quality_N[index],
            self.usd_N[index],
            tuple(self.sources[n] for n in index),
        )

    def outcomes(self) -> Outcomes:
        """The log as an outcomes table, to fit a router on: what was not chosen was not measured.

        Raises:
            BadTable: fewer than two models were ever chosen.
        """
        there = np.unique(self.chosen_N)
        if len(there) < 2:
            raise BadTable(f"the log chose one model only, {self.models[there[0]]!r}; nothing can be learnt of others")
        quality_NM, usd_NM = np.full((2, len(self), len(self.models)), np.nan)
        quality_NM[np.arange(len(self)), self.chosen_N] = self.quality_N
        usd_NM[np.arange(len(self)), self.chosen_N] = self.usd_N
        return Outcomes(
            tuple(str(n) for n in range(len(self))),
            self.prompts,
            ("",) * len(self),
            tuple(self.models[m] for m in there),
            quality_NM[:, there],
            usd_NM[:, there],
            sources=self.sources,
        )

    def _said(self, n: int) -> str:
        chances = {model: float(p) for model, p in zip(self.models, self.propensity_NM[n], strict=True)}
        said = f"got propensities {chances}, {self.models[self.chosen_N[n]]!r} chosen"
        return f"{said}, quality {self.quality_N[n]:g}, usd {self.usd_N[n]:g}"


_DETERMINISTIC = (
    "{path} is a gateway's store, and its decisions cannot tell what another router would earn: unless its router "
    "learns, a gateway takes the best score, so every choice has propensity 1 and no other model ever had a chance on "
    "that prompt. Serve with a router that explores (lin_ucb, thompson), or let a share of the traffic be answered by "
    "a model drawn at random, log prompt, model, propensity and quality of each decision as JSONL, and give that; or "
    "measure with `waypost collect`"
)


@dataclass(frozen=True, slots=True)
class _Row:
    prompt: str
    model: str
    propensity: float
    propensities: Mapping[str, float]
    quality: float
    usd: float
    source: str

    @classmethod
    def of(cls, number: int, row: Mapping[str, Any]) -> _Row:
        for name in ("prompt", "model"):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise BadTable(f"row {number}: {name!r} must be a text, got {row.get(name)!r}")
        chances = _chances(number, row.get("propensities"))
        return cls(
            prompt=row["prompt"],
            model=row["model"],
            propensity=_own(number, row, chances),
            propensities=chances,
            quality=_number(number, "quality", row["quality"]),
            usd=np.nan if row.get("usd") in (None, "") else _number(number, "usd", row["usd"]),
            source=str(row.get("source") or ""),
        )

    def chance(self, model: str) -> float:
        """The probability of a model, as far as the row says or implies it."""
        if model == self.model:
            return self.propensity
        if self.propensities:
            return self.propensities.get(model, 0.0)
        return 0.0 if self.propensity == 1 else np.nan


def _own(number: int, row: Mapping[str, Any], chances: Mapping[str, float]) -> float:
    """The probability of the model chosen, which may be said once, or twice alike."""
    model, said = row["model"], row.get("propensity")
    if said in (None, "") and model not in chances:
        raise BadTable(
            f"row {number} has no propensity: with which probability '{model}' was chosen. It cannot be made up "
            f"afterwards; log it with the decision, as 'propensity' or, of all models, 'propensities'"
        )
    own = chances[model] if said in (None, "") else _number(number, "propensity", said)
    if chances and not math.isclose(own, chances.get(model, 0.0), rel_tol=_ALIKE):
        raise BadTable(
            f"row {number}: 'propensity' says that '{model}' was chosen with probability {own:g}, 'propensities' says "
            f"{chances.get(model, 0.0):g}; leave out the one that is wrong"
        )
    return own


def _chances(number: int, value: Any) -> dict[str, float]:
    if value in (None, ""):
        return {}
    try:
        chances = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError as error:
        raise BadTable(f"row {number}: 'propensities' is not JSON: {error}") from error
    if not isinstance(chances, Mapping):
        raise BadTable(f"row {number}: 'propensities' must map models to probabilities, got {value!r}")
    found = {str(model): _number(number, "propensities", p) for model, p in chances.items() if p is not None}
    if not math.isclose(sum(found.values()), 1, abs_tol=_SUM_WITHIN):
        raise BadTable(f"row {number}: 'propensities' must name every model and sum to 1, got {found}")
    return found


def _number(number: int, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadTable(f"row {number}: {name!r} must be a number, got {value!r}") from None


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = orjson.loads(line) if line.strip() else None
            except orjson.JSONDecodeError as error:
                raise BadTable(f"line {number} is not JSON: {error}") from error
            if row is not None and not isinstance(row, dict):
                raise BadTable(f"line {number} must be a JSON object with prompt, model, propensity and quality")
            if row is not None:
                yield row


def _store_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The drawn decisions of a gateway's store, each with the first feedback that was given."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info(decisions)")}
        drawn, told = db.execute(_COUNTED).fetchone() if "propensities" in columns else (0, 0)
        if not drawn:
            raise BadTable(_DETERMINISTIC.format(path=path))
        if not told:
            raise BadTable(
                f"{path} has drawn decisions but not their prompts, on which another router would choose; say "
                f"`log_prompts: true` in the config to keep them from now on"
            )
        # Where another model had to step in, the feedback is not of the one that was drawn.
        rows = db.execute(_DRAWN)
        for prompt, model, propensities, usd, served, quality in rows:
            known = quality if served == model else None
            yield {"prompt": prompt, "model": model, "propensities": propensities, "usd": usd, "quality": known}


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file, strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadTable(f"this is not CSV in UTF-8: {error}") from error


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    import duckdb

    with duckdb.connect() as db:
        try:
            found = db.execute("SELECT * FROM read_parquet(?)", [str(path)])
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            raise BadTable(f"this is not Parquet: {str(error).splitlines()[0]}") from error
        names = [column[0] for column in found.description]
        while rows := found.fetchmany(10_000):
            yield from (dict(zip(names, row, strict=True)) for row in rows)


_COUNTED = "SELECT COUNT(*), COUNT(prompt) FROM decisions WHERE propensities NOT IN ('{}', 'null')"
_DRAWN = """
SELECT prompt, chosen, propensities, usd, served,
       (SELECT quality FROM feedback WHERE decision = decisions.id ORDER BY number LIMIT 1)
FROM decisions WHERE propensities NOT IN ('{}', 'null') AND prompt IS NOT NULL ORDER BY time, id
"""
_READERS = {".jsonl": _json_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
