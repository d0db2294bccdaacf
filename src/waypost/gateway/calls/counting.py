"""How many tokens a request of Anthropic's API has: by its provider's own count, or by an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waypost.errors import ModelFailed
from waypost.gateway.apis.messages_request import counted, native
from waypost.gateway.calls.reliable import ACCOUNT, refused
from waypost.types import Model


async def count_tokens(asked: Mapping[str, Any], headers: Mapping[str, str], model: Model | None) -> int:
    """The tokens of a request: counted by Anthropic where the ``model`` is one of theirs, else estimated.

    Raises:
        ProviderRefused: Anthropic refuses our key or account.
        ModelFailed: it did not count them.
    """
    # What makes calls again when they fail stands around a model; to count is worth one try.
    counter = getattr(getattr(model, "model", model), "count_tokens", None)
    if model is None or counter is None:
        return counted(asked)
    try:
        tokens: int = await counter(native(asked), headers)
    except ModelFailed as error:
        if error.upstream in ACCOUNT:
            raise refused(model.card.name, error) from error
        raise
    return tokens
