"""What the exact experts share: a pure function of the prompt's text behind the members of a model."""

from __future__ import annotations

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from waypost.errors import Declined
from waypost.types import Answer, Delta, ModelCard, Query, message_text

# Clients send it by default and it asks for nothing; any other system message may ask for what we cannot give.
_HOLLOW = re.compile(r"(you are|you're) (a|an) (helpful|useful|friendly)?\s*(ai )?assistant[.!]?", re.IGNORECASE)


# What people say before a question; it asks for nothing itself.
_COURTESY = re.compile(
    r"(?:(?:hi|hello|hey)(?: there)?\b[\s,.!:]*"
    r"|(?:please |(?:can|could|would) you (?:please )?)?help me"
    r"(?: (?:out|with (?:this|that)))?(?: please)?\s*[,.!:?]\s*"
    r"|(?:can|could) you help\s*[,.!:?]\s*"
    r"|(?:(?:just )?(?:a |one )?(?:quick|short|simple) (?:question|one)|one (?:more|last) (?:thing|question)"
    r"|another (?:one|question)|next question|i have a (?:quick )?question"
    r"|(?:ok|okay|thanks|thank you))\s*[,.!:;–—-]\s*)+",
    re.IGNORECASE,
)


def without_courtesy(text: str) -> str:
    """The text from where its request begins.

    >>> without_courtesy("Hello, can you help? Quick question: what is 2 + 2?")
    'what is 2 + 2?'
    """
    match = _COURTESY.match(text)
    return text[match.end() :] if match else text


class Expert(ABC):
    """A model that computes its answer; it declines what it does not fully understand.

    It answers the last user turn alone, and declines what it could not obey: instructions in a system message,
    a required output format, a forced tool.  Its tokens are estimated as a quarter of the bytes.
    """

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    @abstractmethod
    def answer(self, text: str) -> str:
        """The answer to a prompt.

        Raises:
            Declined: it is not fully understood; the sentence says what stood in the way.
        """

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """The answer in one piece."""
        answer = await self.complete(query)
        yield Delta(answer.text)
        yield answer

    async def complete(self, query: Query) -> Answer:
        """The answer, computed in a thread.

        Raises:
            Declined: before anything is computed, or because the text is not for this expert.
        """
        _check_obeyable(query)
        start = time.perf_counter()
        text = await asyncio.to_thread(self.answer, query.text)
        tokens_in, tokens_out = query.size, len(text.encode()) // 4 + 1
        return Answer(
            self.card.name,
            text,
            tokens_in,
            tokens_out,
            seconds=time.perf_counter() - start,
            usd=self.card.usd(tokens_in, tokens_out),
        )

    async def ready(self) -> str | None:
        """None: there is nothing to load."""
        return None

    async def close(self) -> None:  # noqa: B027 (most experts hold nothing)
        """Free what the expert holds."""


def _check_obeyable(query: Query) -> None:
    for message in query.messages:
        role = message.get("role")
        if role in ("system", "developer") and not _HOLLOW.fullmatch(message_text(message).strip()):
            raise Declined(f"the conversation has a {role} message, which an exact expert cannot follow")
    wanted = query.parameters.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type", "text") != "text":
        raise Declined(f"the request wants {wanted['type']} output; an exact expert answers in plain text")
    if query.parameters.get("tool_choice") not in (None, "none", "auto"):
        raise Declined("the request forces a tool call; an exact expert calls no tools")
