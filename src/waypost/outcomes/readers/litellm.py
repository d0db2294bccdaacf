"""The spend log of a LiteLLM proxy (table ``LiteLLM_SpendLogs``): CSV, JSON, JSON Lines or Parquet, a call a row.

Columns read: ``request_id, call_type, model_group`` or ``model, spend`` (USD), ``prompt_tokens, completion_tokens,
startTime, endTime, cache_hit, status``, and the prompt and answer in ``proxy_server_request`` or ``messages`` and in
``response``, which LiteLLM stores only with ``store_prompts_in_spend_logs: true``.

A log says what was asked and what it cost, and not how good the answers were: there is no score, and each prompt went
to one model.  So it gives prompts to collect outcomes for, and what each model has cost so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from waypost.errors import BadTable
from waypost.outcomes.readers import _requests
from waypost.outcomes.readers._files import Head, Record, records, text
from waypost.outcomes.readers._intake import Intake
from waypost.types import Outcome

_NEEDED = ("request_id", "spend")
_CHATS = ("completion", "responses", "messages")


def fits(found: Head) -> bool:
    """Whether a file begins like a spend log."""
    return found.has(*_NEEDED)


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The calls of one file as answers without a score.

    The cost and time of an answer from the proxy's cache are not the model's, and are left empty.  So is a spend of 0
    for counted tokens, which LiteLLM writes for a model whose price it does not know.

    Raises:
        BadTable: a row is no row of the log; names the row.
    """
    cached = unpriced = systems = 0
    for where, record in records(path, intake.max_bytes):
        if not record.keys() >= set(_NEEDED):
            raise BadTable(f"{where}: needs {', '.join(_NEEDED)}; a spend log has them in every row")
        asked = _asked(record)
        try:
            row = _call(where, record, asked, intake)
        except _requests.Unusable as why:
            intake.drop(str(why), where)
            continue
        if _cached(record):
            cached += 1
            row = replace(row, usd=None, seconds=None)
        elif row.usd == 0 and (row.tokens_in or row.tokens_out):
            unpriced += 1
            row = replace(row, usd=None)
        systems += _requests.has_system(asked)
        yield row
    if cached:
        intake.note(f"{path.name}: answers from the proxy's cache, whose cost and time are left empty: {cached:,}")
    if unpriced:
        intake.note(f"{path.name}: calls with tokens and a spend of 0, whose cost is left unknown: {unpriced:,}")
    if systems:
        intake.note(f"{path.name}: requests with a system message, which a prompt alone does not carry: {systems:,}")


def _call(where: str, record: Record, asked: Any, intake: Intake) -> Outcome:
    if text(record.get("status")) == "failure":
        raise _requests.Unusable("the call failed")
    kind = text(record.get("call_type"))
    if kind and not kind.endswith(_CHATS):
        raise _requests.Unusable("the call was no chat")
    model = text(record.get("model_group") or record.get("model"))
    if not model:
        raise _requests.Unusable("it names no model")
    prompt = _requests.prompt_of(asked)
    seconds = _seconds(record)
    return Outcome(
        id=text(record["request_id"]),
        prompt=prompt,
        group="",
        model=model,
        quality=None,
        usd=_spend(where, record, intake),
        seconds=None if seconds is None or seconds < 0 else seconds,
        tokens_in=intake.tokens(where, "prompt_tokens", record.get("prompt_tokens")),
        tokens_out=intake.tokens(where, "completion_tokens", record.get("completion_tokens")),
        answer=_requests.answer_of(_requests.parsed(record.get("response"))),
    )


def _asked(record: Record) -> Any:
    """The request; LiteLLM keeps it in one of two columns and leaves ``{}`` in the other."""
    found = (_requests.parsed(record.get(name)) for name in ("proxy_server_request", "messages"))
    return next((body for body in found if body), None)


def _spend(where: str, record: Record, intake: Intake) -> float | None:
    try:
        return intake.usd(where, "spend", record["spend"])
    except BadTable as error:
        raise _requests.Unusable("its spend is negative or no number") from error


def _cached(record: Record) -> bool:
    return text(record.get("cache_hit")).lower() == "true"


def _seconds(record: Record) -> float | None:
    begin, end = (_moment(record.get(name)) for name in ("startTime", "endTime"))
    return None if begin is None or end is None else end - begin


def _moment(value: Any) -> float | None:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    try:
        return datetime.fromisoformat(text(value)).timestamp()
    except (ValueError, OverflowError):
        return None
