"""An answer in the making, gathered from chunks of OpenAI's shape (``delta``, ``message`` or ``text``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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

    def take(self, chunk: Mapping[str, Any]) -> str:
        """Note a chunk and return the first choice's text.

        Raises:
            ValueError: the chunk is not of that shape.
        """
        try:
            if usage := chunk.get("usage"):
                self.usage = Usage.of(usage)
            text = ""
            for choice in chunk.get("choices") or ():
                if choice.get("index", 0) == 0:
                    text += self._take_choice(choice)
            return text
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("a chunk that is no chat completion") from error

    def _take_choice(self, choice: Mapping[str, Any]) -> str:
        if usage := choice.get("usage"):  # where Moonshot puts it in a stream
            self.usage = Usage.of(usage)
        part = choice.get("delta") or choice.get("message") or {}
        text = str(choice.get("text") or part.get("content") or "")
        if self.trim and not self.texts:
            text = text.lstrip()
        self.texts += [text] if text else []
        self.finish = choice.get("finish_reason") or self.finish
        if logprobs := choice.get("logprobs"):
            self.logprobs += [float(token["logprob"]) for token in logprobs.get("content") or ()]
        return text

    def answer(
        self, card: ModelCard, seconds: float, body: Mapping[str, Any] | None = None, raw: bytes | None = None
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
        )
