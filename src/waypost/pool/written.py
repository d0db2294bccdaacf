"""An answer in the making, gathered from chunks of OpenAI's shape (``delta``, ``message`` or ``text``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from waypost.pool.usage import Usage
from waypost.types import Answer, ModelCard


@dataclass(slots=True)
class Written:
    """What the first choice has said so far; ``trim`` drops white space before its first word.

    >>> written = Written()
    >>> written.take({"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]})
    'Hi'
    >>> written.take({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 2}})
    ''
    >>> written.answer(ModelCard("m", usd_per_mtok_in=1, usd_per_mtok_out=2), seconds=0.1).usd is None
    True
    >>> written.take({"usage": {"prompt_tokens": 2, "completion_tokens": 1}})
    ''
    >>> written.answer(ModelCard("m", usd_per_mtok_in=1, usd_per_mtok_out=2), seconds=0.1).usd
    4e-06
    """

    trim: bool = False
    finish: str = ""
    usage: Usage | None = None
    texts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    _ended: dict[int, bool] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether each choice that has begun has said why it ended."""
        return self.finish != "" and all(self._ended.values())

    def take(self, chunk: Mapping[str, Any]) -> str:
        """Note a chunk and return the first choice's text.

        Text in parts and arguments as objects, which some providers send, become texts in the chunk itself.

        Raises:
            ValueError: the chunk is not of that shape.
        """
        try:
            if usage := chunk.get("usage"):
                self.usage = Usage.of(usage)
            text = ""
            for choice in chunk.get("choices") or ():
                index, finish = choice.get("index", 0), choice.get("finish_reason")
                if finish or index not in self._ended:
                    self._ended[index] = bool(finish)
                part = choice.get("delta") or choice.get("message") or {}
                if not isinstance(part.get("content"), str) or "tool_calls" in part:
                    _make_plain(part)
                if index == 0:
                    text += self._take_choice(choice, part, finish)
            return text
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("a chunk that is no chat completion") from error

    def _take_choice(self, choice: Mapping[str, Any], part: Mapping[str, Any], finish: str | None) -> str:
        if usage := choice.get("usage"):  # where Moonshot puts it in a stream
            self.usage = Usage.of(usage)
        text = str(choice.get("text") or part.get("content") or "")
        if self.trim and not self.texts:
            text = text.lstrip()
        if text:
            self.texts.append(text)
        if finish:
            self.finish = finish
        if logprobs := choice.get("logprobs"):
            self.logprobs += [float(token["logprob"]) for token in logprobs.get("content") or ()]
        return text

    def answer(
        self,
        card: ModelCard,
        seconds: float,
        body: Mapping[str, Any] | None = None,
        raw: bytes | None = None,
        api: str = "chat",
    ) -> Answer:
        """The whole: cost is the usage at the card's prices; unknown without a usage.

        ``logprob`` is the mean over all tokens, the end of turn included.
        """
        usage = self.usage or Usage(0, 0)
        return Answer(
            card.name,
            "".join(self.texts),
            usage.tokens_in,
            usage.tokens_out,
            seconds=seconds,
            usd=usage.usd(card) if self.usage else None,
            finish=self.finish or "stop",
            logprob=sum(self.logprobs) / len(self.logprobs) if self.logprobs else None,
            body=body,
            tokens_cached=usage.cached,
            tokens_written=usage.written,
            tokens_reasoning=usage.reasoning,
            raw=raw,
            api=api,
        )


def _make_plain(part: dict[str, Any]) -> None:
    """Say in OpenAI's shape what a message, or a piece of one, says in its own."""
    content = part.get("content")
    if isinstance(content, list):
        part["content"] = "".join(piece["text"] for piece in content if piece.get("type") == "text")
    elif content is not None and not isinstance(content, str):
        raise TypeError("content that is no text")
    for call in part.get("tool_calls") or ():
        function = call.get("function")
        if function and not isinstance(function.get("arguments"), str | None):
            function["arguments"] = orjson.dumps(function["arguments"]).decode()
