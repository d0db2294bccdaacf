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
    """What has been told so far; ``over`` once the answer is whole, ``failure`` in the provider's words if it is none.

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
    failure: str | None = None
    finish: str = "stop"
    usage: Usage | None = None
    texts: list[str] = field(default_factory=list)

    def take(self, event: Json) -> str:
        """Note an event and return the text that it adds.

        Raises:
            ValueError: the event is not of that shape.
        """
        try:
            match event["type"]:
                case "response.output_text.delta":
                    self.texts.append(event["delta"])
                    return str(event["delta"])
                case "response.completed" | "response.incomplete" | "response.failed":
                    self._end(event["response"])
                    self.over = True
                case "error":
                    self.failure = str(event.get("message") or "no reason given")
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("an event that is none of a response") from error
        return ""

    def take_whole(self, body: Json) -> None:
        """Note a whole response.

        Raises:
            ValueError: it is none.
        """
        try:
            self._end(body)
            parts = (part for item in body["output"] if item["type"] == "message" for part in item["content"])
            self.texts = [part["text"] for part in parts if part["type"] == "output_text"]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("an object that is no response") from error

    def answer(self, card: ModelCard, seconds: float, body: Json | None = None, raw: bytes | None = None) -> Answer:
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
            body=body,
            tokens_cached=usage.cached,
            tokens_written=usage.written,
            tokens_reasoning=usage.reasoning,
            raw=raw,
            api="responses",
        )

    def _end(self, body: Json) -> None:
        if body.get("status") == "failed":
            self.failure = str((body.get("error") or {}).get("message") or "no reason given")
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
