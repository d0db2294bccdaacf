"""OpenAI's completions, the API before chat: a text goes in and its continuation comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from waypost.errors import BadRequest, WaypostError
from waypost.gateway.apis.api import Json
from waypost.gateway.reply import DONE, event, usage
from waypost.gateway.wire import error_body, kind
from waypost.types import Answer, Delta, Native

# What a chat cannot do: continue before a text, repeat the prompt, weigh several answers, tell of its tokens so.
# With each the values that say no more than leaving it out does.
_FOREIGN: Mapping[str, tuple[object, ...]] = {
    "suffix": (None, ""),
    "echo": (None, False),
    "logprobs": (None,),
    "best_of": (None, 1),
}


class Completions:
    """Models that speak only chat get the prompt as one user turn."""

    name = "completions"
    path = "/v1/completions"

    def read(self, body: Json) -> tuple[Json, Native]:
        """The prompt as a conversation of one turn, and the request as it came but for ``waypost``."""
        prompt, foreign = _prompt(body)
        foreign += [name for name in _FOREIGN if body.get(name) not in _FOREIGN[name]]
        passed = {name: value for name, value in body.items() if name not in ("prompt", *_FOREIGN)}
        came = {name: value for name, value in body.items() if name != "waypost"}
        messages = [{"role": "user", "content": prompt}]
        return {**passed, "messages": messages}, Native(self.name, came, foreign=tuple(foreign))

    def whole(self, id: str, created: int, answer: Answer, asked: Json) -> bytes:
        """A provider's bytes as they came, or a completion made of a chat's."""
        if answer.raw is not None and answer.api == self.name:
            return answer.raw
        if answer.body is not None and answer.api == self.name:  # one that came as a stream before
            return orjson.dumps({"usage": usage(answer), **answer.body})
        choices = _choices(answer.body) or [_choice(0, answer.text, answer.finish)]
        return orjson.dumps({**_head(id, created, answer.model, choices), "usage": usage(answer)})

    def stream(self, id: str, created: int, asked: Json) -> Stream:
        """Chunks, with the usage as the last if the request asks for it."""
        options = asked.get("stream_options") or {}
        return Stream(id, created, bool(options.get("include_usage")))

    def error(self, error: WaypostError) -> Json:
        """OpenAI's error object."""
        return error_body(error)


@dataclass(slots=True)
class Stream:
    """Writes one streamed completion, event by event."""

    id: str
    created: int
    include_usage: bool
    finished: bool = False
    told_usage: bool = False

    def piece(self, model: str, delta: Delta) -> bytes:
        """A provider's event as it came, or one of what a chat says."""
        chunk: Json = delta.chunk or {}
        choices = _choices(chunk) if "choices" in chunk else [_choice(0, delta.text, None)]
        if delta.raw is not None and delta.api == Completions.name:
            if not choices and not self.include_usage:
                return b""
            self.told_usage = self.told_usage or not choices
        else:
            # A chat tells its role, its refusals and its calls in pieces without text, which have no place here.
            choices = [choice for choice in choices if choice["text"] or choice["finish_reason"]]
            if not choices:
                return b""
        self.finished = self.finished or any(choice.get("finish_reason") for choice in choices)
        if delta.api == Completions.name:
            # Without bytes it is a whole completion that a strategy has looked at; its usage comes with the end.
            whole = {name: value for name, value in chunk.items() if name != "usage"}
            return delta.raw if delta.raw is not None else event(whole)
        return event(_head(self.id, self.created, model, choices))

    def end(self, answer: Answer, waypost: Json) -> bytes:
        """The reason of the end if no chunk has told it, usage if it was asked for and not told, ``[DONE]``."""
        events = []
        if not self.finished:
            events.append(event(_head(self.id, self.created, answer.model, [_choice(0, "", answer.finish)])))
        if self.include_usage and not self.told_usage:
            head = _head(self.id, self.created, answer.model, [])
            events.append(event({**head, "usage": usage(answer), "waypost": waypost}))
        return b"".join(events) + DONE

    def broken(self, error: WaypostError) -> bytes:
        """An event of the error, and no ``[DONE]``."""
        return event(error_body(error))


def _prompt(body: Json) -> tuple[str, list[str]]:
    """The prompt's text, and whether it is of a kind that a chat cannot be asked."""
    prompt = body.get("prompt")
    match prompt:
        case str():
            return prompt, []
        case [str() as text]:
            return text, []
        case [str(), *_] if all(isinstance(text, str) for text in prompt):
            return "\n".join(prompt), ["prompt with more than one text"]
        case [int() | list(), *_]:
            return "", ["prompt in tokens"]
    got = f"got {kind(prompt)}" if "prompt" in body else "and is missing"
    raise BadRequest("prompt", f"must be a text, a list of texts, or tokens, {got}")


def _head(id: str, created: int, model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": f"cmpl-{id}", "object": "text_completion", "created": created, "model": model, "choices": choices}


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _choices(body: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The choices of a chat completion, or of a chunk of one, as those of a completion."""
    made = []
    for choice in (body or {}).get("choices") or ():
        said = choice.get("message") or choice.get("delta") or {}
        text = choice.get("text") or said.get("content") or ""
        made.append(_choice(choice.get("index", 0), text, choice.get("finish_reason")))
    return made
