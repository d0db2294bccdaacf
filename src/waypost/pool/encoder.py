"""An encoder of ours as a model that makes embeddings: no provider, no download, nothing leaves the machine."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from waypost.encoders import named
from waypost.errors import BadRequest, Declined, NotInstalled
from waypost.types import Answer, Delta, ModelCard, Query

# Machine time as in `waypost.pool.catalogue`, at a million and a half tokens a second, and seven thousand.
_USD_PER_MTOK = {"static-256": 1e-5, "minilm": 0.002}


class LocalEncoder:
    """Embeddings by an encoder of ``waypost.encoders``, such as ``static-256`` or ``minilm``; it answers nothing else.

    Its tokens are estimated as a quarter of the bytes.  Nothing is loaded before the first text.
    """

    def __init__(self, card: ModelCard, *, encoder: str) -> None:
        self._encoder = named(encoder)
        card = replace(card, apis=frozenset({"embeddings"}), upstream=encoder)
        price = _USD_PER_MTOK.get(encoder)
        if price is not None and card.usd_per_mtok_in is None:
            card = replace(card, usd_per_mtok_in=price, usd_per_mtok_out=0.0)
        self.card = card

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """The vectors in one piece; raises as `complete` does."""
        yield await self.complete(query)

    async def complete(self, query: Query) -> Answer:
        """The vectors of an embeddings request, computed in a thread.

        Raises:
            Declined: the request is not for embeddings.
            BadRequest: the input is not text, or other dimensions are asked for than the encoder has.
            NotInstalled: the encoder's files are missing.
        """
        if query.native is None or query.native.api != "embeddings":
            raise Declined(f"{self.card.name} makes embeddings and answers nothing", kind="unsent")
        start = time.perf_counter()
        asked = query.native.body
        texts = self._texts(asked)
        vectors_ND = await asyncio.to_thread(self._encoder.encode, texts)
        tokens = sum(len(text.encode(errors="replace")) // 4 + 1 for text in texts)
        as_base64 = asked.get("encoding_format") == "base64"
        rows = [
            {"object": "embedding", "index": i, "embedding": _base64(vector_D) if as_base64 else vector_D}
            for i, vector_D in enumerate(vectors_ND)
        ]
        body = {
            "object": "list",
            "data": rows,
            "model": self.card.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        seconds, usd = time.perf_counter() - start, self.card.usd(tokens, 0)
        raw = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return Answer(self.card.name, "", tokens, seconds=seconds, usd=usd, raw=raw, api="embeddings")

    async def ready(self) -> str | None:
        """None, or which file is missing."""
        try:
            await asyncio.to_thread(self._encoder.encode, ["ready"])
        except NotInstalled as error:
            return f"{self.card.name}: {error}"
        return None

    async def close(self) -> None:
        """There is nothing to free."""

    def _texts(self, asked: Mapping[str, Any]) -> Sequence[str]:
        given = asked.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            problem = f"must be a text or a list of texts: {self.card.name} has tokens of its own"
            raise BadRequest("input", problem)
        dimensions = asked.get("dimensions")
        if dimensions not in (None, self._encoder.dim):
            raise BadRequest("dimensions", f"must be {self._encoder.dim} for {self.card.name}, got {dimensions}")
        return texts


def _base64(vector_D: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return base64.b64encode(vector_D.astype("<f4").tobytes()).decode("ascii")
