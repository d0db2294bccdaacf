"""Router data sets of RouterEval (arXiv 2503.10657): a pickle a data set, decoded and never unpickled.

``ARC_router_dataset.pkl`` and its like hold a dict: ``prompt`` (``train_prompt``, ``val_prompt``, ``test_prompt``)
and, by difficulty (``easy``, ``hard``), size and group, a pool: ``model`` (names) and ``data`` (``train_score``,
``val_score``, ``test_score``: prompts × models, 0..1).  One pool is read, named like ``easy/5/strong_to_weak``; its
three parts are joined.  Embeddings are not read, and there are no costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from waypost.errors import BadTable, nearest
from waypost.outcomes.readers import _pickle
from waypost.outcomes.readers._files import Head
from waypost.outcomes.readers._frames import plain
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_PARTS = ("train", "val", "test")


def fits(found: Head) -> bool:
    """Whether a file may be a data set of RouterEval: a pickle of something else than a data frame."""
    return found.kind == "pickle" and b"DataFrame" not in found.start[:4096]


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one pool; the group is the data set.

    Raises:
        BadTable: no such data set, several pools and none named, or scores that do not fit prompts and models.
    """
    found = _pickle.load(path, intake.max_bytes)
    try:
        name, pool = _pool(found, intake.pool)
        models = [str(model) for model in _listed(pool.get("model"))]
        scores, prompts = pool.get("data"), found.get("prompt")
        if not models or not isinstance(scores, dict) or not isinstance(prompts, dict):
            raise BadTable(f"the pool {name} lacks 'model' or 'data', or the file 'prompt'")
        parts = [(part, *_part(part, prompts, scores, len(models))) for part in _PARTS]
    except BadTable as error:
        raise BadTable(f"{path}: {error}") from error
    intake.note(f"{path.name}: pool {name}, {len(models)} models; train, val and test are joined")
    group = path.stem.removesuffix("_router_dataset")
    for part, texts, score_NM in parts:
        for number, (prompt, score_M) in enumerate(zip(texts, score_NM, strict=True)):
            where = f"{path}, {part} {number}"
            for model, score in zip(models, score_M, strict=True):
                yield Outcome(
                    id=f"{group}-{part}-{number}",
                    prompt=prompt,
                    group=group,
                    model=model,
                    quality=intake.quality(where, model, score),
                    usd=None,
                    seconds=None,
                )


def _pool(found: Any, wanted: str) -> tuple[str, dict[str, Any]]:
    pools = dict(_pools(found))
    if not pools:
        raise BadTable("no RouterEval data set: a dict with 'prompt' and pools such as easy/5/strong_to_weak")
    if not wanted and len(pools) == 1:
        return next(iter(pools.items()))
    if wanted not in pools:
        asked = f"no pool '{wanted}'" if wanted else "there are several pools"
        raise BadTable(f"{asked}; name one with --pool: {', '.join(pools)}.{nearest(wanted, pools)}")
    return wanted, pools[wanted]


def _pools(found: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(found, dict):
        return
    for difficulty in ("easy", "hard"):
        for size, groups in _items(found.get(difficulty)):
            for group, pool in _items(groups):
                if isinstance(pool, dict):
                    yield f"{difficulty}/{size}/{group}", pool


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _part(part: str, prompts: dict[str, Any], scores: dict[str, Any], models: int) -> tuple[list[str], list[list[Any]]]:
    texts = _listed(prompts.get(f"{part}_prompt"))
    rows = _listed(scores.get(f"{part}_score"))
    whole = all(isinstance(prompt, str) for prompt in texts)
    if not whole or len(rows) != len(texts) or any(not isinstance(r, list) or len(r) != models for r in rows):
        raise BadTable(f"{part}: {len(texts)} prompts and {len(rows)} rows of scores do not fit for {models} models")
    return texts, rows


def _listed(node: Any) -> list[Any]:
    """A list, or an array as one; none where there is nothing."""
    value = plain(node)
    if isinstance(value, np.ndarray):
        return [plain(part) for part in value.tolist()]
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise BadTable(f"a {type(value).__name__} stands where a list or an array should")
    return [list(part) if isinstance(part, tuple) else plain(part) for part in value]
