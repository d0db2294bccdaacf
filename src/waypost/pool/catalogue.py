"""What is known of models before anyone calls them: cards of the local ones, list prices of the hosted ones.

A local model costs machine time.  We take 0.05 USD an hour for two cores, 1.389e-5 USD a second, and divide by
the throughput measured on two cores:

=============  ============================  ===============================================================
model          measured                      price
=============  ============================  ===============================================================
smollm2-135m   90 tokens/s out, 350 in       1.389e-5 / 90 = 0.154 USD a million tokens out, 0.0397 in
gemma3-270m    60 tokens/s out, 480 in       1.389e-5 / 60 = 0.231 USD a million tokens out, 0.0289 in
translate      15 ms a sentence              1.389e-5 · 0.015 = 2.08e-7 USD a call
arithmetic     50 µs a call                  1.389e-5 · 5e-5 = 6.9e-10 USD a call
=============  ============================  ===============================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

from waypost.types import ModelCard

_USD_PER_SECOND = 0.05 / 3600
_BUSY = time(8, tzinfo=UTC)  # some providers are cheaper at night; here no provider of the list has an off-peak price
# Each price of a card, by what the list counts for it: a whole and the part of it that is billed at this price.
_IN = {
    "usd_per_mtok_in": ("input_tokens",),
    "usd_per_mtok_cached": ("input_tokens", "cache_read_tokens"),
    "usd_per_mtok_written": ("input_tokens", "cache_write_tokens"),
}
_OUT = {
    "usd_per_mtok_out": ("output_tokens",),
    "usd_per_mtok_reasoning": ("output_tokens", "output_reasoning_tokens"),
}


def _per_mtok(tokens_per_second: float) -> float:
    return round(_USD_PER_SECOND / tokens_per_second * 1e6, 4)


LOCAL: Mapping[str, ModelCard] = {
    card.name: card
    for card in (
        ModelCard(
            "smollm2-135m",
            usd_per_mtok_in=_per_mtok(350),
            usd_per_mtok_out=_per_mtok(90),
            context=2048,
            parameters=0.135,
            released=date(2024, 10, 31),
            open=True,
            local=True,
            domains=("chat", "facts", "rewriting"),
            description="SmolLM2-135M-Instruct (Apache-2.0): small talk, short facts, rewriting; weak at numbers",
        ),
        ModelCard(
            "gemma3-270m",
            usd_per_mtok_in=_per_mtok(480),
            usd_per_mtok_out=_per_mtok(60),
            context=2048,
            parameters=0.268,
            released=date(2025, 8, 14),
            open=True,
            local=True,
            domains=("completion",),
            description="Gemma 3 270M, base model (Gemma terms): continues text, follows no instructions",
        ),
        ModelCard(
            "arithmetic",
            usd_per_mtok_in=0.0,
            usd_per_mtok_out=0.0,
            usd_per_call=_USD_PER_SECOND * 5e-5,
            context=128,
            parameters=0.0,
            open=True,
            local=True,
            domains=("arithmetic", "units"),
            description="Exact arithmetic, percentages and unit conversion; declines everything else",
        ),
        ModelCard(
            "translate",
            usd_per_mtok_in=0.0,
            usd_per_mtok_out=0.0,
            usd_per_call=_USD_PER_SECOND * 0.015,
            context=512,
            parameters=0.034,
            open=True,
            local=True,
            domains=("translation",),
            description="English and Brazilian Portuguese, both ways; declines everything else",
        ),
    )
}


def priced(card: ModelCard, upstream: str | None = None) -> ModelCard:
    """The card with the provider's list price where it states none, found by the provider's name of the model.

    The prices are those shipped with ``genai-prices``; nothing is fetched.  A model that runs locally has none
    there.  A price that is not known, or not by the token, stays None, which tables and reports show as unknown; zero
    is the price of models that are free by name.  Where the price depends on the hour it is that of 08:00 UTC today,
    when nobody is off-peak.  The prices of cached, written and thought tokens are taken only beside the list's own
    price of input or output: a discount on a stated price is the user's to state.

    >>> card = priced(ModelCard("fast"), "gpt-4o-mini")
    >>> card.usd_per_mtok_out, card.usd_per_mtok_in, card.usd_per_mtok_cached
    (0.6, 0.15, 0.075)
    >>> priced(ModelCard("mine", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0), "gpt-4o-mini").usd_per_mtok_out
    2.0
    >>> priced(ModelCard("home-made")).usd_per_mtok_in is None
    True
    """
    if card.local or (card.usd_per_mtok_in is not None and card.usd_per_mtok_out is not None):
        return card
    listed = _list_prices(upstream or card.name)
    taken = (_IN if card.usd_per_mtok_in is None else {}) | (_OUT if card.usd_per_mtok_out is None else {})
    missing: dict[str, Any] = {name: listed[name] for name in taken if name in listed and getattr(card, name) is None}
    return replace(card, **missing)


def _list_prices(upstream: str) -> dict[str, float]:
    """USD per million tokens by the card's field; "vendor/model" is looked up among OpenRouter's names.

    The list gives no price, and then neither do we, where a model is paid by the minute, the page or not at all; only
    one that calls itself free costs nothing.
    """
    # Imported here: its price list takes a quarter of a second to load, and most pools state their prices.
    from genai_prices import Usage, calc_price

    provider = "openrouter" if "/" in upstream else None
    at = datetime.combine(datetime.now(UTC), _BUSY)

    def usd(**counts: int) -> Any:
        return calc_price(Usage(**counts), upstream, provider_id=provider, genai_request_timestamp=at)

    try:
        stated = usd().model_price
    except LookupError:
        return {}
    free = "free" in re.findall(r"\w+", upstream)
    # Price of a short request: long-context surcharges start at some hundred thousand tokens.
    return {
        name: float(usd(**dict.fromkeys(counted, 1000)).total_price) * 1000
        for name, counted in (_IN | _OUT).items()
        if free or getattr(stated, counted[0].replace("_tokens", "_mtok")) is not None
    }
