"""What a call may cost at most, set aside before it is made, and what it did cost."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from waypost.errors import Declined, ModelFailed, NotInstalled, WaypostError
from waypost.pool.relay import Show, Shown, drawn, relay
from waypost.store.limits import Admission, BudgetSpent, Limiter, LimitReached, Limits, Reservation, Scopes, spoken
from waypost.types import Answer, Delta, Model, ModelCard, Query, message_text

ANSWER_TOKENS = 4096
# Prices of images differ by size and provider; this is what a large one costs with most.
_IMAGE_TOKENS = 1600
_MESSAGE_TOKENS = 10
_ASKED = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class PriceUnknown(WaypostError):
    """A model without a price cannot be paid from a budget."""

    status = 422
    code = "price_unknown"

    def __init__(self, model: str, scope: str) -> None:
        super().__init__(
            f"what '{model}' costs is not known, and {spoken(scope)} has a budget; give the model usd_per_mtok_in and "
            "usd_per_mtok_out (or usd_per_call) in the config, 0 if it is free"
        )


# Why a model cannot be called now, though there is nothing wrong with it: the next best may do.
SKIPPED = (BudgetSpent, LimitReached, PriceUnknown)


@dataclass(slots=True)
class Purse(Mapping[str, Model]):
    """The pool for one request: each call of a model is paid by ``payers`` and by the model's own budget.

    ``limits`` are those of models.  ``tokens`` counts what the calls have used; ``broken`` is the USD of calls that
    broke off, whose true cost nobody will tell: what they had read and written by then.
    """

    models: Mapping[str, Model]
    limiter: Limiter
    payers: Scopes = ()
    limits: Mapping[str, Limits] = field(default_factory=dict)
    answer_tokens: int = ANSWER_TOKENS
    tokens: int = 0
    broken: float = 0.0
    _measured: tuple[Query, int] | None = None

    def __getitem__(self, model: str) -> Model:
        return _Paid(self.models[model], self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def input_tokens(self, query: Query) -> int:
        """As the function of this name; what was asked for last is not counted again."""
        if self._measured is None or self._measured[0] is not query:
            self._measured = (query, input_tokens(query))
        return self._measured[1]

    async def reserve(self, card: ModelCard, query: Query) -> Payment:
        """Set aside the most that a call may cost; ``settle`` gives back what it did not.

        Raises:
            BudgetSpent: a budget has less left.
            LimitReached: the model itself is at one of its limits.
            PriceUnknown: there is a budget, and the price is not known.
        """
        limits = self.limits.get(card.name)
        own: Scopes = () if limits is None else ((f"model:{card.name}", limits),)
        paying = self.payers if limits is None or limits.usd is None else (*self.payers, *own)
        tokens_in = self.input_tokens(query)
        most = most_usd(card, query, tokens_in, self.answer_tokens)
        if paying and most is None:
            raise PriceUnknown(card.name, paying[0][0])
        # Money first: who has none must not use up what others may ask of the model in a minute.
        held = await self.limiter.reserve(paying, most) if paying and most is not None else None
        admission = None
        if limits is not None and limits.rates:
            try:
                admission = await self.limiter.admit(own, tokens_in + output_tokens(query, 0))
            except BaseException:
                if held is not None:
                    held.settle(0.0)
                raise
        return Payment(self, card, tokens_in, math.inf if most is None else most, held, admission)


@dataclass(slots=True)
class Payment:
    """One call under way; whichever end comes first counts."""

    purse: Purse
    card: ModelCard
    tokens_in: int
    most: float
    held: Reservation | None
    admission: Admission | None
    _open: bool = True

    def settle(self, usd: float | None, tokens: int) -> None:
        """The call has used these tokens and cost this much; None: nobody knows, and all that was reserved is spent."""
        if not self._open:
            return
        self._open = False
        self.purse.tokens += tokens
        if self.held is not None:
            self.held.settle(math.nan if usd is None else usd)
        if self.admission is not None:
            self.admission.release(tokens)

    def break_off(self, tokens_out: int) -> None:
        """The call ended in the middle: it has cost its input at least, and what was written by then."""
        if not self._open:
            return
        usd = self.card.usd(self.tokens_in, tokens_out)
        if usd is not None:
            usd = min(usd, self.most)
            self.purse.broken += usd
        self.settle(usd, self.tokens_in + tokens_out)


class _Paid:
    """A model whose calls are paid."""

    __slots__ = ("_model", "_purse")

    def __init__(self, model: Model, purse: Purse) -> None:
        self._model = model
        self._purse = purse

    @property
    def card(self) -> ModelCard:
        return self._model.card

    async def complete(self, query: Query) -> Answer:
        payment = await self._purse.reserve(self.card, query)
        try:
            answer = await self._model.complete(query)
        except (ModelFailed, NotInstalled) as error:
            self._failed(payment, error, query)
            raise
        except BaseException:
            payment.break_off(0)
            raise
        payment.settle(answer.usd, answer.tokens_in + answer.tokens_out)
        return answer

    def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        return drawn(self, query)

    async def relay(self, query: Query, show: Show) -> Answer:
        payment = await self._purse.reserve(self.card, query)
        written = 0

        def counted(piece: Delta) -> Shown:
            nonlocal written
            written += len(piece.text.encode(errors="replace")) or 4  # a thought, or a part of a tool call
            return show(piece)

        try:
            answer = await relay(self._model, query, counted)
            payment.settle(answer.usd, answer.tokens_in + answer.tokens_out)
            return answer
        except (ModelFailed, NotInstalled) as error:
            if not written:
                self._failed(payment, error, query)
            raise
        finally:
            # The client has left, or the provider has: what was written by then is paid.
            payment.break_off(written // 4)

    async def ready(self) -> str | None:
        return await self._model.ready()

    async def close(self) -> None:
        await self._model.close()

    def _failed(self, payment: Payment, error: WaypostError, query: Query) -> None:
        """A failure costs nothing; to decline, a model has read the prompt, unless it could not even be asked."""
        read = isinstance(error, Declined) and error.kind != "unsent"
        payment.settle(self.card.usd(query.size, 0) if read else 0.0, query.size if read else 0)


def input_tokens(query: Query) -> int:
    """The length of a request in tokens, rather too much than too little: a third of its bytes, files and images too.

    >>> input_tokens(Query.of("Hi"))
    11
    """
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


def output_tokens(query: Query, otherwise: int) -> int:
    """The most that a request asks for in tokens, over all its answers; ``otherwise`` where it does not say.

    >>> output_tokens(Query.of("Hi", max_tokens=100, n=2), 4096)
    200
    """
    if query.native is not None and query.native.api == "embeddings":
        return 0
    parameters = query.parameters
    asked = 0
    for name in _ASKED:  # which of them a provider goes by is its own affair
        said = parameters.get(name)
        if isinstance(said, int):
            asked = max(asked, said)
    return (asked or otherwise) * _answers(query)


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


def most_usd(card: ModelCard, query: Query, tokens_in: int, answer_tokens: int) -> float | None:
    """The most that one call may cost in USD, or None where the price is not known.

    All input at the dearest price of input, all output at the dearest of output, as much as is asked for and fits.

    >>> card = ModelCard("m", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0, usd_per_mtok_reasoning=4.0)
    >>> most_usd(card, Query.of("Hi", max_tokens=1000), 10, 4096)
    0.00401
    """
    if card.usd_per_mtok_in is None or card.usd_per_mtok_out is None:
        return None
    most_out = output_tokens(query, answer_tokens)
    if card.context is not None:
        most_out = min(most_out, _answers(query) * max(0, card.context - query.size))
    price_in = max(card.usd_per_mtok_in, card.usd_per_mtok_cached or 0.0, card.usd_per_mtok_written or 0.0)
    price_out = max(card.usd_per_mtok_out, card.usd_per_mtok_reasoning or 0.0)
    return card.usd_per_call + (tokens_in * price_in + most_out * price_out) / 1e6
