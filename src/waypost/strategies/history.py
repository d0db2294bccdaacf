"""What it costs to go on with a conversation: the turns before the last one are read again, by some models cheaply."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from waypost.types import ModelCard, Prediction, Query


def with_history(prediction: Prediction, cards: Mapping[str, ModelCard], query: Query) -> Prediction:
    """A prediction of one prompt with the price of reading what stands before it in the conversation.

    Routers see the last user turn alone and expect its cost.  ``query.cached`` tells how many tokens of the
    conversation each model has in its provider's prompt cache, so that the price of switching away is counted in:
    those tokens are billed at the cached price where the model has one.

    >>> cards = {name: ModelCard(name, 2.0, 8.0, usd_per_mtok_cached=0.2) for name in ("a", "b")}
    >>> turns = ({"role": "user", "content": "x" * 4_000_000}, {"role": "user", "content": "And then?"})
    >>> flat = Prediction(("a", "b"), *[np.zeros((1, 2))] * 4)
    >>> with_history(flat, cards, Query(turns, cached={"b": 900_000})).usd_NM.round(2)
    array([[2.  , 0.38]])
    """
    if len(query.messages) < 2:
        return prediction
    more_M = [history_usd(cards[name], query) if name in cards else 0.0 for name in prediction.models]
    return prediction._replace(usd_NM=prediction.usd_NM + np.array(more_M))


def history_usd(card: ModelCard, query: Query) -> float:
    """USD for a model to read what stands before the last user turn.

    Zero where no price is known, since then the cost of the answer is not known either.

    >>> turns = ({"role": "user", "content": "x" * 4_000_000}, {"role": "user", "content": "And then?"})
    >>> round(history_usd(ModelCard("a", 2.0, 8.0), Query(turns)), 2)
    2.0
    """
    if card.usd_per_mtok_in is None:
        return 0.0
    tokens = query.size - len(query.text.encode(errors="replace")) // 4
    cheap = card.usd_per_mtok_in if card.usd_per_mtok_cached is None else card.usd_per_mtok_cached
    known = min(query.cached.get(card.name, 0), tokens)
    return ((tokens - known) * card.usd_per_mtok_in + known * cheap) / 1e6
