"""The default encoder: the mean of static token vectors, in microseconds, without torch and without a download.

Weights and tokenizer are those of the ``wordllama`` wheel (256 dimensions, MIT).  Its own loader imports an HTTP
client and its tokenizer treats a text as one word, so we read the same two files and tokenize word by word: no
token of that vocabulary spans a space after a letter, therefore the words' tokens are the text's tokens and a
cache of words serves almost every text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from waypost.errors import NotInstalled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORD = re.compile("▁+[^▁]*")
_CACHED_WORDS = 200_000
_LONGEST_WORD = 64
_SPACE = 29871  # the vocabulary's token for a "▁" alone


class StaticEncoder:
    """Mean of static token vectors, scaled to unit length.

    Texts beyond ``max_chars`` are cut in the middle: the task mostly stands at the start or at the end.

    >>> vectors = StaticEncoder().encode(["How many miles is 5 km?", "Convert 5 km to miles.", "Good morning!"])
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    True
    """

    name = "static-256"
    dim = 256

    def __init__(self, max_chars: int = 4000) -> None:
        if max_chars < 2:
            raise ValueError(f"max_chars must be at least 2, got {max_chars}")
        self.max_chars = max_chars
        self._words: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, 256); a text without any token gets the zero vector."""
        tokens = [self.tokens(text) for text in texts]
        out = np.zeros((len(tokens), self.dim), dtype=np.float32)
        for row, ids in zip(out, tokens, strict=True):
            if ids:
                self._vectors.take(ids, axis=0).sum(axis=0, out=row)
        norm = np.sqrt(np.einsum("nd,nd->n", out, out))
        out /= np.where(norm > 0, norm, 1)[:, None]
        return out

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, equal to those of the tokenizer on the whole text."""
        if len(text) > self.max_chars:
            half = self.max_chars // 2
            text = f"{text[:half]} {text[-half:]}"
        if not text:
            return []
        if not text.isascii():
            text = text.encode(errors="replace").decode()  # half a surrogate pair is no text
        known = self._words.get
        words = _WORD.findall("▁" + text.replace(" ", "▁"))
        return list(chain.from_iterable([known(word) or self._tokenize(word) for word in words]))

    def _tokenize(self, word: str) -> list[int]:
        # The tokenizer puts a "▁" before every text but the empty one; the word has its own already.
        ids: list[int] = self._tokenizer.encode(word[1:], add_special_tokens=False).ids if word != "▁" else [_SPACE]
        if len(word) <= _LONGEST_WORD:
            if len(self._words) >= _CACHED_WORDS:
                self._words.clear()
            self._words[word] = ids
        return ids

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(_wheel() / "tokenizers" / "l2_supercat_tokenizer_config.json"))

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        from safetensors.numpy import load_file

        (vectors,) = load_file(_wheel() / "weights" / "l2_supercat_256.safetensors").values()
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _wheel() -> Path:
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise NotInstalled("the static encoder's vectors are missing; pip install 'wordllama==0.4.0.post1'")
    return Path(spec.origin).parent
