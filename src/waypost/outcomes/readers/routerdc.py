"""Score files in the form that RouterDC published (arXiv 2409.19886): JSON, one file a data set.

A file is a list of ``{"question": text, "scores": {model: number}, "cluster_id": …}``.  Its scores mean one of two
things, and the numbers tell which:

- every score is a multiple of 0.1: the share of ten samples that were right, or simply right and wrong.  Quality is
  the score.
- otherwise the task is multiple choice, and a score is the probability of the right option, or 0 when another
  option won.  Quality is 1 where the score is above 0.

There are no costs and no answers, so USD, seconds and cells are missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from waypost.errors import BadTable
from waypost.outcomes.table import Outcomes
from waypost.types import Floats


def read(path: Path, report: Callable[[str], None] = lambda _: None) -> Outcomes:
    """The table of one file; its group is the file's stem without ``_train`` or ``_test``.

    ``report`` is told how the scores were understood.

    Raises:
        BadTable: not such a file; the sentence names the file, the row and what it lacks.
    """
    rows = _rows(path)
    models = tuple(rows[0]["scores"])
    scores_NM = np.array([_scores(path, number, row["scores"], models) for number, row in enumerate(rows)])
    if on_tenths(scores_NM):
        report(f"{path.name}: scores on tenths, quality is the score")
        quality_NM = scores_NM
    else:
        report(f"{path.name}: multiple choice, quality is score > 0")
        quality_NM = np.where(np.isnan(scores_NM), np.nan, scores_NM > 0)
    group = re.sub(r"[-_](train|test)$", "", path.stem)
    return Outcomes(
        tuple(f"{path.stem}-{number}" for number in range(len(rows))),
        tuple(row["question"] for row in rows),
        (group,) * len(rows),
        models,
        quality_NM,
        np.full(quality_NM.shape, np.nan),
    )


def on_tenths(scores_NM: Floats) -> bool:
    """Whether every score that is there is a multiple of 0.1.

    >>> on_tenths(np.array([[0.1, 0.30000000000000004, 1.0]])), on_tenths(np.array([[0.0, 0.4187]]))
    (True, False)
    """
    tenths = scores_NM[~np.isnan(scores_NM)] * 10
    return bool(np.allclose(tenths, np.round(tenths), rtol=0, atol=1e-6))


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadTable(f"{path} is not JSON: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise BadTable(f"{path} must be a list of at least one {{'question', 'scores'}} object")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("question"), str):
            raise BadTable(f"{path}, row {number}: needs a text 'question'")
        if not isinstance(row.get("scores"), dict) or not row["scores"]:
            raise BadTable(f"{path}, row {number}: needs 'scores', an object of model name to number")
    return rows


def _scores(path: Path, number: int, scores: dict[str, Any], models: tuple[str, ...]) -> list[float]:
    if differing := set(scores).symmetric_difference(models):
        problem = f"{min(differing)!r} is not in every row; write null for a score that was not measured"
        raise BadTable(f"{path}, row {number}: {problem}")
    for model, score in scores.items():
        if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1):
            raise BadTable(f"{path}, row {number}, model {model!r}: a score is a number from 0 to 1, got {score!r}")
    return [np.nan if scores[model] is None else float(scores[model]) for model in models]
