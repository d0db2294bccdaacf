"""What a call may cost at most, set aside before it is made, and what it did cost."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

from waypost.errors import Declined, ModelFailed, NotInstalled, WaypostError
from waypost.gateway.callers.demand import Demand, most_usd
from waypost.pool.relay import Show, Shown, drawn, relay
from waypost.store.limits import Admission, BudgetSpent, Limiter, LimitReached, Limits, Reservation, Scopes, spoken
from waypost.types import Answer, Delta, Model, ModelCard, Query

ANSWER_TOKENS = 4096


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
    _measured: tuple[Query, Demand] | None = None

    def __getitem__(self, model: str) -> Model:
        return _Paid(self.models[model], self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def demand(self, query: Query) -> Demand:
        """What a request demands; that of the last one is not counted again."""
        if self._measured is None or self._measured[0] is not query:
            self._measured = (query, Demand.of(query))
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
        demand = self.demand(query)
        most = most_usd(card, query, demand, self.answer_tokens)
        if paying and most is None:
            raise PriceUnknown(card.name, paying[0][0])
        # Money first: who has none must not use up what others may ask of the model in a minute.
        held = await self.limiter.reserve(paying, most) if paying and most is not None else None
        admission = None
        if limits is not None and limits.rates:
            try:
                admission = await self.limiter.admit(own, demand.read + demand.written(0))
            except BaseException:
                if held is not None:
                    held.settle(0.0)
                raise
        return Payment(self, card, demand.read, math.inf if most is None else most, held, admission)


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
