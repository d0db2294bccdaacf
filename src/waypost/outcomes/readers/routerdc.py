"""Score files in the form that RouterDC published (arXiv 2409.19886): JSON, one file a data set.

A file is a list of ``{"question": text, "scores": {model: number}, "cluster_id": …}``.  Its scores mean one of two
things, and the numbers tell which:

- every score is a multiple of 0.1: the share of ten samples that were right, or simply right and wrong.  Quality is
  the score.
- otherwise the task is multiple choice, and a score is the probability of the right option, or 0 when another
  option won.  Quality is 1 where the score is above 0.

There are no costs and no answers.  ``cluster_id`` is the authors' grouping of the training questions by an encoder,
no fact about them, and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from waypost.errors import BadTable
from waypost.outcomes.readers._files import Head, Record, whole
from waypost.outcomes.readers._intake import Intake
from waypost.types import Floats, Outcome


def fits(found: Head) -> bool:
    """Whether a file begins like one of RouterDC's (LLMRouter's look the same)."""
    return found.kind == "json" and found.has("question", "scores")


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file; its group is the file's stem without ``_train`` or ``_test``.

    It notes how the scores were understood.

    Raises:
        BadTable: not such a file; the sentence names the file, the row and what it lacks.
    """
    found = score_rows(path, intake)
    models = tuple(found[0]["scores"])
    scores_NM = score_matrix(path, found, models, intake)
    if on_tenths(scores_NM):
        intake.note(f"{path.name}: scores on tenths, quality is the score")
        quality_NM = scores_NM
    else:
        intake.note(f"{path.name}: multiple choice, quality is score > 0")
        quality_NM = np.where(np.isnan(scores_NM), np.nan, scores_NM > 0)
    return wide(path, found, models, quality_NM, re.sub(r"[-_](train|test)$", "", path.stem), intake)


def on_tenths(scores_NM: Floats) -> bool:
    """Whether every score that is there is a multiple of 0.1.

    >>> on_tenths(np.array([[0.1, 0.30000000000000004, 1.0]])), on_tenths(np.array([[0.0, 0.4187]]))
    (True, False)
    """
    tenths = scores_NM[~np.isnan(scores_NM)] * 10
    return bool(np.allclose(tenths, np.round(tenths), rtol=0, atol=1e-6))


def score_rows(path: Path, intake: Intake) -> list[Record]:
    """The ``{"question", "scores"}`` objects of a file.

    Raises:
        BadTable: as `rows`.
    """
    found = whole(path, intake.max_bytes)
    if not isinstance(found, list) or not found:
        raise BadTable(f"{path} must be a list of at least one {{'question', 'scores'}} object")
    for number, row in enumerate(found):
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            raise BadTable(f"{path}, row {number}: needs a text 'question'")
        if not isinstance(row.get("scores"), dict) or not row["scores"]:
            raise BadTable(f"{path}, row {number}: needs 'scores', an object of model name to number")
    return found


def wide(
    path: Path, found: list[Record], models: tuple[str, ...], quality_NM: Floats, group: str, intake: Intake
) -> Iterator[Outcome]:
    """The answers of a file of scores, row by row; the id is the file's stem and the row's number."""
    for number, (row, quality_M) in enumerate(zip(found, quality_NM.tolist(), strict=True)):
        if np.isnan(quality_M).all():
            intake.drop("the row has no score", f"{path}, row {number}", len(models))
        for model, quality in zip(models, quality_M, strict=True):
            if not np.isnan(quality):
                yield Outcome(
                    id=f"{path.stem}-{number}",
                    prompt=row["question"],
                    group=group,
                    model=model,
                    quality=quality,
                    usd=None,
                    seconds=None,
                )


def score_matrix(path: Path, found: list[Record], models: tuple[str, ...], intake: Intake) -> Floats:
    """The scores of all rows, NaN where there is none.

    Raises:
        BadTable: a model that is not in every row, or a score outside 0..1; names the row.
    """
    rows = [_scores(path, number, row["scores"], models, intake) for number, row in enumerate(found)]
    return np.array(rows, dtype=np.float64)


def _scores(
    path: Path, number: int, scores: dict[str, Any], models: tuple[str, ...], intake: Intake
) -> list[float | None]:
    where = f"{path}, row {number}"
    if differing := set(scores).symmetric_difference(models):
        raise BadTable(f"{where}: {min(differing)!r} is not in every row; write null for a score that was not measured")
    for model, score in scores.items():
        if isinstance(score, bool | str):
            raise BadTable(f"{where}, column {model!r}: a score is a number from 0 to 1, got {score!r}")
    return [intake.quality(where, model, scores[model]) for model in models]
