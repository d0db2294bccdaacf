"""What an answer of OpenAI's Responses API says, read from its object and from its events; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from waypost.pool.usage import Usage
from waypost.types import Answer, ModelCard

Json = Mapping[str, Any]

_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass(slots=True)
class Told:
    """What has been told so far; ``over`` once the answer is whole, ``failure`` is the provider's error if it is none.

    >>> told = Told()
    >>> told.take({"type": "response.output_text.delta", "delta": "Hi"}), told.over
    ('Hi', False)
    >>> usage = {"input_tokens": 9, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 3}}
    >>> told.take({"type": "response.completed", "response": {"status": "completed", "usage": usage}}), told.over
    ('', True)
    >>> told.usage
    Usage(tokens_in=9, tokens_out=4, cached=0, written=0, reasoning=3)
    """

    over: bool = False
    failure: Json | None = None
    finish: str = "stop"
    usage: Usage | None = None
    body: Json | None = None
    texts: list[str] = field(default_factory=list)

    def take(self, said: Json) -> str:
        """Note an event, or a whole response, and return the text that it adds.

        Raises:
            ValueError: it is neither.
        """
        try:
            if said.get("object") == "response":
                return self._take_whole(said)
            match said["type"]:
                case "response.output_text.delta":
                    self.texts.append(str(said["delta"]))
                    return self.texts[-1]
                case "response.completed" | "response.incomplete" | "response.failed":
                    self._end(said["response"])
                case "error":
                    self.failure = said
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("an object that is no response") from error
        return ""

    def answer(self, card: ModelCard, seconds: float) -> Answer:
        """The whole: cost is the usage at the card's prices; unknown without a usage."""
        usage = self.usage or Usage(0, 0)
        return Answer(
            card.name,
            "".join(self.texts),
            usage.tokens_in,
            usage.tokens_out,
            seconds=seconds,
            usd=usage.usd(card) if self.usage else None,
            finish=self.finish,
            body=self.body,
            tokens_cached=usage.cached,
            tokens_written=usage.written,
            tokens_reasoning=usage.reasoning,
            api="responses",
        )

    def _take_whole(self, body: Json) -> str:
        self._end(body)
        parts = [part for item in body["output"] if item["type"] == "message" for part in item["content"]]
        self.texts = [part["text"] for part in parts if part["type"] == "output_text"]
        return "".join(self.texts)

    def _end(self, body: Json) -> None:
        self.over, self.body = True, body
        if (status := body.get("status", "completed")) not in ("completed", "incomplete"):
            self.failure = body.get("error") or {"message": f"its response is {status}"}
        calls = any(item["type"] == "function_call" for item in body.get("output") or ())
        reason = (body.get("incomplete_details") or {}).get("reason")
        self.finish = _FINISH.get(str(reason), "tool_calls" if calls else "stop")
        counts = body.get("usage")
        if counts:
            self.usage = Usage.of(
                {
                    "prompt_tokens": counts.get("input_tokens"),
                    "completion_tokens": counts.get("output_tokens"),
                    "prompt_tokens_details": counts.get("input_tokens_details"),
                    "completion_tokens_details": counts.get("output_tokens_details"),
                }
            )
