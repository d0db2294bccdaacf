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
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from waypost.errors import NotInstalled

if TYPE_CHECKING:
    from tokenizers.models import Model

_WORD = re.compile(" ( *[^ ]*)")
_CACHED_WORDS = 200_000
_LONGEST_WORD = 64
_TOKENS = 512  # of a text, for which memory is kept: fresh memory would take as long to get as to fill


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
        self._words: dict[str, bytes] = {}
        self._spaces: list[NDArray[np.float32]] = []  # where vectors are looked up, one a thread at work

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, 256); a text without any token gets the zero vector."""
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        try:
            space = self._spaces.pop()
        except IndexError:
            space = np.empty((_TOKENS, self.dim), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            ids = np.frombuffer(self._ids(text), np.intp)
            if n := len(ids):
                room = space[:n] if n <= _TOKENS else None
                # No id is outside the vocabulary; to check that, numpy would fill other memory first.
                found = self._vectors.take(ids, axis=0, out=room, mode="clip")
                np.add.reduce(found, axis=0, out=row)
        self._spaces.append(space)
        return _unit(out)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, equal to those of the tokenizer on the whole text, without special ones."""
        return [int(token) for token in np.frombuffer(self._ids(text), np.intp)]

    def _ids(self, text: str) -> bytes:
        """Token ids of a text as the bytes of an array, which are quick to join and to look up by."""
        if len(text) > self.max_chars:
            half = self.max_chars // 2
            text = f"{text[:half]} {text[-half:]}"
        if not text:
            return b""
        if not text.isascii():
            text = text.encode(errors="replace").decode()  # half a surrogate pair is no text
            text = text.replace("▁", " ")  # to the tokenizer they are the same
        # Spaces beyond one belong to the word after them.
        words = _WORD.findall(" " + text) if text[0] == " " or "  " in text else text.split(" ")
        # Nearly every prompt has some word that was not seen before, and few of them.
        found: dict[str, Any] = dict(zip(words, map(self._words.get, words), strict=True))
        for word in [word for word, ids in found.items() if ids is None]:
            found[word] = self._tokenize(word)
        return b"".join(map(found.__getitem__, words))

    def _tokenize(self, word: str) -> bytes:
        """Token ids of a word, which stands here without the space before it."""
        # Its model alone does a quarter of the work; what is left out makes special tokens out of a text like "</s>".
        pieces = self._pieces.tokenize("▁" + word.replace(" ", "▁"))
        ids = np.array([piece.id for piece in pieces], np.intp).tobytes()
        if len(word) < _LONGEST_WORD:
            if len(self._words) >= _CACHED_WORDS:
                self._words.clear()
            self._words[word] = ids
        return ids

    @cached_property
    def _pieces(self) -> Model:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(_wheel() / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        return cast("Model", tokenizer.model)

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        from safetensors.numpy import load_file

        (vectors,) = load_file(_wheel() / "weights" / "l2_supercat_256.safetensors").values()
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors to unit length, in place; one alone to the same bits, but sooner."""
    if len(vectors_ND) == 1:
        vectors_ND /= sqrt(vectors_ND[0].dot(vectors_ND[0])) or 1.0
    else:
        norm_N = np.sqrt(np.vecdot(vectors_ND, vectors_ND))
        vectors_ND /= np.where(norm_N > 0, norm_N, 1)[:, None]
    return vectors_ND


def _wheel() -> Path:
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise NotInstalled("the static encoder's vectors are missing; pip install 'wordllama==0.4.0.post1'")
    return Path(spec.origin).parent
