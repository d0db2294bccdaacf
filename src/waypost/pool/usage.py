"""Tokens as a provider bills them, read from OpenAI's ``usage`` in the shapes that providers really send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from waypost.types import ModelCard

Json = Mapping[str, Any]


class Usage(NamedTuple):
    """Tokens of one call: ``cached`` and ``written`` are parts of ``tokens_in``, ``reasoning`` of ``tokens_out``."""

    tokens_in: int
    tokens_out: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    @classmethod
    def of(cls, usage: Json) -> Self | None:
        """The counts of a ``usage`` object, or None when it does not say what the call will be billed for.

        That is when a count is missing or negative, or when no prompt token was counted, which no call is without.

        OpenAI counts cached tokens inside the prompt and reasoning inside the completion.  Others count them beside:
        xAI and gateways to Gemini report a ``total_tokens`` above prompt and completion, and the difference is
        thought that is billed; gateways to Bedrock do so with what was read from the cache or written to it.  So a
        part that exceeds its whole is added to it; what only the total holds is input if it is just as much as was
        cached or written, and else output.

        Raises:
            AttributeError, TypeError, ValueError: the object is of another shape.

        >>> Usage.of({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135})
        Usage(tokens_in=32, tokens_out=103, cached=0, written=0, reasoning=94)
        >>> Usage.of({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 71, "cache_read_input_tokens": 30})
        Usage(tokens_in=62, tokens_out=9, cached=30, written=0, reasoning=0)
        >>> Usage.of({"completion_tokens": 9}) is None
        True
        """
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if prompt is None or completion is None:
            return None
        details, thought = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        # OpenAI's names are among the details; those of DeepSeek, Moonshot and Anthropic (by a gateway) are beside.
        cached = (
            details.get("cached_tokens")
            or usage.get("prompt_cache_hit_tokens")
            or usage.get("cached_tokens")
            or usage.get("cache_read_input_tokens")
            or 0
        )
        written = details.get("cache_write_tokens") or usage.get("cache_creation_input_tokens") or 0
        reasoning = thought.get("reasoning_tokens") or 0
        counts = int(prompt), int(completion), int(cached), int(written), int(reasoning)
        return cls._whole(*counts, int(usage.get("total_tokens") or 0)) if min(counts) >= 0 else None

    @classmethod
    def _whole(cls, prompt: int, completion: int, cached: int, written: int, reasoning: int, total: int) -> Self | None:
        """The counts, with what was counted beside prompt and completion added to them."""
        read = cached + written
        tokens_in = prompt if read <= prompt else prompt + read
        tokens_out = completion if reasoning <= completion else completion + reasoning
        hidden = max(0, total - tokens_in - tokens_out)
        if tokens_in == prompt and hidden != reasoning:
            beside = next((part for part in (read, written) if part and hidden - part in (0, reasoning)), 0)
            tokens_in, hidden = tokens_in + beside, hidden - beside
        if hidden:
            tokens_out, reasoning = tokens_out + hidden, max(reasoning, hidden)
        return cls(tokens_in, tokens_out, cached, written, reasoning) if tokens_in else None

    def usd(self, card: ModelCard) -> float | None:
        """What the call costs at the card's prices, or None when it states none."""
        return card.usd(
            self.tokens_in, self.tokens_out, cached=self.cached, written=self.written, reasoning=self.reasoning
        )

    def json(self) -> dict[str, Any]:
        """The counts as OpenAI writes them; details of what was not used are left out.

        >>> Usage(10, 5, cached=4).json()["prompt_tokens_details"]
        {'cached_tokens': 4}
        """
        read = {"cached_tokens": self.cached, "cache_write_tokens": self.written}
        details = {
            "prompt_tokens_details": {name: count for name, count in read.items() if count},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning} if self.reasoning else {},
        }
        return {
            "prompt_tokens": self.tokens_in,
            "completion_tokens": self.tokens_out,
            "total_tokens": self.tokens_in + self.tokens_out,
            **{name: counts for name, counts in details.items() if counts},
        }
