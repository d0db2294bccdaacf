"""The nouns that pass between rooms.  Shape suffixes: N prompts, M models.

Everything here is plain data: no I/O, no clock, and no import of any other room.  What is made for every request is
never changed once it is made, but not frozen either: to freeze them would cost more than all else that is done to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model before it is called: price, limits, abilities.

    Prices are USD per million tokens plus USD per call; ``None`` means unknown, which is never zero.  Tokens read from
    a prompt cache (``usd_per_mtok_cached``), written to it (``usd_per_mtok_written``) and thought but not shown
    (``usd_per_mtok_reasoning``) may have prices of their own; without one they are billed like other input or output.
    ``context`` is in tokens, ``parameters`` in billions, ``answer_tokens`` the length of a typical answer.
    ``apis`` are the APIs that it speaks itself; "chat" is the one to which the others can be translated.  Models of the
    same ``upstream``, the provider's name of it, are one and the same in different places.

    >>> ModelCard("small", usd_per_mtok_in=0.1, usd_per_mtok_out=0.4).usd(1_000_000, 500_000)
    0.3
    """

    name: str
    usd_per_mtok_in: float | None = None
    usd_per_mtok_out: float | None = None
    usd_per_call: float = 0.0
    context: int | None = None
    parameters: float | None = None
    answer_tokens: float | None = None
    released: date | None = None
    open: bool = False
    local: bool = False
    capabilities: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()
    description: str = ""
    usd_per_mtok_cached: float | None = None
    usd_per_mtok_written: float | None = None
    usd_per_mtok_reasoning: float | None = None
    apis: frozenset[str] = frozenset({"chat"})
    upstream: str = ""

    def usd(
        self, tokens_in: int, tokens_out: int, *, cached: int = 0, written: int = 0, reasoning: int = 0
    ) -> float | None:
        """Cost of one call in USD, or None when the card does not state a price.

        ``cached`` and ``written`` are the parts of ``tokens_in`` read from and written to a prompt cache, ``reasoning``
        the part of ``tokens_out`` that was thought and not shown.

        Raises:
            ValueError: the parts are more than the whole.

        >>> card = ModelCard("large", usd_per_mtok_in=2.0, usd_per_mtok_out=8.0, usd_per_mtok_cached=0.5)
        >>> card.usd(1_000_000, 0), card.usd(1_000_000, 0, cached=800_000)
        (2.0, 0.8)
        """
        if cached + written > tokens_in or reasoning > tokens_out:
            raise ValueError(
                f"{cached} tokens cached and {written} written are parts of {tokens_in} in, {reasoning} thought are "
                f"part of {tokens_out} out; the parts cannot be more than the whole"
            )
        if self.usd_per_mtok_in is None or self.usd_per_mtok_out is None:
            return None
        plain_in, plain_out = tokens_in - cached - written, tokens_out - reasoning
        tokens = plain_in * self.usd_per_mtok_in + plain_out * self.usd_per_mtok_out
        if cached or written or reasoning:
            tokens += (
                cached * _or(self.usd_per_mtok_cached, self.usd_per_mtok_in)
                + written * _or(self.usd_per_mtok_written, self.usd_per_mtok_in)
                + reasoning * _or(self.usd_per_mtok_reasoning, self.usd_per_mtok_out)
            )
        return self.usd_per_call + tokens / 1e6


def _or(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price


@dataclass(frozen=True, slots=True)
class Native:
    """A request as it came by another API than chat completions (``responses``, ``messages`` …), body untouched.

    ``headers`` are those of the client's that belong to the API.  ``foreign`` names what in the body chat completions
    have no shape for, each beginning with the field as in "tools[0] of type 'web_search'": where there is such a
    thing, only a model that speaks the API can be asked.
    """

    api: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()


@dataclass(slots=True)
class Query:
    """One request: a conversation and what it needs of a model.

    ``parameters`` are the request's other fields (``temperature``, ``max_tokens``, ``tools`` …), passed on untouched.
    A model that speaks the API of ``native`` gets that body instead, with nothing changed but the model's name.
    ``cached`` are the tokens of the conversation that models, by name, have in their providers' prompt caches.

    >>> Query.of("What is 2 + 2?").text
    'What is 2 + 2?'
    """

    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    native: Native | None = None
    cached: Mapping[str, int] = field(default_factory=dict)
    _size: int = field(default=0, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, prompt: str, **parameters: Any) -> Self:
        """A conversation of one user turn."""
        return cls(({"role": "user", "content": prompt},), parameters)

    @property
    def text(self) -> str:
        """The last user turn, which is what a router sees; text parts of a multi-part turn are joined by newlines."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return message_text(message)
        return ""

    @property
    def size(self) -> int:
        """Length of the whole conversation in tokens, estimated as a quarter of its UTF-8 bytes."""
        if not self._size:  # asked once for each model
            self._size = sum(len(message_text(m).encode(errors="replace")) for m in self.messages) // 4 + 1
        return self._size


def message_text(message: Message) -> str:
    """The text of one message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return "\n".join(p["text"] for p in parts if isinstance(p, Mapping) and isinstance(p.get("text"), str))


class Prediction(NamedTuple):
    """What a router expects of each model for each prompt; every array is (N, M).

    ``quality`` is 0..1, ``usd`` USD per query, ``seconds`` wall time, and ``spread`` one standard deviation of
    the router's own uncertainty about the expected quality.
    """

    models: tuple[str, ...]
    quality_NM: Floats
    usd_NM: Floats
    seconds_NM: Floats
    spread_NM: Floats


@dataclass(slots=True)
class Decision:
    """A choice and its reasons: models best first, what each was expected to give, what removed the others.

    ``scores`` are the objective's values; ``quality``, ``usd`` and ``seconds`` the router's predictions, by model;
    ``weights`` the trade-off that was used (``quality``, ``usd``, ``seconds``, and the flags), and ``bonus`` what the
    flags add to each model's score.  ``propensities`` are the probabilities by which the model was drawn, where it was
    drawn and not the best.
    """

    router: str
    ranking: tuple[str, ...]
    scores: Mapping[str, float]
    quality: Mapping[str, float]
    usd: Mapping[str, float]
    seconds: Mapping[str, float]
    removed: Mapping[str, str]
    weights: Mapping[str, float]
    why: str
    bonus: Mapping[str, float] = field(default_factory=dict)
    propensities: Mapping[str, float] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model chosen."""
        return self.ranking[0]


@dataclass(slots=True)
class Call:
    """A strategy's wish: ask this model.

    ``final`` says that the strategy will return this answer as it is unless the model declines or fails, so a
    driver may show it to the client while it arrives.
    """

    model: str
    query: Query
    final: bool = True


@dataclass(slots=True)
class Answer:
    """What came back of one call.

    ``declined`` is an honest "not mine"; ``error`` a failure; both leave ``text`` empty and let a strategy go on.
    ``logprob`` is the mean log-probability of the answer's tokens where the model gives it. ``usd`` is None when
    the price or the usage is unknown. ``body`` is the provider's own JSON, kept so that fields unknown to us pass
    through.  ``tokens_cached`` and ``tokens_written`` are the parts of ``tokens_in`` that were read from and written to
    a prompt cache, ``tokens_reasoning`` the part of ``tokens_out`` that was thought and not shown.  ``raw`` are the
    provider's own bytes of ``body``, both in the shape of ``api``.
    """

    model: str
    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    usd: float | None = None
    finish: str = "stop"
    logprob: float | None = None
    declined: str | None = None
    error: str | None = None
    body: Mapping[str, Any] | None = None
    tokens_cached: int = 0
    tokens_written: int = 0
    tokens_reasoning: int = 0
    raw: bytes | None = None
    api: str = "chat"

    @property
    def ok(self) -> bool:
        """Whether there is an answer to give."""
        return self.declined is None and self.error is None


@dataclass(slots=True)
class Delta:
    """A piece of a streamed answer: its text and, from a remote provider, the provider's own chunk.

    ``raw`` are the bytes by which the chunk came, as a whole event of the stream, both in the shape of ``api``.
    """

    text: str
    chunk: Mapping[str, Any] | None = None
    raw: bytes | None = None
    api: str = "chat"


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt with the way to score an answer to it; ``scorer`` names one of ``waypost.outcomes.scoring``."""

    id: str
    prompt: str
    scorer: str
    reference: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the outcomes table: what one model did with one prompt.

    ``quality`` is 0..1 (None: not scored); a declined call has quality 0.  ``tokens_cached`` and ``tokens_written``
    are the parts of ``tokens_in`` that were read from and written to a prompt cache, ``tokens_reasoning`` the part of
    ``tokens_out`` that was thought and not shown.  ``source`` names what several rows share, such as a document or a
    conversation; empty: the prompt stands alone.
    """

    id: str
    prompt: str
    group: str
    model: str
    quality: float | None
    usd: float | None
    seconds: float | None
    tokens_in: int = 0
    tokens_out: int = 0
    answer: str = ""
    finish: str = "stop"
    logprob: float | None = None
    declined: bool = False
    reference: str = ""
    scorer: str = ""
    tokens_cached: int = 0
    tokens_written: int = 0
    tokens_reasoning: int = 0
    source: str = ""


class Model(Protocol):
    """A way to reach one model.  ``waypost.pool`` holds the ways; anything with these members is one."""

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        ...

    def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """Yield the answer's pieces as they arrive, then one `Answer` with the whole.

        Raises:
            Declined: before the first piece, when the model cannot do this.
            ModelFailed: when it failed, before or after the first piece.
        """
        ...

    async def complete(self, query: Query) -> Answer:
        """The whole answer at once; raises as `stream` does."""
        ...

    async def ready(self) -> str | None:
        """None when calls can be made, or a sentence that says why not."""
        ...

    async def close(self) -> None:
        """Free what the model holds."""
        ...


class Encoder(Protocol):
    """Text to vectors."""

    name: str

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, dim); a text without any token gets the zero vector."""
        ...


Run = Generator[Call | list[Call], Answer | list[Answer], Answer]


class Strategy(Protocol):
    """Decides which calls to make; does no I/O.  It yields calls and is sent their answers, in order."""

    @property
    def name(self) -> str:
        """What decisions and tables call it."""
        ...

    def decide(self, query: Query, objective: Chooser) -> Decision:
        """What is expected of each model before any call, and whom to ask first.

        Raises:
            NoModelLeft: the constraints removed every model.
        """
        ...

    def run(self, query: Query, decision: Decision) -> Run:
        """Yield a call (or several at once), receive its answer, return the answer to give.

        A call's answer may say that the model declined or failed; when no model is left to ask, the last such
        answer is returned.
        """
        ...


class Chooser(Protocol):
    """The trade-off: turns a prediction into a decision (`waypost.objective.Objective` is one)."""

    @property
    def risk(self) -> float:
        """What the router's doubt costs; at zero the prediction may come without it (NaN)."""
        ...

    def choose(self, prediction: Prediction, cards: Mapping[str, ModelCard], query: Query, router: str) -> Decision:
        """The decision for a prediction of one prompt."""
        ...
