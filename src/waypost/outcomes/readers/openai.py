"""Request logs in OpenAI's form: JSON Lines of requests and their responses, or the files of a batch.

- a log: ``{"request": body, "response": body}``, where each may be the body itself or hold it under ``body``.
- a batch's input: ``{"custom_id", "method", "url", "body"}``, and its output: ``{"custom_id", "response":
  {"status_code", "body"}, "error"}``, which name each other by ``custom_id``; name the input file first.

Bodies are those of chat completions, completions or responses.  A log has no scores: it gives prompts to collect
outcomes for.  Costs are not in it; tokens are priced by a price list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from waypost.outcomes.readers._files import Head, Record, records, short_id, text
from waypost.outcomes.readers._intake import Intake
from waypost.outcomes.readers._requests import Unusable, answer_of, has_system, prompt_of
from waypost.types import Outcome


def fits(found: Head) -> bool:
    """Whether a file begins like a log, or a batch's input or output."""
    pair = found.has("request", "response")
    return pair or (found.has("custom_id") and (found.has("body") or found.has("response")))


def rows(path: Path, intake: Intake) -> Iterator[Outcome]:
    """The requests of one file as answers without a score; those of a batch's input are answers of no model.

    Raises:
        BadTable: a line that is no JSON object; names the line.
    """
    systems = 0
    for where, record in records(path, intake.max_bytes):
        try:
            request, response = _bodies(record, intake)
            row = _call(where, request, response, intake)
        except Unusable as why:
            intake.drop(str(why), where)
            continue
        systems += has_system(request)
        yield row
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


def _call(where: str, request: Any, response: Any, intake: Intake) -> Outcome:
    prompt = prompt_of(request)
    answer: Mapping[str, Any] = response if isinstance(response, Mapping) else {}
    usage = answer.get("usage")
    used: Mapping[str, Any] = usage if isinstance(usage, Mapping) else {}
    asked: Any = request.get("model") if isinstance(request, Mapping) and response is not None else None

    def tokens(*names: str) -> int:
        return intake.tokens(where, names[0], next((used[name] for name in names if used.get(name)), None))

    return Outcome(
        id=short_id(prompt),
        prompt=prompt,
        group="",
        model=text(asked or answer.get("model")),
        quality=None,
        usd=None,
        seconds=None,
        tokens_in=tokens("prompt_tokens", "input_tokens"),
        tokens_out=tokens("completion_tokens", "output_tokens"),
        tokens_cached=_part(used, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        tokens_reasoning=_part(used, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
        answer=answer_of(answer),
    )


def _part(used: Mapping[str, Any], details: tuple[str, str], name: str) -> int:
    found = [used[detail].get(name) for detail in details if isinstance(used.get(detail), Mapping)]
    return next((count for count in found if isinstance(count, int) and count > 0), 0)
