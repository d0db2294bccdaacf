"""What a request may come to in tokens and in USD: rather too much than too little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from waypost.types import ModelCard, Query, message_text

# Prices of images differ by size and provider; this is what a large one costs with most.
_IMAGE_TOKENS = 1600
_MESSAGE_TOKENS = 10
_ASKED = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class Demand(NamedTuple):
    """Tokens that are read, and answers that are written, each of at most ``asked`` tokens; 0: it does not say.

    >>> Demand.of(Query.of("Hi", max_tokens=100, n=2))
    Demand(read=11, asked=100, answers=2)
    """

    read: int
    asked: int
    answers: int

    @classmethod
    def of(cls, query: Query) -> Demand:
        """What a request demands; who asks for vectors has nothing written."""
        parameters, native = query.parameters, query.native
        if native is not None and native.api == "embeddings":
            return cls(_read(query), 0, 0)
        asked = 0
        for name in _ASKED:  # which of them a provider goes by is its own affair
            said = parameters.get(name)
            if isinstance(said, int) and said > asked:
                asked = said
        return cls(_read(query), asked, _answers(query))

    def written(self, otherwise: int) -> int:
        """The most that may be written, over all answers; ``otherwise`` in each where the request does not say."""
        return (self.asked or otherwise) * self.answers


def most_usd(card: ModelCard, query: Query, demand: Demand, answer_tokens: int) -> float | None:
    """The most that one call may cost in USD, or None where the price is not known.

    All input at the dearest price of input, all output at the dearest of output, as much as is asked for and fits.

    >>> card = ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0, usd_per_mtok_reasoning=4.0)
    >>> query = Query.of("Hi", max_tokens=1000)
    >>> most_usd(card, query, Demand.of(query), 4096)
    0.004011
    """
    if card.usd_per_mtok_in is None or card.usd_per_mtok_out is None:
        return None
    most_out = demand.written(answer_tokens)
    if card.context is not None:
        most_out = min(most_out, demand.answers * max(0, card.context - query.size))
    price_in = max(card.usd_per_mtok_in, card.usd_per_mtok_cached or 0.0, card.usd_per_mtok_written or 0.0)
    price_out = max(card.usd_per_mtok_out, card.usd_per_mtok_reasoning or 0.0)
    return card.usd_per_call + (demand.read * price_in + most_out * price_out) / 1e6


def _read(query: Query) -> int:
    """The length of a request in tokens: a third of its bytes, files and images too."""
    size = 0
    for message in query.messages:
        size += len(message_text(message).encode(errors="replace")) // 3 + 1 + _MESSAGE_TOKENS
        if message.get("tool_calls"):
            size += len(orjson.dumps(message["tool_calls"])) // 3
        content = message.get("content")
        if isinstance(content, list):
            size += sum(map(_part_tokens, content))
    for name in ("tools", "functions", "response_format"):
        if query.parameters.get(name):
            size += len(orjson.dumps(query.parameters[name])) // 3
    if query.native is not None and query.native.api in ("completions", "embeddings"):
        size += _given_tokens(query.native.body)
    return size


def _part_tokens(part: Mapping[str, Any]) -> int:
    """Of a picture the most that one costs; a file or a sound may be of any length, and be as long as its bytes."""
    kind = part.get("type")
    if kind in ("text", None):
        return 0
    return _IMAGE_TOKENS if kind == "image_url" else max(_IMAGE_TOKENS, len(orjson.dumps(part)) // 3)


def _given_tokens(body: Mapping[str, Any]) -> int:
    """What no conversation tells of a prompt or an input: those that come as tokens, and what follows the gap."""
    given = body.get("input", body.get("prompt"))
    suffix = body.get("suffix")
    size = len(suffix.encode(errors="replace")) // 3 if isinstance(suffix, str) else 0
    if isinstance(given, list) and given and not isinstance(given[0], str):
        size += sum(len(part) if isinstance(part, list) else 1 for part in given)
    return size


def _answers(query: Query) -> int:
    """How many answers a provider makes, of which it may show one: for each prompt ``n`` or ``best_of``."""
    parameters, native = query.parameters, query.native
    answers = int(parameters.get("n") or 1)
    if native is None:
        best, prompts = parameters.get("best_of"), 1
    elif native.api == "completions":
        best, prompt = native.body.get("best_of"), native.body.get("prompt")
        prompts = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    else:
        return answers
    return prompts * (max(answers, best) if isinstance(best, int) else answers)
