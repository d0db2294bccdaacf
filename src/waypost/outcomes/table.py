"""The outcomes table: what each model did with each prompt.  Shape suffixes: N prompts, M models.

On disk it is long (one row a prompt and model, Parquet); in memory it is wide.  A cell that was never measured
is missing (NaN), never zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadTable, UnknownModel
from waypost.outcomes.pivot import Pivot
from waypost.outcomes.recorded import Recorded
from waypost.types import Answer, Floats, Outcome

Rows = NDArray[np.intp] | NDArray[np.bool_] | Sequence[int]

_BLOCK = 10_000  # prompts whose bytes are hashed at once


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Prompts × models → quality (0..1), USD per query, seconds, and the answers where they were kept.

    ``recorded`` holds what was kept of each call beside these, which `answer` turns back into an `Answer`; a table of
    bare scores has none.  ``weight_N`` is how much each prompt counts in training.  ``sources`` names what several
    rows share, such as a document or a conversation; an empty name is a row that stands alone.

    Raises:
        BadTable: no scores, fewer than two models, a model without any score, NaN-only columns, negative or
            infinite costs or weights, quality outside 0..1, parts of different lengths; the sentence names the row.

    >>> table = Outcomes(("a", "b"), ("Hi", "2+2?"), ("chat", "maths"), ("small", "large"),
    ...                  np.array([[1, 1], [0, 1]]), np.array([[1e-6, 1e-4], [1e-6, 1e-4]]))
    >>> table.means()["large"]
    (1.0, 0.0001)
    """

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    groups: tuple[str, ...]
    models: tuple[str, ...]
    quality_NM: Floats
    usd_NM: Floats
    seconds_NM: Floats = field(default_factory=lambda: np.empty((0, 0)))
    weight_N: Floats = field(default_factory=lambda: np.empty(0))
    recorded: Recorded | None = None
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, m = len(self.prompts), len(self.models)
        object.__setattr__(self, "sources", self.sources or ("",) * n)
        defaults = {"quality_NM": None, "usd_NM": None, "seconds_NM": (n, m), "weight_N": (n,)}
        for name, empty in defaults.items():
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.size == 0 and empty is not None:
                array = np.full(empty, np.nan if len(empty) == 2 else 1.0)
            if np.isnan(array).all():
                array = np.broadcast_to(np.nan, array.shape)  # what was never measured takes no space
            array = array.view()  # so that freezing it leaves the caller's own array as it was
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check()

    def _check(self) -> None:
        self._check_shape()
        self._check_weights()
        self._check_values()
        if unscored := _unscored(self.models, self.quality_NM):
            if len(unscored) == len(self.models):
                raise BadTable("no row has a score; a table needs the quality of at least two models")
            raise BadTable(f"model {unscored[0]!r} has no score in any of the {len(self)} rows; drop it or score it")
        if unscored := _unscored(self.models, self.quality_NM[self.weight_N > 0]):
            raise BadTable(
                f"model {unscored[0]!r} has scores in rows of weight zero only; drop it, or weigh one of them"
            )

    def _check_shape(self) -> None:
        n, m = len(self.prompts), len(self.models)
        if n == 0:
            raise BadTable("the table has no rows; collect some outcomes first (waypost collect)")
        if m < 2:
            raise BadTable(f"the table has {m} model ({', '.join(self.models)}); a choice needs at least 2")
        if len(set(self.models)) < m:
            raise BadTable(f"model names must differ, got {', '.join(self.models)}")
        for name in ("ids", "groups", "sources"):
            if (length := len(getattr(self, name))) != n:
                raise BadTable(f"{name} has {length} entries, expected {n}, one for each prompt")
        for name in ("quality_NM", "usd_NM", "seconds_NM"):
            shape = getattr(self, name).shape
            if shape != (n, m):
                raise BadTable(f"{name} has shape {shape}, expected ({n}, {m}) for {n} prompts and {m} models")

    def _check_weights(self) -> None:
        if self.weight_N.shape != (len(self),):
            raise BadTable(f"weight_N has shape {self.weight_N.shape}, expected ({len(self)},), one for each prompt")
        bad_N = ~np.isfinite(self.weight_N) | (self.weight_N < 0)
        if bad_N.any():
            row = int(bad_N.argmax())
            raise BadTable(f"row {row} (id {self.ids[row]!r}): weight is {self.weight_N[row]}, it must be zero or more")
        if not self.weight_N.any():
            raise BadTable("every row has weight zero; at least one must count in training")

    def _check_values(self) -> None:
        for name, what, low, high in (
            ("quality_NM", "quality", 0.0, 1.0),
            ("usd_NM", "cost in USD", 0.0, np.finfo(float).max),
            ("seconds_NM", "seconds", 0.0, np.finfo(float).max),
        ):
            array = getattr(self, name)
            bad = np.argwhere((array < low) | (array > high))
            if len(bad):
                row, column = bad[0]
                allowed = "between 0 and 1" if name == "quality_NM" else "zero or more, and finite"
                raise BadTable(
                    f"row {row} (id {self.ids[row]!r}), model {self.models[column]!r}: {what} is "
                    f"{array[row, column]}, it must be {allowed}"
                )

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def from_rows(cls, rows: Iterable[Outcome]) -> Self:
        """The wide table of long rows; a later row of the same prompt and model replaces the earlier.

        Raises:
            BadTable: NaN where None (missing) or a number must stand, a value out of range, or one id for two
                prompts; the sentence names the row.
        """
        rows = list(rows)
        pivot = Pivot(tuple(dict.fromkeys(row.model for row in rows)), size=len({row.id for row in rows}))
        pivot.add(rows)
        return cls(**pivot.parts())

    def rows(self) -> Iterator[Outcome]:
        """The cells that were recorded or scored, prompt by prompt."""
        for n, m in np.ndindex(self.quality_NM.shape):
            quality, usd, seconds = (_known(a[n, m]) for a in (self.quality_NM, self.usd_NM, self.seconds_NM))
            said = self.recorded.cell(n, m) if self.recorded else None
            if said is not None or quality is not None:
                yield Outcome(
                    id=self.ids[n],
                    prompt=self.prompts[n],
                    group=self.groups[n],
                    source=self.sources[n],
                    model=self.models[m],
                    quality=quality,
                    usd=usd,
                    seconds=seconds,
                    **(said or {}),
                )

    def select(self, rows: Rows) -> Self:
        """The same table with some of its prompts, by index or mask."""
        index = np.arange(len(self))[np.asarray(rows)]
        places = index.tolist()
        return type(self)(
            tuple(map(self.ids.__getitem__, places)),
            tuple(map(self.prompts.__getitem__, places)),
            tuple(map(self.groups.__getitem__, places)),
            self.models,
            self.quality_NM[index],
            self.usd_NM[index],
            self.seconds_NM[index],
            self.weight_N[index],
            self.recorded and self.recorded.select(index),
            tuple(map(self.sources.__getitem__, places)),
        )

    def only(self, models: Sequence[str]) -> Self:
        """The same table with some of its models, in the given order.

        Raises:
            UnknownModel: a name that the table does not have.
        """
        for name in models:
            if name not in self.models:
                raise UnknownModel(name, self.models)
        column = [self.models.index(name) for name in models]
        return type(self)(
            self.ids,
            self.prompts,
            self.groups,
            tuple(models),
            self.quality_NM[:, column],
            self.usd_NM[:, column],
            self.seconds_NM[:, column],
            self.weight_N,
            self.recorded and self.recorded.only(column),
            self.sources,
        )

    def split(self, share: float = 0.7, seed: int = 0, clusters_N: NDArray[np.intp] | None = None) -> tuple[Self, Self]:
        """Training and test parts by a hash of each prompt, so that rows of one cluster stay on one side.

        Without ``clusters_N`` (a number for each prompt) rows belong together when their prompts are equal, but for
        case and spaces.

        Raises:
            BadTable: a part would be empty, or would leave a model without any score.

        >>> from waypost.outcomes import example_table
        >>> train, test = example_table(100).split(0.7)
        >>> len(train) + len(test), set(train.prompts) & set(test.prompts)
        (100, set())
        """
        if not 0 < share < 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        first_C, cluster_N = np.arange(len(self)), np.arange(len(self))
        if clusters_N is not None:
            _, first_C, cluster_N = np.unique(clusters_N, return_index=True, return_inverse=True)
        keys = (" ".join(self.prompts[n].lower().split()) for n in first_C.tolist())
        inside = np.array([_unit_hash(f"{seed}\0{key}") < share for key in keys])[cluster_N]
        if inside.all() or not inside.any():
            raise BadTable(f"{len(self)} prompts cannot be split {share:.0%} to {1 - share:.0%}; collect more")
        for part, rows in (("training", inside), ("test", ~inside)):
            if unscored := _unscored(self.models, self.quality_NM[rows]):
                raise BadTable(
                    f"a split {share:.0%} to {1 - share:.0%} leaves model {unscored[0]!r} without any score in the "
                    f"{part} part; collect more answers of it, try another seed, or leave it out (Outcomes.only)"
                )
        return self.select(inside), self.select(~inside)

    @classmethod
    def concat(cls, tables: Sequence[Self], *, equal: bool = False) -> Self:
        """One table of several with the same models, in the order of the first.

        ``equal`` gives each table the same total weight in training.

        Raises:
            BadTable: no table, or tables of different models.
        """
        if not tables:
            raise BadTable("nothing to join: no table was given")
        models = tables[0].models
        for table in tables[1:]:
            if set(table.models) != set(models):
                raise BadTable(f"the tables have different models: {models} and {table.models}")
        tables = [table if table.models == models else table.only(models) for table in tables]
        sizes = [len(t) for t in tables]
        scale = [sum(sizes) / (len(sizes) * t.weight_N.sum()) if equal else 1.0 for t in tables]
        return cls(
            tuple(i for t in tables for i in t.ids),
            tuple(p for t in tables for p in t.prompts),
            tuple(g for t in tables for g in t.groups),
            models,
            np.concatenate([t.quality_NM for t in tables]),
            np.concatenate([t.usd_NM for t in tables]),
            np.concatenate([t.seconds_NM for t in tables]),
            np.concatenate([t.weight_N * s for t, s in zip(tables, scale, strict=True)]),
            Recorded.concat([(t.recorded, t.quality_NM.shape) for t in tables]),
            tuple(s for t in tables for s in t.sources),
        )

    def answer(self, n: int, model: str) -> Answer | None:
        """The recorded answer of a model to prompt ``n``, or None where none was kept."""
        m = self.models.index(model)
        said = self.recorded.cell(n, m) if self.recorded else None
        if said is None:
            return None
        return Answer(
            model=model,
            text=said["answer"],
            tokens_in=said["tokens_in"],
            tokens_out=said["tokens_out"],
            seconds=_known(self.seconds_NM[n, m]) or 0.0,
            usd=_known(self.usd_NM[n, m]),
            finish=said["finish"],
            logprob=said["logprob"],
            declined="recorded as declined" if said["declined"] else None,
            tokens_cached=said["tokens_cached"],
            tokens_written=said["tokens_written"],
            tokens_reasoning=said["tokens_reasoning"],
        )

    @property
    def keeps_answers(self) -> bool:
        """Whether the text of an answer was kept, so that a strategy has something to look at."""
        return self.recorded is not None and "answer" in self.recorded.columns

    @property
    def declined_NM(self) -> NDArray[np.bool_] | None:
        """Which calls were declined, or None where nothing was recorded but scores and costs."""
        if self.recorded is None:
            return None
        return np.broadcast_to(self.recorded["declined"], self.quality_NM.shape)

    def means(self) -> dict[str, tuple[float, float]]:
        """Weighted mean quality and USD of each model over the cells that were measured."""
        return {
            name: (weighted_mean(q, self.weight_N), weighted_mean(c, self.weight_N))
            for name, q, c in zip(self.models, self.quality_NM.T, self.usd_NM.T, strict=True)
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what routers learn from: prompts, groups, models and numbers."""
        digest = hashlib.sha256()
        for texts, end in ((self.prompts, b"\0"), (self.groups, b"\0"), (self.models, b"")):
            _feed(digest, texts)
            digest.update(end)
        for array in (self.quality_NM, self.usd_NM, self.seconds_NM, self.weight_N):
            for start in range(0, len(array), _BLOCK):
                digest.update(array[start : start + _BLOCK].tobytes())
        return digest.hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a measurement depends on: the fingerprint, sources, and what each call recorded."""
        digest = hashlib.sha256(self.fingerprint.encode())
        _feed(digest, self.sources)
        if self.recorded is not None:
            for name, column_nm in (("", self.recorded.there_nm), *sorted(self.recorded.columns.items())):
                digest.update(f"\0{name}{column_nm.shape}".encode())
                if column_nm.dtype == object:
                    _feed(digest, column_nm.ravel())
                else:
                    digest.update(column_nm.tobytes())
        return digest.hexdigest()


def _feed(digest: Any, texts: Sequence[str] | NDArray[Any]) -> None:
    """Texts joined by zeros, in blocks."""
    for start in range(0, len(texts), _BLOCK):
        if start:
            digest.update(b"\0")
        digest.update("\0".join(texts[start : start + _BLOCK]).encode(errors="surrogatepass"))


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Mean of the values that are not missing (NaN) and weigh something; NaN when there are none."""
    known = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else float("nan")


def _unscored(models: Sequence[str], quality_NM: Floats) -> list[str]:
    return [model for model, empty in zip(models, np.isnan(quality_NM.T), strict=True) if empty.all()]


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _unit_hash(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big") / 2**64
