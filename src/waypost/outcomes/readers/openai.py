"""Request logs in OpenAI's form: JSON Lines of requests and their responses, or the files of a batch.

- a log: ``{"request": body, "response": body}``, where each may be the body itself or hold it under ``body``.
- a batch's input: ``{"custom_id", "method", "url", "body"}``, and its output: ``{"custom_id", "response":
  {"status_code", "body"}, "error"}``, which name each other by ``custom_id``; name the input file first.

Bodies are those of chat completions, completions or responses.  A log has no scores: it gives prompts to collect
outcomes for.  Costs are not in it; the tokens that its ``usage`` bills are priced by a price list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from waypost.outcomes.readers._files import Head, Record, records, short_id, text
from waypost.outcomes.readers._intake import Intake
from waypost.outcomes.readers._requests import Unusable, answer_of, has_system, prompt_of
from waypost.types import Outcome

# The counts of the responses API, under the names that chat completions give them.
_CHAT = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def fits(found: Head) -> bool:
    """Whether a file begins like a log, or a batch's input or output."""
    pair = found.has("request", "response")
    return pair or (found.has("custom_id") and (found.has("body") or found.has("response")))


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The requests of one file as answers without a score; those of a batch's input are answers of no model.

    Raises:
        BadTable: a line that is no JSON object; names the line.
    """
    systems = uncounted = 0
    for where, record in records(path, intake.max_bytes):
        try:
            request, response = _bodies(record, intake)
            row = _call(request, response, intake)
        except Unusable as why:
            intake.drop(str(why), where)
            continue
        systems += has_system(request)
        uncounted += response is not None and not row.tokens_in
        yield row
    if uncounted:
        intake.note(f"{path.name}: answers that do not say what tokens were billed, which have no cost: {uncounted:,}")
    if systems:
        intake.note(f"{path.name}: requests with a system message, which a prompt alone does not carry: {systems:,}")


def _bodies(record: Record, intake: Intake) -> tuple[Any, Any]:
    """The request and the response (None: not there) of a line."""
    if "request" in record:
        return _body(record["request"]), _answered(record)
    batch = text(record.get("custom_id"))
    if isinstance(record.get("body"), Mapping):
        intake.kept[batch] = record["body"]
        return record["body"], None
    if "response" not in record:
        raise Unusable("it is neither a request nor a response")
    if batch not in intake.kept:
        raise Unusable("its request is in no file before it (name a batch's input file first)")
    return intake.kept[batch], _answered(record)


def _answered(record: Record) -> Any:
    response = record.get("response")
    if record.get("error") or (isinstance(response, Mapping) and response.get("status_code", 200) != 200):
        raise Unusable("the call failed")
    return _body(response)


def _body(value: Any) -> Any:
    return value["body"] if isinstance(value, Mapping) and isinstance(value.get("body"), Mapping) else value


def _call(request: Any, response: Any, intake: Intake) -> Outcome:
    prompt = prompt_of(request)
    answer: Mapping[str, Any] = response if isinstance(response, Mapping) else {}
    usage = answer.get("usage")
    tokens_in, tokens_out, cached, written, reasoning = intake.counted(
        _as_chat(usage) if isinstance(usage, Mapping) else {}
    )
    asked: Any = request.get("model") if isinstance(request, Mapping) and response is not None else None
    return Outcome(
        id=short_id(prompt),
        prompt=prompt,
        group="",
        model=text(asked or answer.get("model")),
        quality=None,
        usd=None,
        seconds=None,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=cached,
        tokens_written=written,
        tokens_reasoning=reasoning,
        answer=answer_of(answer),
    )


def _as_chat(usage: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**usage, **{chat: usage[name] for name, chat in _CHAT.items() if name in usage and not usage.get(chat)}}
