"""Data of LLMRouter (github.com/ulab-uiuc/LLMRouter): score files, routing data and query data.

- score files (``data/dcrouter_preprocessed``): JSON, a list of ``{"question", "scores": {model: number},
  "cluster_id"}``.  They look like RouterDC's and mean something else: a score is the quality itself, 0 or 1 for exact
  match and code, F1 in 0..1 for short answers.
- routing data: JSON Lines, one answer a line: ``task_name, query, ground_truth, metric, choices, model_name,
  response, performance`` (0..1), ``input_tokens, output_tokens, response_time`` (seconds).
- query data: the same lines without a model, which are prompts to be collected.

Costs are not in the files; the tokens of the routing data are priced by a price list, such as the project's own
``default_llm.json`` (USD per million tokens).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from waypost.errors import BadTable
from waypost.outcomes.readers import routerdc
from waypost.outcomes.readers._files import Head, Record, head, records, short_id, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

# Their metrics that one of our scorers means as well; the others are left to a judge.
_SCORERS = {"em_mc": "choice", "GSM8K": "number"}


def fits(found: Head) -> bool:
    """Whether a file begins like one of LLMRouter's (its score files look like RouterDC's)."""
    return routerdc.fits(found) or found.has("task_name", "query", "ground_truth")


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The answers of one file; a query without an answer is an answer of no model.

    Raises:
        BadTable: a row lacks what its kind needs, or a score is outside 0..1; the sentence names the row.
    """
    if head(path).has("task_name"):
        return (_line(where, record, intake) for where, record in records(path, intake.max_bytes))
    found = routerdc.score_rows(path, intake)
    models = tuple(sorted(found[0]["scores"]))
    return routerdc.wide(path, found, models, routerdc.score_matrix(path, found, models, intake), "mixed", intake)


def _line(where: str, record: Record, intake: Intake) -> Outcome:
    query, task = record.get("query"), text(record.get("task_name"))
    if not isinstance(query, str):
        raise BadTable(f"{where}: needs a text 'query'")
    reference, model = text(record.get("ground_truth")), text(record.get("model_name"))
    return Outcome(
        id=f"{task}-{short_id(query, reference)}",
        prompt=query if model else query + _options(record.get("choices")),
        group=task,
        model=model,
        quality=intake.quality(where, "performance", record.get("performance")),
        usd=None,
        seconds=intake.seconds(where, "response_time", record.get("response_time")),
        tokens_in=intake.tokens(where, "input_tokens", record.get("input_tokens")),
        tokens_out=intake.tokens(where, "output_tokens", record.get("output_tokens")),
        answer=text(record.get("response")),
        reference=reference,
        scorer="" if model else _SCORERS.get(text(record.get("metric")), ""),
    )


def _options(choices: Any) -> str:
    r"""The options of a question, which its query does not repeat, as lines.

    >>> _options('{"text": ["Paris", "Rome"], "labels": ["A", "B"]}')
    '\nA. Paris\nB. Rome'
    """
    try:
        found = json.loads(choices) if isinstance(choices, str) else choices
    except ValueError:
        return ""
    if not isinstance(found, dict) or not isinstance(found.get("text"), list):
        return ""
    labels = found.get("labels")
    if not isinstance(labels, list) or len(labels) != len(found["text"]):
        return ""
    return "".join(f"\n{label}. {option}" for label, option in zip(labels, found["text"], strict=True))
