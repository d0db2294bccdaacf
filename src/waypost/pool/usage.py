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

        That is when a count is missing, or when no prompt token was counted, which no call is without.

        OpenAI counts cached tokens inside the prompt and reasoning inside the completion.  Others count them beside:
        xAI and gateways to Gemini report a ``total_tokens`` above prompt and completion, and the difference is
        thought that is billed.  So a part that exceeds its whole is added to it, and what only the total holds is
        output.

        Raises:
            AttributeError, TypeError, ValueError: the object is of another shape.

        >>> Usage.of({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135})
        Usage(tokens_in=32, tokens_out=103, cached=0, written=0, reasoning=94)
        >>> Usage.of({"completion_tokens": 9}) is None
        True
        """
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if prompt is None or completion is None:
            return None
        details, thought = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        # DeepSeek's name for cached tokens stands beside the prompt's, not among its details.
        cached = int(details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0)
        written = int(details.get("cache_write_tokens") or 0)
        reasoning = int(thought.get("reasoning_tokens") or 0)
        tokens_in = _whole(int(prompt), cached + written)
        tokens_out = _whole(int(completion), reasoning)
        if hidden := max(0, int(usage.get("total_tokens") or 0) - tokens_in - tokens_out):
            tokens_out, reasoning = tokens_out + hidden, max(reasoning, hidden)
        return cls(tokens_in, tokens_out, cached, written, reasoning) if tokens_in else None

    def usd(self, card: ModelCard) -> float | None:
        """What the call costs at the card's prices, or None when it states none."""
        parts = {"cached": self.cached, "written": self.written, "reasoning": self.reasoning}
        return card.usd(self.tokens_in, self.tokens_out, **parts)

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


def _whole(count: int, parts: int) -> int:
    return count if parts <= count else count + parts
